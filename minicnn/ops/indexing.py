"""Read numbers at some places, or write them there: each is the other's gradient."""

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
        dx = filled(self.x_shape, 0, like=dy)
        if self.distinct:
            dx[self.index] = dy
        else:
            array_module(dy).add.at(
                dx, self.index, dy
            )  # += would count a place that comes twice only once
        return dx

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
