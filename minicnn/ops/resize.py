"""Make images larger or smaller: each new row and column is a mean of old ones."""

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, constant, kernels
from minicnn.ops.window import check_numbers
from minicnn.resampling import shares, taps
from minicnn.suggest import did_you_mean

METHODS = ("bilinear", "nearest")


class Interpolate(Op):
    """y = shares x along an axis;   dx = Interpolate(shares turned over)(dy).

    `shares` is a matrix (new size, old size) that is nearly empty: only what is not 0 is computed.
    """

    def __init__(self, shares: Array, axis: int) -> None:
        self.shares, self.axis = shares, axis

    def forward(self, x: Array) -> Array:
        places, factors = (constant(table, x) for table in taps(self.shares))
        return kernels.resize.along(x, places, factors, self.axis)

    def backward(self, dy: Tensor) -> Tensor:
        return Interpolate(self.shares.T, self.axis)(dy)


def resize(
    x: Tensor, size: tuple[int, int], method: str = "bilinear", antialias: bool = False
) -> Tensor:
    """Give images another size.

        y[n,i,j,c] = sum over h, w of  a[i,h] * b[j,w] * x[n,h,w,c]

    Row i of the I new ones has its middle at  m = (i + 1/2) * H/I - 1/2,  counted in old rows.

        nearest:   a[i,h] = 1 for the row that m + 1/2 lies in, else 0
        bilinear:  a[i,h] = max(0, 1 - |h - m| / s), divided by the sum of these over all h

    with s = 1: the two rows around m, the nearer one counts more. Images that shrink by more than
    half then lose rows that are never looked at; with antialias, s = H / I where that is above 1,
    so that every row counts. The same for the columns. dx adds up, with the same shares, the dy of
    all y that x was a part of.

    Args:
        x: images, (N, H, W, C).
        size: (I, J).
        method: "bilinear" or "nearest".
        antialias: see above; "nearest" ignores it.

    Returns:
        (N, I, J, C).

    Raises:
        ValueError: x is not (N, H, W, C) or has no pixels, a size is below 1, or there is no such
            method.
        TypeError: x is neither float32 nor float64.

    Kernels: kernels/resize.py. The shares: minicnn/resampling.py.

    >>> resize(Tensor([[[[0.0], [1.0]]]]), (1, 4)).numpy().ravel().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    check_numbers("resize", x)
    if x.ndim != 4 or 0 in x.shape[1:3]:
        raise ValueError(f"resize: wants images, (N, H, W, C), but got shape {x.shape}.")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"resize: size must be (rows, columns), from 1 on, but is {size}.")
    if method not in METHODS:
        raise ValueError(
            f"resize: method must be one of {', '.join(METHODS)}, but is {method!r}."
            f"{did_you_mean(str(method), METHODS)}"
        )
    for axis, new in enumerate(size, start=1):
        if new != x.shape[axis]:
            x = Interpolate(shares(x.shape[axis], new, method, antialias), axis)(x)
    return x
