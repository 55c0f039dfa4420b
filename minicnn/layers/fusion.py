"""Layers that are computed together: it is faster and changes no number, as ops.conv_pool says."""

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.layers.convolution import Conv2D
from minicnn.layers.layer import Layer
from minicnn.layers.pooling import MaxPooling2D


def go_together(layer: Layer, following: Layer | None, x: Tensor) -> bool:
    """Whether `layer` is a convolution with relu whose output only a max-pooling will see.

    Neither must have more to do than that: penalize an output, or convert x to its own dtype.
    """
    return (
        type(layer) is Conv2D
        and type(following) is MaxPooling2D
        and layer.activation is activations.relu
        and layer.activity_regularizer is None
        and following.activity_regularizer is None
        and x.dtype == layer.dtype
        and x.dtype == following.dtype
    )


def call_together(convolution: Layer, pooling: Layer | None, x: Tensor) -> Tensor:
    """What the two layers make of x, after go_together has said that they may."""
    assert isinstance(convolution, Conv2D) and isinstance(pooling, MaxPooling2D)
    return ops.conv_pool(
        x,
        convolution.kernel,
        convolution.bias,
        strides=convolution.strides,
        padding=convolution.padding,
        dilation=convolution.dilation_rate,
        groups=convolution.groups,
        pool_size=pooling.pool_size,
        pool_strides=pooling.strides,
        pool_padding=pooling.padding,
    )
