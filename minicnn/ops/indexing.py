"""Read numbers at some places, or write them there: each is the other's gradient."""

import math
from types import EllipsisType
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, array_module, beside, filled, kernels


class Read(Op):
    """y = x[index];   dx = Write(dy)."""

    def __init__(self, index: Any, distinct: bool) -> None:
        self.index, self.distinct = index, distinct

    def forward(self, x: Array) -> Array:
        return x[self.index]

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return Write(self.index, self.distinct, x.shape)(dy)


class Write(Op):
    """dx = 0, then dx[index] += dy;   ddy = Read(ddx)."""

    def __init__(self, index: Any, distinct: bool, x_shape: tuple[int, ...]) -> None:
        self.index, self.distinct, self.x_shape = index, distinct, x_shape

    def forward(self, dy: Array) -> Array:
        if not self.distinct:
            return self._collected(dy)
        dx = filled(self.x_shape, 0, like=dy)
        dx[self.index] = dy
        return dx

    def _collected(self, dy: Array) -> Array:
        """The gradient where places may come twice: dx[index] += dy would count them only once."""
        touched = _axes_touched(self.index, len(self.x_shape))
        shape, row = self.x_shape[:touched], self.x_shape[touched:]
        rows = math.prod(shape)
        places = array_module(dy).arange(rows).reshape(shape)[self.index].reshape(-1)
        dx = kernels.rows.scatter(dy.reshape(len(places), *row), places, rows)
        return dx.reshape(self.x_shape)

    def backward(self, ddx: Tensor) -> Tensor:
        return Read(self.index, self.distinct)(ddx)


def getitem(x: Tensor, index: Any) -> Tensor:
    """Take a part of x, as NumPy does: `getitem(x, index)` is what `x[index]` calls.

        y[k] = x[index[k]]

    A number that was read several times collects the dy of all its copies; one that was not read
    gets 0:

        dx[m] = sum of dy[k] over all k with index[k] = m

    Args:
        x: any shape.
        index: what NumPy takes: integers, slices, None, ..., arrays of integers or of truth
            values, or a tuple of such.

    Returns:
        A tensor of the shape that NumPy gives to x[index].

    Raises:
        IndexError: the index does not fit the shape of x.
        TypeError: an array in the index holds neither integers nor truth values.

    Kernels: kernels/rows.py, for the gradient where arrays of integers choose.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> getitem(x, 1), getitem(x, (slice(None), 0)), getitem(x, np.array([1, 1, 0])).shape
    (Tensor([3. 4.]), Tensor([1. 3.]), (3, 2))
    """
    parts = tuple(_part(p, x) for p in (index if isinstance(index, tuple) else (index,)))
    distinct = not any(hasattr(p, "dtype") and p.ndim and p.dtype.kind != "b" for p in parts)
    try:
        return Read(parts, distinct)(x)
    except IndexError as error:
        raise IndexError(f"getitem: {error}; the tensor has shape {x.shape}.") from None


def _axes_touched(index: tuple[Any, ...], ndim: int) -> int:
    """How many axes an index looks into; of all others it takes whole rows."""
    if any(part is Ellipsis for part in index):
        return ndim
    return sum(_axes_of(part) for part in index)


def _axes_of(part: Any) -> int:
    """How many axes one part of an index looks into: an array of truth values has its own."""
    if part is None:
        return 0
    return part.ndim if hasattr(part, "dtype") and part.dtype.kind == "b" else 1


def _part(part: Any, x: Tensor) -> Any:
    """One part of an index of x; arrays are copied, so that nobody changes them before backward."""
    if part is None or isinstance(part, int | np.integer | slice | EllipsisType):
        return part
    part = part.data if isinstance(part, Tensor) else part
    array = part.copy() if kernels.is_gpu_array(part) else np.array(part)
    if not array.size:
        array = array.astype(np.intp)  # an empty list has no dtype of its own
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"getitem: an index must hold integers or truth values, but holds {array.dtype}."
        )
    return beside(array, x.data)
