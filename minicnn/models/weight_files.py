"""Weights on disk: HDF5 files ".weights.h5" in the layout of Keras, which reads and writes it.

    layers/<class in small letters>[_k]/vars/0, 1, ...    the weights of a layer, in its own order
    layers/<...>/<attribute>/vars/0, 1, ...               those of a layer that this layer holds
    layers/<...>/<attribute>/<class>[_k]/vars/0, 1, ...   the same, for a list of layers
    vars                                                  empty: a Sequential has no more weights

k counts the layers of one class in a list, from the second on: conv2d, conv2d_1. The attribute
`name` of each group `vars` holds the name of the layer or model, for people: it is not used for
finding anything.

A file is written completely beside the old one and then takes its place in one step, so a kill at
any moment leaves the old file or the new one. Reading runs no code, follows no links to other
files, and changes no weight before all of them are known to fit.
"""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from minicnn.arguments import snake_case
from minicnn.backend import Array
from minicnn.files import write_file
from minicnn.layers import InputLayer, Layer
from minicnn.layers.names import numbered
from minicnn.layers.nesting import parts_by_attribute
from minicnn.variable import Variable

ENDING = ".weights.h5"
BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # h5py's words for that
FilePath: TypeAlias = "str | os.PathLike[str]"
Changes: TypeAlias = "list[tuple[Variable, Array]]"


def write_weights(path: FilePath, model_name: str, layers: Sequence[Layer]) -> None:
    """Save the weights of `layers`.

    Args:
        path: the file to write; its name ends in ".weights.h5". An old file is replaced.
        model_name: noted in the file.
        layers: built layers, in the order of the model.

    Raises:
        ValueError: the path has another ending, or a layer is not built.
        OSError: the file cannot be written; an old file is left as it was.

    >>> import tempfile
    >>> from minicnn.layers import Dense
    >>> one, two = Dense(3, input_dim=2), Dense(3, input_dim=2)
    >>> one.build((None, 2)), two.build((None, 2))
    (None, None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_weights(f"{folder}/tiny.weights.h5", "tiny", [one])
    ...     read_weights(f"{folder}/tiny.weights.h5", [two])
    >>> bool((one.get_weights()[0] == two.get_weights()[0]).all())
    True
    """
    path = _checked(path, layers)
    write_file(path, _as_bytes(model_name, layers))


def read_weights(path: FilePath, layers: Sequence[Layer], skip_mismatch: bool = False) -> None:
    """Load the weights of `layers` from a file that write_weights or Keras has written.

    Args:
        path: the file to read; its name ends in ".weights.h5".
        layers: as for write_weights.
        skip_mismatch: whether to leave layers alone that do not fit, with a warning, and load the
            others; by default nothing is loaded unless all fit.

    Raises:
        ValueError: the path has another ending, a layer is not built, or the file does not fit.
        OSError: the file does not exist, or cannot be read as HDF5.
    """
    path = _checked(path, layers)
    changes, problems = _read(path, layers)
    if problems and not skip_mismatch:
        more = f"; and {len(problems) - 3} more such problems" if len(problems) > 3 else ""
        raise ValueError(f"{path}: no weight was loaded, because {'; '.join(problems[:3])}{more}.")
    for problem in problems:
        warnings.warn(f"{path}: skipped, because {problem}.", stacklevel=3)
    for weight, array in changes:
        weight.assign(array)


def _checked(path: FilePath, layers: Sequence[Layer]) -> str:
    path = os.fspath(path)
    if not path.endswith(ENDING):
        raise ValueError(f"A file of weights must end in {ENDING!r}, but the path is {path!r}.")
    for layer in layers:
        if not layer.built:
            raise ValueError(
                f"{path}: {layer.title} has no weights to save or load, as it is not built. Build "
                f"the model first: call it once, or give the first layer an input_shape."
            )
    return path


def _placed(layers: Iterable[Layer], folder: str = "") -> Iterator[tuple[str, Layer]]:
    """Each layer, and each part of it, with the name of its group below layers/.

    In a list they are counted by class, whatever the layer is called.
    """
    count: Counter[str] = Counter()
    for layer in layers:
        if not isinstance(layer, InputLayer):
            name = snake_case(type(layer).__name__)
            yield from _with_parts(f"{folder}{numbered(name, count[name])}", layer)
            count[name] += 1


