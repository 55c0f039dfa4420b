"""Layers that hold other layers: which ones, and what they are called.

A layer owns the layers among its attributes, and those in lists, tuples and dicts among them:

    self.conv = Conv2D(8, 3)            the part "conv"
    self.tail = [Dense(4), Dense(2)]    the parts of the list "tail"
    self.heads = {"a": Dense(4)}        the part of the dict "heads"

Nothing is registered when an attribute is set: whoever wants to know looks the attributes through.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minicnn.layers.structure import NESTED, leaves

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


@functools.cache  # every training step asks for every attribute
def _may_hold(kind: type) -> bool:
    """Whether something of this type can be a layer, or hold one."""
    from minicnn.layers.layer import Layer  # here, because that file needs this one

    return issubclass(kind, (Layer, *NESTED))


def parts_by_attribute(layer: Layer) -> Iterator[tuple[str, Layer | list[Layer]]]:
    """Each attribute of `layer` that is a layer or holds some, with these layers.

    A layer that is held twice is found once.
    """
    from minicnn.layers.layer import Layer

    seen: set[Layer] = set()
    for attribute, value in vars(layer).items():
        kind: type = type(value)
        if not _may_hold(kind):
            continue
        if kind in (list, tuple) and not any(map(_may_hold, map(type, value))):
            continue
        if isinstance(value, Layer):
            if value not in seen:
                seen.add(value)
                yield attribute, value
        else:
            found = [leaf for leaf in leaves(value) if isinstance(leaf, Layer)]
            parts = dict.fromkeys([part for part in found if part not in seen])
            seen.update(parts)
            if parts:
                yield "layers" if attribute == "_layers" else attribute, list(parts)


def parts_of(layer: Layer) -> list[Layer]:
    """The layers that `layer` holds, in the order of its attributes; not the parts of its parts."""
    parts: list[Layer] = []
    for _, found in parts_by_attribute(layer):
        parts += found if isinstance(found, list) else [found]
    return parts
