"""Layers that hold other layers: which ones, and what they are called.

A layer owns the layers among its attributes, and those in lists and tuples among its attributes:

    self.conv = Conv2D(8, 3)            the part "conv"
    self.tail = [Dense(4), Dense(2)]    the parts of the list "tail"

Nothing is registered when an attribute is set: whoever wants to know looks the attributes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


def parts_by_attribute(layer: Layer) -> Iterator[tuple[str, Layer | list[Layer]]]:
    """Each attribute of `layer` that is a layer or a list with layers in it, with these layers.

    A layer that is held twice is found once.
    """
    from minicnn.layers.layer import Layer  # here, because that file needs this one

    seen: set[Layer] = set()
    for attribute, value in vars(layer).items():
        if isinstance(value, Layer) and value not in seen:
            seen.add(value)
            yield attribute, value
        elif isinstance(value, (list, tuple)):  # `list | tuple` would be made anew each time
            parts = [part for part in value if isinstance(part, Layer)]
            parts = [part for part in dict.fromkeys(parts) if part not in seen]
            if parts:
                seen.update(parts)
                yield attribute, parts


def parts_of(layer: Layer) -> list[Layer]:
    """The layers that `layer` holds, in the order of its attributes; not the parts of its parts."""
    parts: list[Layer] = []
    for _, found in parts_by_attribute(layer):
        parts += found if isinstance(found, list) else [found]
    return parts