def _with_parts(place: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
    yield place, layer
    for attribute, found in parts_by_attribute(layer):
        if isinstance(found, Layer):
            yield from _with_parts(f"{place}/{attribute}", found)
        else:
            yield from _placed(found, f"{place}/{attribute}/")


def _as_bytes(model_name: str, layers: Sequence[Layer]) -> bytes:
    """The content of the file. It is made in memory, as HDF5 does not survive a full disk."""
    content = io.BytesIO()
    with _hdf5().File(content, "w") as file:
        file.create_group("vars").attrs["name"] = model_name
        file.create_group("layers")
        for place, layer in _placed(layers):
            group = file.create_group(f"layers/{place}/vars")
            group.attrs["name"] = layer.name
            for k, weight in enumerate(layer.own_weights):
                group.create_dataset(str(k), data=weight.numpy())
    return content.getvalue()


def _read(path: str, layers: Sequence[Layer]) -> tuple[Changes, list[str]]:
    """New arrays for the weights of all layers that fit, and what is wrong with the others."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such file.")
    try:
        with _hdf5().File(path, "r") as file:
            return _compare(file, layers)
    except BROKEN as error:
        raise OSError(
            f"{path}: cannot be read, so no weight was loaded. It is broken, was cut off or is no "
            f"HDF5 file ({error})."
        ) from error


def _compare(file: Any, layers: Sequence[Layer]) -> tuple[Changes, list[str]]:
    if "layer_names" in file.attrs:
        return [], ["it has the layout of Keras 2, one group per layer name, which is not read"]
    saved = {place: _weights_in(file, place) for place in _places_in(file)}
    saved = {name: datasets for name, datasets in saved.items() if datasets}
    changes: Changes = []
    problems = []
    for place, layer in _placed(layers):
        datasets = saved.pop(place, [])
        problem = _mismatch(layer, datasets, place)
        if problem:
            problems.append(problem)
        else:
            arrays = [dataset[()] for dataset in datasets]
            changes += zip(layer.own_weights, arrays, strict=True)
    if saved:
        problems.append(f"it holds weights for layers that are not there: {', '.join(saved)}")
    return changes, problems


def _mismatch(layer: Layer, datasets: Sequence[Any], place: str) -> str:
    """Why these datasets cannot be the weights of the layer, or "" if they can."""
    if len(datasets) != len(layer.own_weights):
        return (
            f"{layer.title} has {len(layer.own_weights)} weights, but the file has {len(datasets)} "
            f"under layers/{place}"
        )
    for weight, dataset in zip(layer.own_weights, datasets, strict=True):
        if not _is_plain(dataset):
            return f"{layer.title}: {weight.name!r} is no plain array of numbers in the file"
        if dataset.shape != weight.shape:
            return (
                f"{layer.title}: {weight.name!r} has shape {weight.shape}, but {dataset.shape} in "
                f"the file"
            )
    return ""


def _places_in(file: Any) -> list[str]:
    """The names of all groups below layers/ that have a group `vars`; links are not followed."""
    found: list[str] = []
    group = _child(file, "layers")
    if hasattr(group, "visit"):
        group.visit(found.append)
    return [name.removesuffix("/vars") for name in found if name.endswith("/vars")]


def _weights_in(file: Any, place: str) -> list[Any]:
    group = _child(file, "layers")
    for name in (*place.split("/"), "vars"):
        group = _child(group, name)
    return [_child(group, str(k)) for k in range(len(_names(group)))]


def _names(group: Any) -> list[str]:
    return list(group) if hasattr(group, "keys") else []


def _child(group: Any, name: str) -> Any:
    """What is called `name` in the group; None if nothing is, or only a link to elsewhere."""
    if name not in _names(group):
        return None
    link = group.get(name, getlink=True)
    return group[name] if isinstance(link, _hdf5().HardLink) else None


def _is_plain(dataset: Any) -> bool:
    """Whether this is an array of numbers, stored in this very file."""
    return (
        isinstance(dataset, _hdf5().Dataset)
        and dataset.dtype.kind in "fiu"
        and dataset.external is None
        and not dataset.is_virtual
    )


def _hdf5() -> Any:
    """The library h5py, imported only when a file is read or written."""
    import h5py

    return h5py
