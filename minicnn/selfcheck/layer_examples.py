"""An example for every layer: how to make it, and the shape of an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minicnn import layers
from minicnn.layers import Layer

ROWS, IMAGES, SMALL = (3, 5), (2, 5, 6, 4), (2, 3, 4, 6)


class LayerExample(NamedTuple):
    """make() builds a layer of random weights; inputs are the shapes of its inputs."""

    make: Callable[[], Layer]
    inputs: tuple[tuple[int, ...], ...] = (IMAGES,)
    training: bool = False


def _layer(
    kind: type[Layer],
    *arguments: Any,
    on: tuple[int, ...] = IMAGES,
    training: bool = False,
    **keywords: Any,
) -> LayerExample:
    return LayerExample(lambda: kind(*arguments, **keywords), (on,), training)


def _merging(kind: type[Layer], **keywords: Any) -> LayerExample:
    return LayerExample(lambda: kind(**keywords), (ROWS, ROWS))


LAYER_EXAMPLES: dict[str, LayerExample] = {
    "Activation": _layer(layers.Activation, "gelu"),
    "Add": _merging(layers.Add),
    "AlphaDropout": _layer(layers.AlphaDropout, 0.4, seed=1, training=True),
    "Average": _merging(layers.Average),
    "AveragePooling2D": _layer(layers.AveragePooling2D, 3, 2, "same"),
    "BatchNormalization": _layer(layers.BatchNormalization),
    "BatchNormalization, training": _layer(layers.BatchNormalization, training=True),
    "CenterCrop": _layer(layers.CenterCrop, 3, 4),
    "Concatenate": _merging(layers.Concatenate),
    "Conv2D": _layer(layers.Conv2D, 3, 3, (2, 3), padding="same"),
    "Conv2D, relu": _layer(layers.Conv2D, 3, (3, 2), activation="relu"),
    "Conv2D, groups": _layer(layers.Conv2D, 4, 3, groups=2),
    "Conv2DTranspose": _layer(layers.Conv2DTranspose, 3, 3, strides=2, on=SMALL),
    "Cropping2D": _layer(layers.Cropping2D, ((1, 0), (2, 1))),
    "Dense": _layer(layers.Dense, 3, "tanh", on=ROWS),
    "Dense, softmax": _layer(layers.Dense, 3, "softmax", on=ROWS),
    "DepthwiseConv2D": _layer(layers.DepthwiseConv2D, 3, padding="same", depth_multiplier=2),
    "Dropout": _layer(layers.Dropout, 0.4, seed=1, training=True),
    "ELU": _layer(layers.ELU, 0.7),
    "Flatten": _layer(layers.Flatten),
    "GaussianDropout": _layer(layers.GaussianDropout, 0.3, seed=1, training=True),
    "GaussianNoise": _layer(layers.GaussianNoise, 0.3, seed=1, training=True),
    "GlobalAveragePooling2D": _layer(layers.GlobalAveragePooling2D),
    "GlobalMaxPooling2D": _layer(layers.GlobalMaxPooling2D, keepdims=True),
    "GroupNormalization": _layer(layers.GroupNormalization, 2),
    "LayerNormalization": _layer(layers.LayerNormalization, axis=[1, 3]),
    "LeakyReLU": _layer(layers.LeakyReLU),
    "MaxPooling2D": _layer(layers.MaxPooling2D, 3, 2, "same"),
    "Maximum": _merging(layers.Maximum),
    "Minimum": _merging(layers.Minimum),
    "Multiply": _merging(layers.Multiply),
    "Normalization": _layer(layers.Normalization, mean=0.5, variance=4.0),
    "PReLU": _layer(layers.PReLU, alpha_initializer="uniform"),
    "Permute": _layer(layers.Permute, (3, 1, 2)),
    "RandomBrightness": _layer(
        layers.RandomBrightness, 0.2, value_range=(-9, 9), seed=1, training=True
    ),
    "RandomContrast": _layer(
        layers.RandomContrast, 0.2, seed=1, value_range=(-9, 9), training=True
    ),
    "RandomCrop": _layer(layers.RandomCrop, 3, 4, seed=1, training=True),
    "RandomFlip": _layer(layers.RandomFlip, seed=1, training=True),
    "RandomRotation": _layer(layers.RandomRotation, 0.2, seed=1, training=True),
    "RandomTranslation": _layer(layers.RandomTranslation, 0.2, 0.3, seed=1, training=True),
    "RandomZoom": _layer(layers.RandomZoom, 0.3, seed=1, training=True),
    "ReLU": _layer(layers.ReLU, max_value=1, negative_slope=0.1, threshold=0.2),
    "RepeatVector": _layer(layers.RepeatVector, 3, on=ROWS),
    "Rescaling": _layer(layers.Rescaling, 2.0, -1.0),
    "Reshape": _layer(layers.Reshape, (3, -1)),
    "Resizing": _layer(layers.Resizing, 4, 9),
    "SeparableConv2D": _layer(layers.SeparableConv2D, 3, 3, depth_multiplier=2),
    "Softmax": _layer(layers.Softmax, axis=1),
    "SpatialDropout2D": _layer(layers.SpatialDropout2D, 0.4, seed=1, training=True),
    "Subtract": _merging(layers.Subtract),
    "UpSampling2D": _layer(layers.UpSampling2D, 2, interpolation="bilinear"),
    "ZeroPadding2D": _layer(layers.ZeroPadding2D, ((1, 2), (0, 3))),
}
