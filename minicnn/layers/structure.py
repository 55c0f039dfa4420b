"""Structures: lists, tuples and dicts of things, and of such structures again.

A layer or model may take several tensors and give several, in whatever form its author found best:

    [left, right]      {"image": x, "text": [words, lengths]}      x

The things in them are called leaves; something that is in no list, tuple or dict is itself one.
Leaves of dicts come in the order of their sorted keys, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

NESTED = (list, tuple, dict)  # `list | tuple | dict` would be made anew in each of very many calls


def is_nested(structure: Any) -> bool:
    """Whether this is a list, tuple or dict, and not a leaf."""
    return isinstance(structure, NESTED)


def leaves(structure: Any) -> list[Any]:
    """All leaves, in order.

    >>> leaves({"b": [1, 2], "a": 0})
    [0, 1, 2]
    """
    if not is_nested(structure):
        return [structure]
    entries = _in_order(structure)
    return [leaf for entry in entries for leaf in (leaves(entry) if is_nested(entry) else [entry])]


def mapped(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure, with function(leaf) in the place of each leaf.

    >>> mapped(str, {"b": [1, 2], "a": 0})
    {'b': ['1', '2'], 'a': '0'}
    """
    if isinstance(structure, dict):
        return {key: mapped(function, entry) for key, entry in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)([mapped(function, entry) for entry in structure])
    return function(structure)


def packed(structure: Any, found: Sequence[Any]) -> Any:
    """The same structure, with the entries of `found` as its leaves, in the order of leaves().

    >>> packed({"b": [1, 2], "a": 0}, ["x", "y", "z"])
    {'b': ['y', 'z'], 'a': 'x'}
    """
    return _packed(structure, iter(found))


def _packed(structure: Any, found: Iterator[Any]) -> Any:
    if isinstance(structure, dict):
        filled = {key: _packed(structure[key], found) for key in sorted(structure)}
        return {key: filled[key] for key in structure}
    if isinstance(structure, list | tuple):
        return type(structure)([_packed(entry, found) for entry in structure])
    return next(found)


def paths(structure: Any, root: str = "") -> list[str]:
    """How Python finds each leaf in the structure, which is called `root`.

    >>> paths({"b": [1, 2], "a": 0}, "x")
    ["x['a']", "x['b'][0]", "x['b'][1]"]
    """
    if isinstance(structure, dict):
        keys: list[Any] = sorted(structure)
    elif isinstance(structure, list | tuple):
        keys = list(range(len(structure)))
    else:
        return [root]
    return [path for key in keys for path in paths(structure[key], f"{root}[{key!r}]")]


def are_alike(one: Any, other: Any) -> bool:
    """Whether two structures differ in their leaves only; a list may stand for a tuple.

    >>> are_alike([1, {"a": 2}], ("x", {"a": "y"})), are_alike([1], 1)
    (True, False)
    """
    if isinstance(one, dict) or isinstance(other, dict):
        same_keys = isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()
        return same_keys and all(are_alike(one[key], other[key]) for key in one)
    if not is_nested(one) or not is_nested(other):
        return is_nested(one) == is_nested(other)
    return len(one) == len(other) and all(map(are_alike, one, other))


def _in_order(structure: Any) -> Iterable[Any]:
    if isinstance(structure, dict):
        return (structure[key] for key in sorted(structure))
    return structure
