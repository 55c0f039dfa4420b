"""Turn, stretch and move images: each pixel is taken from a place between others."""

from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, beside, kernels
from minicnn.ops.window import check_numbers
from minicnn.suggest import did_you_mean

FILL_MODES = ("reflect", "wrap", "nearest", "constant")
INTERPOLATIONS = ("bilinear", "nearest")


class Warp(Op):
    """y[n,i,j] = a mean of the x[n] around the place that i, j comes from;   dx = WarpBack(dy)."""

    def __init__(self, transforms: Array, bilinear: bool, fill_mode: str, fill: float) -> None:
        self.where = transforms, bilinear, fill_mode
        self.fill = fill

    def forward(self, x: Array) -> Array:
        return kernels.warp.gather(x, beside(self.where[0], x), *self.where[1:], self.fill)

    def backward(self, dy: Tensor) -> Tensor:
        return WarpBack(*self.where)(dy)


class WarpBack(Op):
    """dx = all dy handed back to the pixels they were taken from;   ddy = Warp(ddx)."""

    def __init__(self, transforms: Array, bilinear: bool, fill_mode: str) -> None:
        self.where = transforms, bilinear, fill_mode

    def forward(self, dy: Array) -> Array:
        return kernels.warp.scatter(dy, beside(self.where[0], dy), *self.where[1:])

    def backward(self, ddx: Tensor) -> Tensor:
        return Warp(*self.where, 0.0)(ddx)


def warp(
    x: Tensor,
    transforms: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
) -> Tensor:
    """Turn, stretch or move each image by a transform of its own.

        y[n,i,j,c] = sum over h', w' of  (1 - |h - h'|) * (1 - |w - w'|) * x[n,h',w',c]

        where  w = a[0]*j + a[1]*i + a[2]  and  h = a[3]*j + a[4]*i + a[5],  a = transforms[n],

    over the four pixels h', w' that are less than one row and one column away from h, w. A pixel
    that was taken several times collects the dy of all its copies, each with its share.

    Args:
        x: images, (N, H, W, C).
        transforms: where pixel i, j of y comes from, six numbers for each image, (N, 6).
        interpolation: "bilinear", as above, or "nearest": only the pixel nearest to h, w.
        fill_mode: what is beyond the border of an image a b c d:
            "reflect"   d c b a | a b c d | d c b a     as in a mirror on the border
            "wrap"      a b c d | a b c d | a b c d     as on a tiled floor
            "nearest"   a a a a | a b c d | d d d d     the last one again and again
            "constant"  k k k k | a b c d | k k k k     fill_value
        fill_value: k of the last line.

    Returns:
        (N, H, W, C).

    Raises:
        ValueError: x is not (N, H, W, C), transforms not (N, 6), or a word is unknown.
        TypeError: x is neither float32 nor float64.

    Kernels: kernels/warp.py.

    >>> x = Tensor([[[[1.0], [2.0], [4.0]]]])  # one image of one row
    >>> warp(x, [[1, 0, 0.5, 0, 1, 0]]).numpy().ravel().tolist()  # half a pixel to the left
    [1.5, 3.0, 2.0]
    """
    check_numbers("warp", x)
    if x.ndim != 4:
        raise ValueError(f"warp: wants images, (N, H, W, C), but got shape {x.shape}.")
    table = transforms  # made by one of our layers, if it is on a GPU; see backend.fed
    if not kernels.is_gpu_array(table):
        table = np.array(table, np.float64)  # a copy, so that nobody changes it before backward
    if table.shape != (len(x.data), 6):
        raise ValueError(
            f"warp: wants six numbers for each of {len(x.data)} images, but transforms has shape "
            f"{table.shape}."
        )
    _check_word("interpolation", interpolation, INTERPOLATIONS)
    _check_word("fill_mode", fill_mode, FILL_MODES)
    return Warp(table, interpolation == "bilinear", fill_mode, fill_value)(x)


def _check_word(name: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ValueError(
            f"warp: {name} must be one of {', '.join(known)}, but is {word!r}."
            f"{did_you_mean(str(word), known)}"
        )
