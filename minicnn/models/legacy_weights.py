"""Weights in the layout of Keras 2, the ".h5" files: one group per layer, under the layer's name.

    attribute layer_names               the names of all layers, in the order of the model
    <layer>  attribute weight_names     those of its weights: what can be learned, then the rest
    <layer>/<name of a weight>          an array

A whole model in a file has all that in the group model_weights. An attribute that is too long for
HDF5 is split into layer_names0, layer_names1, ...

The layers that have weights are paired with those of the model by their order, whatever they are
called, as Keras does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.models.hdf5 import child, found, is_plain
from minicnn.variable import Variable


def is_legacy(file: Any) -> bool:
    """Whether an HDF5 file has this layout."""
    return _has_names(file) or _has_names(child(file, "model_weights"))


def _has_names(group: Any) -> bool:
    attributes = getattr(group, "attrs", {})
    return "layer_names" in attributes or "layer_names0" in attributes


def compare_legacy(file: Any, model: Layer) -> tuple[list[tuple[Variable, Array]], list[str]]:
    """New arrays for the weights of a model, and what does not fit."""
    root = file if _has_names(file) else child(file, "model_weights")
    saved = [(name, _saved_weights(root, name)) for name in _words(root, "layer_names")]
    saved = [(name, weights) for name, weights in saved if weights]
    layers = [layer for layer in getattr(model, "layers", [model]) if layer.weights]
    if len(saved) != len(layers):
        return [], [f"it has weights for {len(saved)} layers, and the model has {len(layers)}"]
    changes: list[tuple[Variable, Array]] = []
    problems = []
    for layer, (name, datasets) in zip(layers, saved, strict=True):
        weights = [*layer.trainable_weights, *layer.non_trainable_weights]
        wanted, came = [x.shape for x in weights], [getattr(x, "shape", None) for x in datasets]
        if wanted != came or not all(map(is_plain, datasets)):
            problems.append(
                f"{layer.title} wants plain arrays of the shapes {wanted}, but the file has {came} "
                f"for {name!r}"
            )
        else:
            changes += zip(weights, (dataset[()] for dataset in datasets), strict=True)
    return changes, problems


def _saved_weights(root: Any, name: str) -> list[Any]:
    group = found(root, name)
    return [found(group, weight) for weight in _words(group, "weight_names")]


def _words(group: Any, attribute: str) -> list[str]:
    """The words of an attribute, which may be split into several."""
    attributes = getattr(group, "attrs", {})
    if attribute in attributes:
        return _decoded(attributes[attribute])
    pieces = itertools.takewhile(attributes.__contains__, map(attribute.__add__, _counted()))
    return [word for piece in pieces for word in _decoded(attributes[piece])]


def _counted() -> Iterator[str]:
    return map(str, itertools.count())


def _decoded(values: Any) -> list[str]:
    return [x.decode() if isinstance(x, bytes) else str(x) for x in values]
