"""Layers that are computed together: it is faster and changes no number, as ops.conv_pool says."""

from collections.abc import Sequence

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.activation import ReLU
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Activation
from minicnn.layers.hooks import announced, observers
from minicnn.layers.layer import Layer
from minicnn.layers.merging import Add
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
        and _only_compute(layer, x)
        and _only_compute(following, x)
    )


def _only_compute(layer: Layer, x: Tensor) -> bool:
    return layer.hooks is None and layer.activity_regularizer is None and layer.dtype == x.dtype


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


def is_end_of_block(norm: Layer, add: Layer) -> bool:
    """Whether a shortcut can be added in the pass that normalizes; see call_end_of_block."""
    return type(norm) is BatchNormalization and type(add) is Add


def call_end_of_block(
    layers: Sequence[Layer], x: Tensor, others: Sequence[Tensor | None], training: bool
) -> Tensor:
    """The end of a residual block, relu(norm(x) + shortcut); or that without relu.

    It is one pass, unless one of the layers has more to do.

    Args:
        layers: BatchNormalization, Add and, if there is one, the layer that is relu.
        x: what the first of them reads.
        others: what the second one reads, and None in place of what the first one gives.
        training: whether the model is learning.
    """
    norm, add, *relu = layers
    shortcuts = [other for other in others if other is not None]
    alike = [(other.shape, other.dtype) for other in shortcuts] == [(x.shape, x.dtype)]
    if alike and all(map(is_relu, relu)) and all(_only_compute(layer, x) for layer in layers):
        assert isinstance(norm, BatchNormalization)
        with announced(*layers):
            return norm.normalize(x, training, "relu" if relu else None, *shortcuts)
    y = norm(x, training=training)
    y = add([y if other is None else other for other in others])
    for layer in relu:
        y = layer(y)
    return y


def _are_convolution_and_pooling(layer: Layer, following: Layer) -> bool:
    """Only relu keeps the order of numbers, and so may wait until after the pooling."""
    return (
        type(layer) is Conv2D
        and type(following) is MaxPooling2D
        and layer.activation is activations.relu
    )


def _end_in_relu(layer: Layer, following: Layer) -> bool:
    return type(layer) is BatchNormalization and is_relu(following)


def is_relu(layer: Layer) -> bool:
    """Whether a layer does what relu does, and nothing else."""
    if type(layer) is Activation:
        return layer.activation is activations.relu
    plain = (None, 0, 0)
    return type(layer) is ReLU and plain == (layer.max_value, layer.negative_slope, layer.threshold)
