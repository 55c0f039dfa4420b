"""Looks into a network: the filters of a convolution, and what layers make of an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.visualize.picture import INK, FilePath, Picture, new_figure, without_frame


def filters(layer: Layer, most: int = 64, path: FilePath = None) -> Picture:
    """Draw the filters of a convolution as small images.

    Filters with three input channels, of a first layer, are drawn in color; of others, the mean
    over the channels is drawn in grey. Each filter is stretched to the full range of its own.

    Args:
        layer: a built convolution, whose first weight has shape (P, Q, C, F).
        most: how many filters are drawn, the first ones.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: the layer has no such weight.
        OSError: the file cannot be written.

    >>> from minicnn import layers
    >>> conv = layers.Conv2D(8, 3)
    >>> conv.build((None, 16, 16, 3))
    >>> len(filters(conv).figure.axes)
    8
    """
    weights = layer.get_weights()
    if not weights or weights[0].ndim != 4:
        raise ValueError(
            f"filters: wants a built convolution, but {layer.title} has weights of shapes "
            f"{[weight.shape for weight in weights]}."
        )
    kernel = weights[0][..., :most]
    if kernel.shape[2] != 3:
        kernel = kernel.mean(axis=2, keepdims=True)
    images = [_stretched(kernel[..., k]) for k in range(kernel.shape[3])]
    return _grid(images, f"{layer.name}: {weights[0].shape[3]} filters", path)


def feature_maps(
    model: Any,
    image: Array,
    layer: str | Layer | None = None,
    most: int = 64,
    path: FilePath = None,
) -> Picture:
    """Draw what a layer makes of an image: one grey picture for each of its channels.

    Args:
        model: a built model whose layers follow one another.
        image: one image, (H, W, C), as the model takes it.
        layer: a layer of the model or its name; None for the last one with maps.
        most: how many channels are drawn, the first ones.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: there is no such layer, or its output has no rows and columns.
        OSError: the file cannot be written.

    >>> from minicnn import Sequential, layers
    >>> model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(5, 3), layers.Flatten()])
    >>> len(feature_maps(model, np.zeros((8, 8, 3))).figure.axes)
    5
    """
    from minicnn.autograd import Tensor, no_grad
    from minicnn.backend import floatx

    if np.ndim(image) != 3:
        raise ValueError(
            f"feature_maps: wants one image, (H, W, C), but got shape {np.shape(image)}. Of a "
            f"batch, take x[0]."
        )
    wanted = model.get_layer(layer) if isinstance(layer, str) else layer
    found: tuple[str, Array] | None = None
    value = Tensor(np.asarray(image, floatx())[None])
    with no_grad():
        for step in model.layers:
            value = step(value)
            if value.ndim == 4 and wanted in (None, step):
                found = step.name, value.numpy()[0]
    if found is None:
        name = "no layer" if wanted is None else f"{wanted.name!r} is no layer of the model that"
        raise ValueError(f"feature_maps: {name} gives maps, (H, W, C).")
    name, maps = found
    images = [_stretched(maps[..., k : k + 1]) for k in range(min(most, maps.shape[2]))]
    return _grid(images, f"{name}: {maps.shape[2]} maps of {maps.shape[0]} x {maps.shape[1]}", path)


def _stretched(image: Array) -> Array:
    """The numbers, moved and scaled to go from 0 to 1; grey ones as three equal channels."""
    low, high = image.min(), image.max()
    image = (image - low) / (high - low if high > low else 1)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def _grid(images: list[Array], title: str, path: FilePath) -> Picture:
    columns = math.ceil(math.sqrt(2 * len(images)))
    rows = math.ceil(len(images) / columns)
    figure = new_figure(width=0.9 * columns + 0.4, height=0.9 * rows + 0.6)
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, weight="bold")
    for k, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.imshow(image, interpolation="nearest")
        without_frame(axes)
    return Picture(figure, path)
