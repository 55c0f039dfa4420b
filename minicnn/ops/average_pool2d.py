"""average_pool2d: the mean of every window; a linear map, whose gradient spreads dy evenly."""

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels
from minicnn.ops.window import Pair, Placement, check_numbers, pair, place_window


class AverageWindows(Op):
    """y[n,i,j,c] = the mean of the x[n,h,w,c] of window i, j;   dx = SpreadOverWindows(dy)."""

    def __init__(self, window: tuple[int, int], placement: Placement) -> None:
        self.window, self.placement = window, placement

    def forward(self, x: Array) -> Array:
        return kernels.average_pool2d.forward(x, self.window, *self.placement)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return SpreadOverWindows(x.shape, self.window, self.placement)(dy)


class SpreadOverWindows(Op):
    """dx[n,h,w,c] += dy[n,i,j,c] / size of window i, j;   ddy = AverageWindows(ddx)."""

    def __init__(
        self, x_shape: tuple[int, ...], window: tuple[int, int], placement: Placement
    ) -> None:
        self.x_shape, self.window, self.placement = x_shape, window, placement

    def forward(self, dy: Array) -> Array:
        return kernels.average_pool2d.spread(dy, self.x_shape, self.window, *self.placement)

    def backward(self, ddx: Tensor) -> Tensor:
        return AverageWindows(self.window, self.placement)(ddx)


def average_pool2d(
    x: Tensor, pool_size: Pair = 2, strides: Pair | None = None, padding: str = "valid"
) -> Tensor:
    """Average the numbers of every window, for each channel on its own.

        y[n,i,j,c]  = sum over p, q of  x[n, s*i + p - top, t*j + q - left, c] / count[i,j]

    Each number of a window has the same share in y, so each receives the same share of dy:

        dx[n,h,w,c] = sum over the windows i, j that hold h, w of  dy[n,i,j,c] / count[i,j]

    Args:
        x: images, (N, H, W, C).
        pool_size: (P, Q), or one number for both.
        strides: steps (s, t) of the window; None puts the windows side by side.
        padding: "valid" or "same", as for conv2d; but padding does not count in the mean.

    Returns:
        (N, I, J, C).

    Raises:
        ValueError: x is not (N, H, W, C), or is smaller than the window.
        TypeError: x is neither float32 nor float64.

    Kernels: kernels/average_pool2d.py.

    >>> average_pool2d(Tensor([[[[1.0], [5.0]], [[7.0], [3.0]]]])).item()
    4.0
    """
    check_numbers("average_pool2d", x)
    window = pair("average_pool2d", "pool_size", pool_size)
    strides = window if strides is None else strides
    placement = place_window("average_pool2d", x.shape, window, strides, padding)
    return AverageWindows(window, placement)(x)
