"""Layers that are computed together: it is faster and changes no number, as ops.conv_pool says."""

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.activation import ReLU
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Activation
from minicnn.layers.hooks import announced, observers
from minicnn.layers.layer import Layer
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import MaxPooling2D


def go_together(layer: Layer, following: Layer | None, x: Tensor) -> bool:
    """Whether there is a faster way to compute `layer` and the one whose input its output is.

    Neither must have more to do than that: call hooks, penalize an output, or convert x to its own
    dtype.
    """
    return (
        following is not None
        and (_are_convolution_and_pooling(layer, following) or _end_in_relu(layer, following))
        and layer.hooks is None
        and following.hooks is None
        and layer.activity_regularizer is None
        and following.activity_regularizer is None
        and x.dtype == layer.dtype
        and x.dtype == following.dtype
    )


def call_together(layer: Layer, following: Layer | None, x: Tensor, training: bool) -> Tensor:
    """What the two layers make of x, after go_together has said that they may."""
    assert following is not None
    if observers:
        with announced(layer, following):
            return _computed_together(layer, following, x, training)
    return _computed_together(layer, following, x, training)


def _computed_together(layer: Layer, following: Layer, x: Tensor, training: bool) -> Tensor:
    if isinstance(layer, BatchNormalization):
        return layer.normalize(x, training, activation="relu")
    assert isinstance(layer, Conv2D) and isinstance(following, MaxPooling2D)
    with kernels.precision.rounding_to(layer.operands):
        return ops.conv_pool(
            x,
            layer.kernel,
            layer.bias,
            strides=layer.strides,
            padding=layer.padding,
            dilation=layer.dilation_rate,
            groups=layer.groups,
            pool_size=following.pool_size,
            pool_strides=following.strides,
            pool_padding=following.padding,
        )


def _are_convolution_and_pooling(layer: Layer, following: Layer) -> bool:
    """Only relu keeps the order of numbers, and so may wait until after the pooling."""
    return (
        type(layer) is Conv2D
        and type(following) is MaxPooling2D
        and layer.activation is activations.relu
    )


def _end_in_relu(layer: Layer, following: Layer) -> bool:
    return type(layer) is BatchNormalization and _is_relu(following)


def _is_relu(layer: Layer) -> bool:
    if type(layer) is Activation:
        return layer.activation is activations.relu
    plain = (None, 0, 0)
    return type(layer) is ReLU and plain == (layer.max_value, layer.negative_slope, layer.threshold)
