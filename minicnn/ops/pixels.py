"""Copy pixels to other places: flips, crops and moves are tables of where each one comes from."""

from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels
from minicnn.suggest import lookup


class GatherPixels(Op):
    """y[n,i,j] = x[n, rows[n,i], columns[n,j]];   dx = ScatterPixels(dy)."""

    def __init__(self, rows: Array, columns: Array, fill: float) -> None:
        self.rows, self.columns, self.fill = rows, columns, fill

    def forward(self, x: Array) -> Array:
        return kernels.augment.gather(x, self.rows, self.columns, self.fill)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return ScatterPixels(self.rows, self.columns, x.shape)(dy)


class ScatterPixels(Op):
    """dx = 0, then dx[n, rows[n,i], columns[n,j]] += dy[n,i,j];   ddy = GatherPixels(ddx)."""

    def __init__(self, rows: Array, columns: Array, x_shape: tuple[int, ...]) -> None:
        self.rows, self.columns, self.x_shape = rows, columns, x_shape

    def forward(self, dy: Array) -> Array:
        return kernels.augment.scatter(dy, self.rows, self.columns, self.x_shape)

    def backward(self, ddx: Tensor) -> Tensor:
        return GatherPixels(self.rows, self.columns, 0.0)(ddx)


def gather_pixels(x: Tensor, rows: Any, columns: Any, fill_value: float = 0.0) -> Tensor:
    """Make images of copied pixels: flipped, moved, cropped, as two tables say.

        y[n,i,j,c] = x[n, rows[n,i], columns[n,j], c],   or fill_value where one is negative

    A pixel that was copied several times collects the dy of all its copies:

        dx[n,h,w,c] = sum of dy[n,i,j,c] over all i, j with rows[n,i] = h and columns[n,j] = w

    Args:
        x: images, (N, H, W, C).
        rows: which row of its image each row of y comes from, (N, I); negative for none.
        columns: the same for the columns, (N, J).
        fill_value: what stands where a pixel comes from nowhere.

    Returns:
        (N, I, J, C).

    Raises:
        ValueError: x is not (N, H, W, C), or the tables have not as many rows as x has images.
        IndexError: a table names a row or column that x does not have.

    Kernels: kernels/augment.py.

    >>> x = Tensor([[[[1.0], [2.0], [3.0]]]])  # one image of one row
    >>> gather_pixels(x, [[0]], [[2, 1, -1, 1]]).numpy().ravel().tolist()
    [3.0, 2.0, 0.0, 2.0]
    """
    if x.ndim != 4:
        raise ValueError(f"gather_pixels: wants images, (N, H, W, C), but got shape {x.shape}.")
    N, H, W, _ = x.shape
    tables = _table("rows", rows, N, H), _table("columns", columns, N, W)
    return GatherPixels(*tables, fill_value)(x)


def _table(name: str, given: Any, count: int, size: int) -> Array:
    table = np.array(given, np.intp)  # a copy, so that nobody changes it before backward
    if table.ndim != 2 or len(table) != count:
        raise ValueError(
            f"gather_pixels: {name} must be a table with a row for each of {count} images, but "
            f"has shape {table.shape}."
        )
    if table.max(initial=-1) >= size:
        raise IndexError(
            f"gather_pixels: {name} names number {table.max()}, but x has only {size}, counted "
            f"from 0."
        )
    return table


def _mirrored(place: Array, size: int) -> Array:
    there_and_back = place % (2 * size)
    return np.minimum(there_and_back, 2 * size - 1 - there_and_back)


def _tiled(place: Array, size: int) -> Array:
    return place % size


def _nearest(place: Array, size: int) -> Array:
    return np.clip(place, 0, size - 1)


def _none_outside(place: Array, size: int) -> Array:
    return np.where((place >= 0) & (place < size), place, -1)


FILL_MODES = {
    "reflect": _mirrored,
    "wrap": _tiled,
    "nearest": _nearest,
    "constant": _none_outside,
}


def places_beyond(place: Array, size: int, fill_mode: str) -> Array:
    """Find the pixels that stand in for those beyond the border, along one axis of an image.

        reflect   d c b a | a b c d | d c b a     as in a mirror on the border
        wrap      a b c d | a b c d | a b c d     as on a tiled floor
        nearest   a a a a | a b c d | d d d d     the last one again and again
        constant  - - - - | a b c d | - - - -     none: -1

    Args:
        place: integers from anywhere.
        size: number of pixels along the axis.
        fill_mode: one of the words above.

    Returns:
        An array of the shape of place, with integers from 0 to size - 1, or -1 for none.

    Raises:
        ValueError: fill_mode is unknown.

    >>> [places_beyond(np.arange(-2, 3), 5, mode).tolist() for mode in ("reflect", "wrap")]
    [[1, 0, 0, 1, 2], [3, 4, 0, 1, 2]]
    """
    return lookup("fill_mode", fill_mode, FILL_MODES)(place, size)
