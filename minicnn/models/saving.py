"""Whole models on disk: save_model and load_model, for ".keras" files, which Keras has as well."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from minicnn.files import write_file
from minicnn.layers.limits import limited_weights
from minicnn.models.archive import CONFIG, METADATA, WEIGHTS, archive_as_bytes, read_member
from minicnn.models.serialization import deserialize_keras_object, serialize_keras_object
from minicnn.models.weight_files import FilePath, load_model_weights, weights_as_bytes

if TYPE_CHECKING:
    from minicnn.models.model import Model

ENDING = ".keras"
VERSION = "3.15.1"  # of Keras, whose format this is
SPARE = 2**16  # numbers that a model may have beyond the bytes of its file of weights


def save_model(
    model: Model, filepath: FilePath, overwrite: bool = True, zipped: bool | None = None
) -> None:
    """Save a model: its layers, what it was compiled with, weights, and the optimizer's state.

    Args:
        model: it is built.
        filepath: ends in ".keras".
        overwrite: whether to replace a file that is there.
        zipped: here for Keras' sake; the file is always one archive.

    Raises:
        ValueError: the path has another ending; the model is not built; it holds something that
            cannot be saved, as a lambda.
        FileExistsError: the file is there, and overwrite is False.
        OSError: the file cannot be written; an old one is left as it was.

    >>> import tempfile
    >>> from minicnn.layers import Dense
    >>> from minicnn.models import Sequential
    >>> model = Sequential([Dense(3, input_dim=2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/tiny.keras")
    ...     again = load_model(f"{folder}/tiny.keras")
    >>> bool((again.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    path = os.fspath(filepath)
    _check_ending("save", path)
    if zipped is False:
        raise ValueError("save: zipped=False is not possible: a model is always one '.keras' file.")
    check_overwrite("save", path, overwrite)
    if not model.built:
        raise ValueError(
            f"save: {model.title} has no weights to save, as it is not built. Begin it with "
            f"Input(shape), or call it once."
        )
    described = {"keras_version": VERSION, "date_saved": f"{datetime.now():%Y-%m-%d@%H:%M:%S}"}
    members = {
        METADATA: json.dumps(described).encode(),
        CONFIG: json.dumps(serialize_keras_object(model)).encode(),
        WEIGHTS: weights_as_bytes(path, model),
    }
    write_file(path, archive_as_bytes(members))


def load_model(
    filepath: FilePath,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model that save_model, or that of Keras, has written.

    No code of the file is run: it can only name classes of minicnn, and those of your own that are
    registered (see minicnn.saving) or handed over here.

    Args:
        filepath: ends in ".keras".
        custom_objects: classes and functions of your own, by name.
        compile: whether to compile the model as it was, and to load the state of its optimizer.
        safe_mode: here for Keras' sake; loading is always safe.

    Returns:
        The model, with its weights.

    Raises:
        ValueError: the path has another ending; the file names a class that is not known, or holds
            code; its parts do not fit together.
        OSError: the file is not there, or is broken.
    """
    path = os.fspath(filepath)
    _check_ending("load_model", path)
    config, weights = read_member(path, CONFIG), read_member(path, WEIGHTS)
    with limited_weights(len(weights) + SPARE):
        model = _model_of(path, config, custom_objects, compile)
        if model.optimizer is not None and model.trainable_weights:
            model.optimizer.build(model.trainable_weights)
    load_model_weights(weights, path, model)
    return model


def _model_of(
    path: str, text: bytes, custom_objects: Mapping[str, Any] | None, compile: bool
) -> Model:
    from minicnn.models.model import Model  # here, because that file needs this one

    try:
        config = json.loads(text)
        if not compile and isinstance(config, dict):
            config["compile_config"] = None
        model = deserialize_keras_object(config, custom_objects)
    except Exception as error:  # whatever constructors say of arguments that make no sense
        raise ValueError(
            f"{path}: the model cannot be made of what its {CONFIG} says. {type(error).__name__}: "
            f"{error}"
        ) from error
    if not isinstance(model, Model):
        raise ValueError(f"{path}: its {CONFIG} describes no model, but {type(model).__name__}.")
    if not model.built:
        raise ValueError(f"{path}: {model.title} was saved without the shape of its inputs.")
    return model


def check_overwrite(who: str, path: FilePath, overwrite: bool) -> None:
    """Raise a FileExistsError if the file is there and must stay."""
    if not overwrite and os.path.exists(path):
        raise FileExistsError(
            f"{who}: {os.fspath(path)} is there already. Choose another name, or say "
            f"overwrite=True."
        )


def _check_ending(who: str, path: str) -> None:
    if not path.endswith(ENDING):
        hint = "For weights alone there are save_weights and load_weights."
        raise ValueError(
            f"{who}: a file of a model must end in {ENDING!r}, but the path is {path!r}. {hint}"
        )
