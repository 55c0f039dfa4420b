"""What `axis` and `shape` may be, and what is said when they do not fit."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from minicnn.autograd import Axis

Shape = int | Sequence[int]


def normal_axes(who: str, axis: Axis | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Turn `axis` into a tuple of different numbers from 0 to ndim - 1; None means all of them.

    Args:
        who: the function that asks, for the error messages.
        axis: one axis, several, or None; -1 is the last one.
        ndim: how many axes there are.

    Raises:
        ValueError: there is no such axis, or one comes twice.

    >>> normal_axes("sum", (0, -1), 3)
    (0, 2)
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(normal_axis(who, k, ndim) for k in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{who}: axis={axis} names an axis twice.")
    return axes


def normal_axis(who: str, axis: int, ndim: int) -> int:
    """Turn one axis into a number from 0 to ndim - 1; see normal_axes.

    >>> normal_axis("flip", -1, 3)
    2
    """
    k = operator.index(axis)
    if not -ndim <= k < ndim:
        raise ValueError(f"{who}: there is no axis {axis} in a tensor of {ndim} axes.")
    return k % ndim


def as_shape(shape: Shape) -> tuple[int, ...]:
    """Turn one number or any sequence of them into a tuple of Python's integers.

    >>> as_shape(3), as_shape([2, 3])
    ((3,), (2, 3))
    """
    if isinstance(shape, Sequence):
        return tuple(operator.index(n) for n in shape)
    return (operator.index(shape),)


def with_ones(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with `axes` shrunk to size 1, as keepdims leaves it."""
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


def without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` without `axes`."""
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def count(who: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many numbers of a tensor of `shape` meet when `axes` are reduced.

    Raises:
        ValueError: none.
    """
    numbers = math.prod(shape[k] for k in axes)
    if not numbers:
        raise ValueError(f"{who}: there are no numbers along axes {axes} of shape {shape}.")
    return numbers
