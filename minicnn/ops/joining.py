"""Put tensors beside one another, or zeros around one."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, filled, joined
from minicnn.ops.axes import normal_axis, without
from minicnn.ops.shape import cast, reshape

Widths: TypeAlias = "int | tuple[int, int] | Sequence[tuple[int, int]]"


class Concatenate(Op):
    """y = all xs one after the other along an axis;   dx = the part of dy where x stands."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        return joined(xs, self.axis)

    def backward(self, dy: Tensor) -> tuple[Tensor | None, ...]:
        dxs: list[Tensor | None] = []
        start = 0
        for x in self.inputs:
            stop = start + x.shape[self.axis]
            part = (slice(None),) * self.axis + (slice(start, stop),)
            dxs.append(dy[part] if x.requires_grad else None)
            start = stop
        return tuple(dxs)


class Pad(Op):
    """y = x in the middle of a frame of one number;   dx = the middle of dy."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths, self.value = widths, value

    def _middle(self, x_shape: tuple[int, ...]) -> tuple[slice, ...]:
        pairs = zip(self.widths, x_shape, strict=True)
        return tuple(slice(before, before + n) for (before, _), n in pairs)

    def forward(self, x: Array) -> Array:
        sizes = [sum(width) + n for width, n in zip(self.widths, x.shape, strict=True)]
        y = filled(tuple(sizes), self.value, like=x)
        y[self._middle(x.shape)] = x
        return y

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return dy[self._middle(x.shape)]


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join tensors end to end along an axis that they have.

        y = x1, then x2, then x3 ...        along `axis`

    Each number only moves, so each x receives the part of dy where it stands in y.

    Args:
        tensors: at least one; their shapes differ along `axis` only.
        axis: along which they are joined.

    Returns:
        A tensor as long along `axis` as all of them together.

    Raises:
        ValueError: there is no tensor, no such axis, or the shapes do not fit.

    >>> concatenate([Tensor([[1.0], [2.0]]), Tensor([[3.0], [4.0]])], axis=1)
    Tensor([[1. 3.]
     [2. 4.]])
    """
    tensors = _of_one_dtype("concatenate", tensors)
    axis = normal_axis("concatenate", axis, tensors[0].ndim)
    shapes = [x.shape for x in tensors]
    if any(
        len(shape) != len(shapes[0]) or without(shape, (axis,)) != without(shapes[0], (axis,))
        for shape in shapes
    ):
        raise ValueError(
            f"concatenate: all sizes but those along axis {axis} must be equal, but the shapes are "
            f"{', '.join(map(str, shapes))}."
        )
    return Concatenate(axis)(*tensors)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

        y[0] = x1, y[1] = x2, y[2] = x3 ...     for axis=0

    Each number only moves, so each x receives the part of dy where it stands in y.

    Args:
        tensors: at least one, all of the same shape.
        axis: where the new axis stands in the shape of the result.

    Returns:
        A tensor with one axis more, as long as there are tensors.

    Raises:
        ValueError: there is no tensor, no such axis, or the shapes differ.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor([[1. 2.]
     [3. 4.]])
    """
    tensors = _of_one_dtype("stack", tensors)
    shape = tensors[0].shape
    if any(x.shape != shape for x in tensors):
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ValueError(f"stack: the tensors must have one shape, but they have {shapes}.")
    axis = normal_axis("stack", axis, len(shape) + 1)
    thin = (*shape[:axis], 1, *shape[axis:])
    return Concatenate(axis)(*(reshape(x, thin) for x in tensors))


def pad(x: Tensor, widths: Widths, value: float = 0.0) -> Tensor:
    """Put a frame of one number around x.

        y[k] = x[k - before]  where there is such an x, else `value`

    The frame does not depend on x, so dx is the middle of dy.

    Args:
        x: any shape.
        widths: how many numbers come (before, after) x along each axis: one pair per axis, or one
            pair for all axes, or one number for all sides.
        value: what the frame is made of.

    Returns:
        A tensor with before + after numbers more along each axis.

    Raises:
        ValueError: widths are negative, or are not one pair per axis of x.

    >>> pad(Tensor([[1.0, 2.0]]), ((0, 1), (2, 0)))
    Tensor([[0. 0. 1. 2.]
     [0. 0. 0. 0.]])
    """
    try:
        pairs = np.broadcast_to(np.array(widths), (x.ndim, 2)).tolist()
    except ValueError:
        raise ValueError(
            f"pad: wants a pair (before, after) for each of the {x.ndim} axes of x (shape "
            f"{x.shape}), but got widths={widths}."
        ) from None
    if any(not isinstance(width, int) or width < 0 for pair in pairs for width in pair):
        raise ValueError(
            f"pad: wants whole widths of at least 0, but got {widths}. To cut off, use x[1:-1]."
        )
    return Pad(tuple((before, after) for before, after in pairs), value)(x)


def _of_one_dtype(who: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    if not tensors:
        raise ValueError(f"{who}: wants at least one tensor, but got none.")
    dtype = np.result_type(*(x.dtype for x in tensors))
    return [x if x.dtype == dtype else cast(x, dtype) for x in tensors]
