"""Weights on disk: HDF5 in the layout of Keras, which reads and writes it.

    <place>/vars/0, 1, ...    the weights of a layer, in its own order; places.py says where
    vars                      those of the model itself
    optimizer/vars/0, 1, ...  the state of the optimizer, if the model is compiled

The attribute `name` of each group `vars` holds the name of the layer or model, for people: it is
not used for finding anything.

A file is written completely beside the old one and then takes its place in one step, so a kill at
any moment leaves the old file or the new one. Reading runs no code, follows no links to other
files, and changes no weight before all of them are known to fit.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minicnn.backend import Array
from minicnn.files import write_file
from minicnn.layers import Layer
from minicnn.models.archive import WEIGHTS, read_member
from minicnn.models.hdf5 import found, hdf5, is_plain, numbered_in, opened
from minicnn.models.legacy_weights import compare_legacy, is_legacy
from minicnn.models.places import places
from minicnn.variable import Variable

ENDING = ".weights.h5"
FilePath: TypeAlias = "str | os.PathLike[str]"
Changes: TypeAlias = "list[tuple[Variable, Array]]"


def write_weights(path: FilePath, model: Layer) -> None:
    """Save the weights of a model, and the state of its optimizer if it is compiled.

    Args:
        path: the file to write; its name ends in ".weights.h5". An old file is replaced.
        model: all its layers are built.

    Raises:
        ValueError: the path has another ending, or a layer is not built.
        OSError: the file cannot be written; an old file is left as it was.

    >>> import tempfile
    >>> from minicnn.layers import Dense
    >>> one, two = Dense(3, input_dim=2), Dense(3, input_dim=2)
    >>> one.build((None, 2)), two.build((None, 2))
    (None, None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_weights(f"{folder}/tiny.weights.h5", one)
    ...     read_weights(f"{folder}/tiny.weights.h5", two)
    >>> bool((one.get_weights()[0] == two.get_weights()[0]).all())
    True
    """
    path = os.fspath(path)
    if not path.endswith(ENDING):
        raise ValueError(f"A file of weights must end in {ENDING!r}, but the path is {path!r}.")
    write_file(path, weights_as_bytes(path, model))


def read_weights(path: FilePath, model: Layer, skip_mismatch: bool = False) -> None:
    """Load the weights of a model from a file that minicnn or Keras has written.

    If the model is in training, and the file has a fitting state of the optimizer, that is loaded
    as well.

    Args:
        path: the file to read: ".weights.h5"; ".keras", a whole model; or ".h5", of Keras 2.
        model: as for write_weights.
        skip_mismatch: whether to leave layers alone that do not fit, with a warning, and load the
            others; by default nothing is loaded unless all fit.

    Raises:
        ValueError: the path has another ending, a layer is not built, or the file does not fit.
        OSError: the file does not exist, or cannot be read as HDF5.
    """
    path = os.fspath(path)
    if not path.endswith((".h5", ".keras")):
        raise ValueError(
            f"A file of weights must end in {ENDING!r}, '.keras' or '.h5', but the path is "
            f"{path!r}."
        )
    _check_built(path, model)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file.")
    source: Any = path
    if path.endswith(".keras"):
        source = io.BytesIO(read_member(path, WEIGHTS))
    changes, problems = _read(source, path, model)
    if problems and not skip_mismatch:
        raise ValueError(f"{path}: no weight was loaded, because {_listed(problems)}.")
    for problem in problems:
        warnings.warn(f"{path}: skipped, because {problem}.", stacklevel=3)
    if getattr(getattr(model, "optimizer", None), "built", False):
        _load_fitting_state(source, path, model)
    for weight, array in changes:
        weight.assign(array)


def weights_as_bytes(path: str, model: Layer) -> bytes:
    """The content of a file. It is made in memory, as HDF5 does not survive a full disk.

    Raises:
        ValueError: a layer is not built.
    """
    _check_built(path, model)
    content = io.BytesIO()
    with hdf5().File(content, "w") as file:
        file.create_group("layers")
        for place, layer in places(model):
            _put(file, place, layer.name, [weight.numpy() for weight in layer.own_weights])
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            _put(file, "optimizer", optimizer.name, optimizer.state())
    return content.getvalue()


def _put(file: Any, place: str, name: str, arrays: Sequence[Array]) -> None:
    group = file.require_group(f"{place}/vars" if place else "vars")
    group.attrs["name"] = name
    for k, array in enumerate(arrays):
        group.create_dataset(str(k), data=array)


def load_model_weights(content: bytes, path: str, model: Layer) -> None:
    """Load what weights_as_bytes has returned: all weights, and the state of the optimizer.

    Args:
        content: the bytes.
        path: what messages call them.
        model: its optimizer is built, if it has one.

    Raises:
        ValueError: they do not fit to the model.
        OSError: they are broken.
    """
    changes, problems = _read(io.BytesIO(content), path, model)
    if problems:
        raise ValueError(f"{path}: the weights do not fit to the model: {_listed(problems)}.")
    if getattr(model, "optimizer", None) is not None:
        problem = _load_state(io.BytesIO(content), path, model)
        if problem:
            raise ValueError(
                f"{path}: {problem}. Load the model without its optimizer: "
                f"load_model(path, compile=False)."
            )
    for weight, array in changes:
        weight.assign(array)


def _check_built(path: str, model: Layer) -> None:
    for _, layer in places(model):
        if not layer.built:
            raise ValueError(
                f"{path}: {layer.title} has no weights to save or load, as it is not built. Build "
                f"the model first: call it once, or give the first layer an input_shape."
            )


def _listed(problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - 3} more such problems" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + more


def _read(source: Any, path: str, model: Layer) -> tuple[Changes, list[str]]:
    """New arrays for the weights of all layers that fit, and what is wrong with the others."""
    with opened(source, path) as file:
        if is_legacy(file):
            return compare_legacy(file, model)
        return _compare(file, model)


def _compare(file: Any, model: Layer) -> tuple[Changes, list[str]]:
    changes: Changes = []
    problems = []
    known = dict(places(model))
    for place, layer in known.items():
        datasets = _saved_at(file, place)
        problem = _mismatch(layer, datasets, place)
        if problem:
            problems.append(problem)
        else:
            arrays = [dataset[()] for dataset in datasets]
            changes += zip(layer.own_weights, arrays, strict=True)
    unknown = [place for place in _places_in(file, known) if _saved_at(file, place)]
    if unknown:
        problems.append(f"it holds weights for layers that are not there: {', '.join(unknown)}")
    return changes, problems


def _saved_at(file: Any, place: str) -> list[Any]:
    return numbered_in(found(file, f"{place}/vars"))


def _mismatch(layer: Layer, datasets: Sequence[Any], place: str) -> str:
    """Why these datasets cannot be the weights of the layer, or "" if they can."""
    if len(datasets) != len(layer.own_weights):
        return (
            f"{layer.title} has {len(layer.own_weights)} weights, but the file has {len(datasets)} "
            f"under {place or 'vars'}"
        )
    for weight, dataset in zip(layer.own_weights, datasets, strict=True):
        if not is_plain(dataset):
            return f"{layer.title}: {weight.name!r} is no plain array of numbers in the file"
        if dataset.shape != weight.shape:
            return (
                f"{layer.title}: {weight.name!r} has shape {weight.shape}, but {dataset.shape} in "
                f"the file"
            )
    return ""


def _places_in(file: Any, known: dict[str, Layer]) -> list[str]:
    """The places of layers in the file that the model does not have; links are not followed.

    Beside the layers there may be an optimizer, and, from older versions of Keras, metrics and the
    seeds of layers.
    """
    there: list[str] = []
    for top in {"layers", *(place.split("/")[0] for place in known if place)}:
        group = found(file, top)
        if hasattr(group, "visit"):
            group.visit(lambda name, top=top: there.append(f"{top}/{name}"))
    ends = [name.removesuffix("/vars") for name in there if name.endswith("/vars")]
    return [name for name in ends if name not in known and not name.endswith("/seed_generator")]


def _load_fitting_state(source: Any, path: str, model: Layer) -> None:
    """Load the state of the optimizer, if the file has one; warn if it is of another."""
    with opened(source, path) as file:
        if found(file, "optimizer/vars") is None:
            return
    problem = _load_state(source, path, model)
    if problem:
        warnings.warn(f"{path}: the optimizer goes on as it was: {problem}.", stacklevel=4)


def _load_state(source: Any, path: str, model: Any) -> str:
    """Let the optimizer go on from the state in a file; say why, if that is not possible.

    A state that was saved before the first step has no more than the number of steps and the
    learning rate.
    """
    optimizer = model.optimizer
    before: list[Array] = optimizer.state()
    with opened(source, path) as file:
        datasets = _saved_at(file, "optimizer")
        if not datasets:
            return "the file has no state of an optimizer"
        if len(datasets) != len(before) and len(datasets) > 2:
            return (
                f"{type(optimizer).__name__} keeps {len(before)} arrays, but the file has "
                f"{len(datasets)} of them"
            )
        for k, (dataset, old) in enumerate(zip(datasets, before, strict=False)):
            if not is_plain(dataset) or dataset.shape != old.shape:
                return f"array {k} of the optimizer is not of the shape {old.shape} in the file"
        arrays = [dataset[()] for dataset in datasets[: len(before)]]
    if not 0 <= arrays[0] < np.iinfo(np.int64).max:
        return f"the optimizer cannot have done {arrays[0]} steps"
    try:
        optimizer.load_state([*arrays, *before[len(arrays) :]])
    except (ValueError, TypeError) as error:
        return str(error).rstrip(".")
    return ""
