"""Copy pixels to other places: flips, crops and moves are tables of where each one comes from."""

from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, beside, kernels


class GatherPixels(Op):
    """y[n,i,j] = x[n, rows[n,i], columns[n,j]];   dx = ScatterPixels(dy)."""

    def __init__(self, rows: Array, columns: Array, fill: float) -> None:
        self.rows, self.columns, self.fill = rows, columns, fill

    def forward(self, x: Array) -> Array:
        return kernels.augment.gather(x, *_beside(x, self.rows, self.columns), self.fill)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return ScatterPixels(self.rows, self.columns, x.shape)(dy)


class ScatterPixels(Op):
    """dx = 0, then dx[n, rows[n,i], columns[n,j]] += dy[n,i,j];   ddy = GatherPixels(ddx)."""

    def __init__(self, rows: Array, columns: Array, x_shape: tuple[int, ...]) -> None:
        self.rows, self.columns, self.x_shape = rows, columns, x_shape

    def forward(self, dy: Array) -> Array:
        return kernels.augment.scatter(dy, *_beside(dy, self.rows, self.columns), self.x_shape)

    def backward(self, ddx: Tensor) -> Tensor:
        return GatherPixels(self.rows, self.columns, 0.0)(ddx)


def _beside(x: Array, *tables: Array) -> tuple[Array, ...]:
    return tuple(beside(table, x) for table in tables)


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
    if kernels.is_gpu_array(given):
        return given  # made by one of our layers, see backend.fed
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
