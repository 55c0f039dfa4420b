"""Layers that are computed together, because it is faster and changes no number.

relu keeps the order of numbers, so it may change places with the max-pooling after it:

    max of relu(z) over a window  =  relu(max of z over the window)

The gradient is the same as well: where the largest z is above zero it goes to that z either way,
and where it is not, no z of the window gets any. After the pooling there are, as a rule, four times
fewer numbers to look at.
"""

from minicnn import activations
from minicnn.autograd import Tensor
from minicnn.layers.convolution import Conv2D
from minicnn.layers.layer import Layer
from minicnn.layers.pooling import MaxPooling2D


def relu_can_wait(layer: Layer, following: Layer | None) -> bool:
    """Whether `layer` is a convolution with relu whose output only a max-pooling will see."""
    return (
        type(layer) is Conv2D
        and type(following) is MaxPooling2D
        and layer.activation is activations.relu
        and layer.activity_regularizer is None
        and following.activity_regularizer is None
    )


def convolve_pool_relu(convolution: Layer, pooling: Layer | None, x: Tensor) -> Tensor:
    """What the two layers make of x, which relu_can_wait has found to go together."""
    assert isinstance(convolution, Conv2D) and isinstance(pooling, MaxPooling2D)
    return pooling.pool(convolution.convolve(x), activation="relu")
