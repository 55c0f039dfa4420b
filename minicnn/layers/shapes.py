"""Shapes of inputs and outputs before there is data: an axis of unknown size is None.

What takes several inputs has a structure of shapes (see structure.py) where others have a shape: a
list of numbers is a shape, a list of shapes is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int | None, ...]
Pair: TypeAlias = tuple[int, int]


def batch_of(shape: Shape) -> Shape:
    """Return `shape` for a batch of any size.

    >>> batch_of((64, 32, 32, 3))
    (None, 32, 32, 3)
    """
    return (None, *shape[1:])


def is_shape(value: Any) -> bool:
    """Whether this is one shape, and not a structure of several.

    >>> is_shape((None, 3)), is_shape([(None, 3), (None, 3)])
    (True, False)
    """
    sizes = isinstance(value, tuple | list)
    return sizes and all(size is None or hasattr(size, "__index__") for size in value)


def flat_shapes(shapes: Any) -> list[Shape]:
    """All shapes of a structure, in the order of structure.leaves().

    >>> flat_shapes({"b": (None, 3), "a": [(None, 5)]})
    [(None, 5), (None, 3)]
    """
    if is_shape(shapes):
        return [tuple(shapes)]
    entries = [shapes[key] for key in sorted(shapes)] if isinstance(shapes, dict) else shapes
    return [shape for entry in entries for shape in flat_shapes(entry)]


def mapped_shapes(function: Callable[[Shape], Any], shapes: Any) -> Any:
    """The same structure, with function(shape) in the place of each shape.

    >>> mapped_shapes(batch_of, [(64, 3), (64, 5)])
    [(None, 3), (None, 5)]
    """
    if is_shape(shapes):
        return function(tuple(shapes))
    if isinstance(shapes, dict):
        return {key: mapped_shapes(function, entry) for key, entry in shapes.items()}
    return type(shapes)([mapped_shapes(function, entry) for entry in shapes])
