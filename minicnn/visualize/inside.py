"""Looks into a network: the filters of a convolution, and what layers make of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minicnn.autograd import Tensor, no_grad
from minicnn.backend import Array, floatx
from minicnn.layers import Layer
from minicnn.layers.structure import leaves, mapped
from minicnn.layers.symbolic import SymbolicTensor
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
    image: Any,
    layer: str | Layer | None = None,
    most: int = 64,
    path: FilePath = None,
) -> Picture:
    """Draw what a layer makes of an image: one grey picture for each of its channels.

    Args:
        model: a Sequential or a functional model; of a model within a model, take that one.
        image: one image, (H, W, C), as the model takes it; if it takes several inputs, a list of
            them, each without the batch axis.
        layer: a layer of the model or its name; None for the last one with maps.
        most: how many channels are drawn, the first ones.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: there is no such layer, or its output has no rows and columns.
        AttributeError: the model is a subclass with a call of its own, which has no graph.
        OSError: the file cannot be written.

    >>> from minicnn import Input, Model, layers
    >>> x = Input((8, 8, 3))
    >>> y = layers.Conv2D(5, 3, padding="same", name="conv")(x)
    >>> model = Model(x, layers.Flatten()(layers.Concatenate()([x, y])))
    >>> len(feature_maps(model, np.zeros((8, 8, 3)), "conv").figure.axes)
    5
    """
    images = image if isinstance(image, list | tuple) else [image]
    if not isinstance(image, list | tuple) and np.ndim(image) != 3:
        raise ValueError(
            f"feature_maps: wants one image, (H, W, C), but got shape {np.shape(image)}. Of a "
            f"batch, take x[0]."
        )
    wanted = model.get_layer(layer) if isinstance(layer, str) else layer
    found: tuple[str, Array] | None = None
    for step, value in _outputs(model, images):
        if value.ndim == 4 and wanted in (None, step):
            found = step.name, value.numpy()[0]
    if found is None:
        name = "no layer" if wanted is None else f"{wanted.name!r} is no layer of the model that"
        raise ValueError(f"feature_maps: {name} gives maps, (H, W, C).")
    name, maps = found
    pictures = [_stretched(maps[..., k : k + 1]) for k in range(min(most, maps.shape[2]))]
    title = f"{name}: {maps.shape[2]} maps of {maps.shape[0]} x {maps.shape[1]}"
    return _grid(pictures, title, path)


def _outputs(model: Any, images: Sequence[Any]) -> Iterator[tuple[Layer, Tensor]]:
    """Each layer of the model with what it gives for one input, in the order of the graph."""
    batches = [Tensor(np.asarray(image, floatx())[None]) for image in images]
    if not model.built:
        model(batches[0])
    values: dict[Any, Tensor] = dict(zip(model.inputs, batches, strict=True))

    def filled(leaf: Any) -> Any:
        return values.get(leaf, leaf) if isinstance(leaf, SymbolicTensor) else leaf

    waiting = [node for step in model.layers for node in step.nodes if not node.is_input]
    ready = waiting
    while ready:
        ready = []
        for node in waiting:
            if all(tensor in values for tensor in node.inputs):
                ready.append(node)
                with no_grad():
                    made = leaves(
                        node.layer(*mapped(filled, node.arguments), **mapped(filled, node.keywords))
                    )
                values |= zip(leaves(node.outputs), made, strict=True)
                yield from ((node.layer, value) for value in made)
        waiting = [node for node in waiting if node not in ready]


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
