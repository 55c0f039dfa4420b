"""Layers that hold other layers: which ones, and what they are called.

A layer owns the layers among its attributes, and those in lists, tuples and dicts among them:

    self.conv = Conv2D(8, 3)            the part "conv"
    self.tail = [Dense(4), Dense(2)]    the parts of the list "tail"
    self.heads = {"a": Dense(4)}        the part of the dict "heads"

Nothing is registered when an attribute is set: whoever wants to know looks the attributes through.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from minicnn.layers.structure import NESTED, leaves

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


@functools.cache  # every training step asks for every attribute
def _may_hold(kind: type) -> bool:
    """Whether something of this type can be a layer, or hold one."""
    from minicnn.layers.layer import Layer  # here, because that file needs this one

    return issubclass(kind, (Layer, *NESTED))


def parts_of(layer: Layer) -> list[Layer]:
    """The layers that `layer` holds, in the order of its attributes; not the parts of its parts.

    A layer that is held twice is found once.
    """
    from minicnn.layers.layer import Layer

    parts: dict[Layer, None] = {}
    for value in vars(layer).values():
        kind: type = type(value)
        if not _may_hold(kind):
            continue
        if kind in (list, tuple) and not any(map(_may_hold, map(type, value))):
            continue
        parts.update((leaf, None) for leaf in leaves(value) if isinstance(leaf, Layer))
    return list(parts)


def layers_within(layer: Layer) -> list[Layer]:
    """A layer and all that it is made of, each once."""
    found: dict[Layer, None] = {}
    _find_within(layer, found)
    return list(found)


def _find_within(layer: Layer, found: dict[Layer, None]) -> None:
    found[layer] = None
    if layer._has_parts:  # asked first, because every step of a training comes here
        for part in parts_of(layer):
            if part not in found:
                _find_within(part, found)
