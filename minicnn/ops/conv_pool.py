"""conv2d, the max_pool2d after it and relu in one op: what lies between never leaves the cache."""

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels
from minicnn.ops.conv2d import Arrangement, Convolve, arrange, output_shape
from minicnn.ops.max_pool2d import Gather
from minicnn.ops.reduce import sum as sum_of
from minicnn.ops.relu import Gate
from minicnn.ops.window import Pair, Placement, pair, place_window


class ConvolveAndPool(Op):
    """y = relu(max of z over windows),   z = x convolved with weight, + bias.

    With dy where y > 0:   dx = PooledInputGradient(dy, weight),   dw = PooledWeightGradient(x, dy).
    """

    def __init__(
        self,
        arrangement: Arrangement,
        window: tuple[int, int],
        placement: Placement,
    ) -> None:
        self.arrangement = arrangement
        self.window, self.placement = window, placement

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        settings = (self.arrangement, self.window, self.placement)
        y, self.where = kernels.conv_pool.forward(x, weight, bias, *settings)
        return y

    def backward(self, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *bias = self.inputs
        dx = dw = None
        dy = Gate(self.output.data)(dy)
        if x.requires_grad:
            dx = PooledInputGradient(x.shape, self.arrangement, self.where)(dy, weight)
        if weight.requires_grad:
            dw = PooledWeightGradient(weight.shape, self.arrangement, self.where)(x, dy)
        # that the pooling scatters dy changes no sum
        db = [sum_of(dy, axis=(0, 1, 2)) if b.requires_grad else None for b in bias]
        return (dx, dw, *db)


class PooledInputGradient(Op):
    """dx = InputGradient(Scatter(dy), weight);   ddy = Gather(Convolve(ddx, weight)).

    The sum of products is the same three ways: it is linear in dy, and in weight, whose gradient is
    dw = PooledWeightGradient(ddx, dy).
    """

    def __init__(self, x_shape: tuple[int, ...], arrangement: Arrangement, where: Array) -> None:
        self.x_shape, self.arrangement, self.where = x_shape, arrangement, where

    def forward(self, dy: Array, weight: Array) -> Array:
        settings = (self.x_shape, self.arrangement)
        return kernels.conv_pool.input_grad(dy, self.where, weight, *settings)

    def backward(self, ddx: Tensor) -> tuple[Tensor, Tensor]:
        dy, weight = self.inputs
        ddy = Gather(self.where)(Convolve(self.arrangement)(ddx, weight))
        dw = PooledWeightGradient(weight.shape, self.arrangement, self.where)(ddx, dy)
        return ddy, dw


class PooledWeightGradient(Op):
    """dw = WeightGradient(x, Scatter(dy));   ddy = Gather(Convolve(x, ddw)).

    And, as above, dx = PooledInputGradient(dy, ddw).
    """

    def __init__(
        self, weight_shape: tuple[int, ...], arrangement: Arrangement, where: Array
    ) -> None:
        self.weight_shape, self.arrangement, self.where = weight_shape, arrangement, where

    def forward(self, x: Array, dy: Array) -> Array:
        settings = (self.weight_shape, self.arrangement)
        return kernels.conv_pool.weight_grad(x, dy, self.where, *settings)

    def backward(self, ddw: Tensor) -> tuple[Tensor, Tensor]:
        x, dy = self.inputs
        dx = PooledInputGradient(x.shape, self.arrangement, self.where)(dy, ddw)
        ddy = Gather(self.where)(Convolve(self.arrangement)(x, ddw))
        return dx, ddy


def conv_pool(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Pair = 1,
    padding: str = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    pool_size: Pair = 2,
    pool_strides: Pair | None = None,
    pool_padding: str = "valid",
) -> Tensor:
    """Convolve, keep the largest number of every window, and cut off below zero.

        y = relu(max_pool2d(conv2d(x, weight, bias)))

    The same numbers as max_pool2d(relu(conv2d(...))), because relu keeps the order of numbers, and
    the same gradients: where the largest z of a window is above zero, that z receives dy either
    way, and where it is not, no z of the window receives any. But the output of the convolution, as
    a rule the largest array of a network, is never written to memory.

    Args:
        x: images, (N, H, W, C).
        weight: filters, (P, Q, C / groups, F).
        bias: one number per filter, (F,).
        strides: of the convolution; this and the next three as for conv2d.
        padding: of the convolution.
        dilation: of the convolution.
        groups: of the convolution.
        pool_size: the window of the pooling; this and the next two as for max_pool2d.
        pool_strides: of the pooling.
        pool_padding: of the pooling.

    Returns:
        What max_pool2d makes of (N, I, J, F).

    Raises:
        ValueError: as for conv2d and max_pool2d.
        TypeError: x, weight and bias are not all float32 or all float64.

    Kernels: kernels/conv_pool.py.

    >>> import numpy as np
    >>> x, weight = Tensor(np.ones((1, 6, 6, 3))), Tensor(np.ones((3, 3, 3, 8)))
    >>> conv_pool(x, weight).shape
    (1, 2, 2, 8)
    """
    arrangement = arrange(x, weight, bias, strides, padding, dilation, groups)
    z_shape = output_shape(x, weight, arrangement)
    window = pair("conv_pool", "pool_size", pool_size)
    pool_strides = window if pool_strides is None else pool_strides
    placement = place_window("conv_pool", z_shape, window, pool_strides, pool_padding)
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return ConvolveAndPool(arrangement, window, placement)(*inputs)
