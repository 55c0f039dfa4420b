"""Weights of PyTorch, in the form of safetensors files, put into a model.

    8 bytes                     the length of the header, a little-endian number
    the header, JSON            {"fc.weight": {"dtype": "F32", "shape": [10, 64],
                                               "data_offsets": [0, 2560]}, ...}
    the numbers, one array behind the other

That is data and nothing else: no code is run, and each size is checked before it is used.

PyTorch keeps the same numbers in another order of axes, which is turned here:

    Dense             (out, in)         becomes (in, out)
    Conv2D            (F, C, P, Q)      becomes (P, Q, C, F)
    DepthwiseConv2D   (C * M, 1, P, Q)  becomes (P, Q, C, M)

A Dense layer behind a Flatten is a trap: PyTorch flattens images as (C, H, W), minicnn as
(H, W, C). Give the shape of the image, and the rows are put in order, too.

Source: the format is described at github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.layers import BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Layer
from minicnn.models.model import Model
from minicnn.suggest import did_you_mean

LARGEST_HEADER = 10**8  # bytes, as the format has it
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
}
SUFFIXES = {  # what PyTorch calls the weights of layers, by their names here
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read all arrays of a safetensors file.

    Args:
        path: the file.

    Returns:
        The arrays by their names.

    Raises:
        ValueError: the file is broken, or holds numbers of a kind that NumPy does not have.
        OSError: it cannot be opened.

    >>> import tempfile
    >>> header = b'{"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/a.safetensors", "wb") as file:
    ...         _ = file.write(len(header).to_bytes(8, "little") + header + bytes([3, 4]))
    ...     read_safetensors(f"{folder}/a.safetensors")
    {'a': array([3, 4], dtype=uint8)}
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise ValueError(
                f"{path}: its header claims to have {length} bytes, but the file has {size}. It "
                f"is broken, was cut off or is no safetensors file."
            )
        entries = _header(path, file.read(length))
        data = file.read()
    return {name: _array(path, name, entry, data) for name, entry in entries.items()}


def _header(path: Any, text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its header is no JSON ({error}).") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{path}: its header is no dict, but {type(entries).__name__}.")
    entries.pop("__metadata__", None)
    return entries


def _array(path: Any, name: str, entry: Any, data: bytes) -> Array:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not _are_counts(shape) or not _are_counts(place) or len(place) != 2:
        raise ValueError(f"{path}: does not say of {name!r} which shape and which place it has.")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(
            f"{path}: {name!r} is of the dtype {dtype!r}. Readable are {', '.join(DTYPES)}."
        )
    begin, end = place
    wanted = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if not begin <= end <= len(data) or end - begin != wanted:
        raise ValueError(
            f"{path}: {name!r} of the shape {shape} takes {wanted} bytes, but is said to stand "
            f"from {begin} to {end} of {len(data)}. The file is broken or was cut off."
        )
    return np.frombuffer(data[begin:end], DTYPES[dtype]).reshape(shape)


def _are_counts(found: Any) -> bool:
    plain = isinstance(found, list) and all(type(n) is int for n in found)
    return plain and all(0 <= n < 2**63 for n in found)


def load_safetensors(
    model: Model,
    filepath: str | os.PathLike[str],
    names: Mapping[str, str],
    flattened: Mapping[str, tuple[int, int, int]] | None = None,
) -> None:
    """Put weights of PyTorch into a model. Either all fit, or none is changed.

    Args:
        model: it is built.
        filepath: a file of safetensors, as safetensors.torch.save_file(module.state_dict(), path)
            writes it.
        names: for each layer that is to get weights, by its name, what it is called in PyTorch:
            {"conv2d": "features.0"} takes "features.0.weight" and "features.0.bias". A layer in a
            model within the model is "inner/conv2d".
        flattened: for Dense layers that follow a Flatten, the shape (H, W, C) of the images.

    Raises:
        ValueError: a layer or an array is missing, or its shape does not fit; or the file is
            broken.
        NotImplementedError: it is not known how PyTorch keeps the weights of such a layer.
        OSError: the file cannot be opened.

    Known are Dense, Conv2D, DepthwiseConv2D and BatchNormalization, whose epsilon is 1e-5 in
    PyTorch: make the layer with that.
    """
    arrays, changes = read_safetensors(filepath), []
    for name, theirs in names.items():
        layer = _layer_called(model, name)
        image = (flattened or {}).get(name)
        for weight in layer.own_weights:
            key = f"{theirs}.{SUFFIXES[weight.name]}"
            if key not in arrays:
                raise ValueError(
                    f"load_safetensors: {os.fspath(filepath)} has no {key!r}, which {layer.title} "
                    f"needs.{did_you_mean(key, arrays)}"
                )
            array = _turned(layer, arrays[key], image) if weight.name == "kernel" else arrays[key]
            if array.shape != weight.shape:
                raise ValueError(
                    f"load_safetensors: {layer.title}: {weight.name!r} has the shape "
                    f"{weight.shape}, but {key!r} is {arrays[key].shape} in the file, which "
                    f"makes {array.shape}."
                )
            changes.append((weight, array))
    for weight, array in changes:
        weight.assign(array)


def _layer_called(model: Any, name: str) -> Layer:
    layer = model
    for part in name.split("/"):
        layer = layer.get_layer(part)
    if not isinstance(layer, Dense | Conv2D | DepthwiseConv2D | BatchNormalization):
        raise NotImplementedError(
            f"load_safetensors: it is not known how PyTorch keeps the weights of {layer.title}. "
            f"Read them with read_safetensors, and use layer.set_weights."
        )
    return layer


def _turned(layer: Layer, array: Array, image: tuple[int, int, int] | None) -> Array:
    """A kernel of PyTorch with its axes as they are here; as it is, if it has other axes."""
    if isinstance(layer, Dense) and array.ndim == 2:
        if image is not None and math.prod(image) == array.shape[1]:
            H, W, C = image
            array = array.reshape(-1, C, H, W).transpose(0, 2, 3, 1).reshape(len(array), -1)
        return array.T
    if isinstance(layer, Conv2D) and array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if isinstance(layer, DepthwiseConv2D) and array.ndim == 4:
        F, _, P, Q = array.shape
        M = layer.depth_multiplier
        return array.transpose(2, 3, 0, 1).reshape(P, Q, F // M, M) if F % M == 0 else array
    return array
