"""Layers that compute with other weights for a while: with those of a gradient check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.layers.layer import Layer
from minicnn.layers.nesting import layers_within
from minicnn.variable import Variable


def turn_into_float64(layer: Layer) -> None:
    """Let a layer and all its parts compute in float64."""
    for part in layers_within(layer):
        part.dtype = "float64"
        for weight in part.own_weights:
            weight.data = weight.data.astype(np.float64)


@contextmanager
def substituted(layer: Layer, weights: Mapping[Variable, Variable]) -> Iterator[None]:
    """Within this block, a layer and its parts have other weights, and then the old ones again."""
    before = [(part, dict(vars(part))) for part in layers_within(layer)]
    for part, attributes in before:
        for name, value in attributes.items():
            vars(part)[name] = _replaced(value, weights)
    try:
        yield
    finally:
        for part, attributes in before:
            vars(part).update(attributes)


def _replaced(value: Any, weights: Mapping[Variable, Variable]) -> Any:
    if isinstance(value, Variable):
        return weights.get(value, value)
    if isinstance(value, list) and any(isinstance(v, Variable) for v in value):
        return [_replaced(v, weights) for v in value]
    return value


@contextmanager
def same_random_numbers(layer: Layer) -> Iterator[None]:
    """Within this block, random layers draw what they would have drawn anyway; then again."""
    generators = {
        value
        for part in layers_within(layer)
        for value in vars(part).values()
        if isinstance(value, np.random.Generator)
    }
    states = [(g, g.bit_generator.state) for g in generators]
    try:
        yield
    finally:
        for generator, state in states:
            generator.bit_generator.state = state
