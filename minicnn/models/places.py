"""Where in a file of weights each layer of a model has its place, as Keras has it.

    layers/<class>[_k]                the layers of a Sequential or of Model(inputs, outputs)
    <attribute>                       a layer that a model or layer holds as an attribute
    <attribute>/<class>[_k]           a layer in a list or dict that is an attribute
    <attribute>/container[_k]/...     the same in a list within the list

<class> is the name of the class in small letters: the names of layers do not matter, as they may
differ from one making of a model to the next. k counts the layers of a class in a list, from the
second on: conv2d, conv2d_1. A layer that is held twice has the first of its places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from minicnn.arguments import snake_case
from minicnn.layers import InputLayer, Layer
from minicnn.layers.names import numbered
from minicnn.layers.structure import is_nested


def places(model: Layer) -> Iterator[tuple[str, Layer]]:
    """Each layer with its place; the model itself has the place "".

    >>> from minicnn.layers import Dense
    >>> from minicnn.models import Sequential
    >>> [place for place, layer in places(Sequential([Dense(2), Sequential([Dense(3)])]))]
    ['', 'layers/dense', 'layers/sequential', 'layers/sequential/layers/dense']
    """
    return _of_layer("", model, set())


def _of_layer(place: str, layer: Layer, seen: set[Layer]) -> Iterator[tuple[str, Layer]]:
    if layer in seen:
        return
    seen.add(layer)
    yield place, layer
    for attribute, value in _attributes(layer):
        inner = f"{place}/{attribute}" if place else attribute
        if isinstance(value, Layer):
            yield from _of_layer(inner, value, seen)
        elif isinstance(value, dict):
            yield from _of_list(inner, value.values(), seen)
        elif isinstance(value, list | tuple):
            yield from _of_list(inner, value, seen)


def _attributes(layer: Layer) -> list[tuple[str, Any]]:
    """The layers of a model first, then its other attributes by name, private ones last."""
    of_object = vars(layer)
    found = sorted(of_object.items(), key=lambda entry: (entry[0].startswith("_"), entry[0]))
    if of_object.get("_layers") is None:
        return found
    rest = [(name, value) for name, value in found if name != "_layers"]
    return [("layers", of_object["_layers"]), *rest]


def _of_list(place: str, entries: Iterable[Any], seen: set[Layer]) -> Iterator[tuple[str, Layer]]:
    count: Counter[str] = Counter()
    for entry in entries:
        if isinstance(entry, Layer) and not isinstance(entry, InputLayer):
            name = snake_case(type(entry).__name__)
            yield from _of_layer(f"{place}/{numbered(name, count[name])}", entry, seen)
            count[name] += 1
        elif is_nested(entry):
            entries = entry.values() if isinstance(entry, dict) else entry
            inner = f"{place}/{numbered('container', count['container'])}"
            yield from _of_list(inner, entries, seen)
            count["container"] += 1
