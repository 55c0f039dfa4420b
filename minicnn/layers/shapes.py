"""Shapes of inputs and outputs before there is data: an axis of unknown size is None."""

from typing import TypeAlias

Shape: TypeAlias = tuple[int | None, ...]
Pair: TypeAlias = tuple[int, int]


def batch_of(shape: Shape) -> Shape:
    """Return `shape` for a batch of any size.

    >>> batch_of((64, 32, 32, 3))
    (None, 32, 32, 3)
    """
    return (None, *shape[1:])
