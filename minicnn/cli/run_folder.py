"""A run on disk: the folder that `train` fills, and that `evaluate` and `predict` read.

    run.json               what was trained, on what, and how well
    model.weights.h5       the weights
    learning_curves.png    loss and accuracy, epoch by epoch
    predictions.png        test images, and what the network takes them for

run.json may come from anywhere, so nothing in it is believed before it is checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minicnn.cli.data import CLASS_NAMES
from minicnn.cli.networks import NETWORKS, build
from minicnn.cli.problems import UserError
from minicnn.files import write_file
from minicnn.models import Sequential
from minicnn.suggest import lookup

DEFAULT = "minicnn-run"
DESCRIPTION, WEIGHTS = "run.json", "model.weights.h5"
CURVES, PREDICTIONS = "learning_curves.png", "predictions.png"
LARGEST = 2**20  # bytes of a run.json


@dataclass(frozen=True)
class Run:
    """What must be known to use the weights again.

    Args:
        model: the name of the network.
        dataset: the name of the data set.
        classes: the names of its classes, in the order of the outputs.
        data: where the data set lies, if the user has said so.
        notes: settings and results, for people: nothing is done with them.
    """

    model: str
    dataset: str
    classes: list[str]
    data: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Save run.json in the folder."""
        write_file(folder / DESCRIPTION, self._as_json())

    def _as_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


@contextmanager
def new_folder(wanted: Path, run: Run) -> Iterator[Path]:
    """Make a folder for a new run; one that has saved no weights in the end is removed again.

    If a run is there already, a number is appended to the name: minicnn-run-2, and so on.

    Raises:
        UserError: no such folder can be made, or no file be written to it.
    """
    folder, is_new = _claimed(Path(os.path.abspath(wanted.expanduser())), run)
    try:
        yield folder
    finally:
        if not (folder / WEIGHTS).exists():
            with suppress(OSError):
                (folder / DESCRIPTION).unlink()
                if is_new:
                    folder.rmdir()


def _claimed(wanted: Path, run: Run) -> tuple[Path, bool]:
    """A folder with a new run.json in it, and whether the folder itself is new."""
    folder, number = wanted, 1
    while True:
        is_new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not any((folder / name).exists() for name in (WEIGHTS, CURVES, PREDICTIONS)):
                with open(folder / DESCRIPTION, "xb") as file:  # x: two runs never share a folder
                    file.write(run._as_json())
                return folder, is_new
        except FileExistsError as error:
            if not folder.is_dir():
                raise UserError(f"--output: {folder} is a file, not a folder.") from error
        except OSError as error:
            raise UserError(
                f"--output: nothing can be saved in {folder} ({error.strerror}). Name another "
                f"folder; training has not begun."
            ) from error
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")


def latest_folder() -> Path:
    """The folder here, minicnn-run or minicnn-run-2 and so on, whose weights are the newest.

    Raises:
        UserError: there is none.
    """
    weights = [path / WEIGHTS for path in Path().glob(f"{DEFAULT}*")]
    weights = [path for path in weights if path.is_file()]
    if not weights:
        raise UserError(
            f"there is no run in this folder ({DEFAULT}*). Train one first: minicnn train. "
            f"Or name the folder of a run."
        )
    return max(weights, key=lambda path: path.stat().st_mtime_ns).parent


def read_run(folder: Path) -> Run:
    """Read and check run.json in the folder of a run.

    Raises:
        UserError: it is not there, or not as `train` writes it.
    """
    path = folder / DESCRIPTION
    try:
        with open(path, "rb") as file:
            return _checked(json.loads(file.read(LARGEST)))
    except OSError as error:
        raise UserError(
            f"{folder} is not the folder of a run: {DESCRIPTION} cannot be read "
            f"({error.strerror}). minicnn train makes such folders."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _checked(found: Any) -> Run:
    """The Run that was read; a ValueError if it is none."""
    if not isinstance(found, dict):
        raise ValueError("it holds no description of a run.")
    model = _plain_text("model", found.get("model"))
    lookup("model", model, NETWORKS)
    dataset = _plain_text("dataset", found.get("dataset"))
    lookup("dataset", dataset, CLASS_NAMES)
    names = found.get("classes")
    if not isinstance(names, list) or len(names) < 2:
        raise ValueError("classes must be a list of at least two names.")
    classes = [_plain_text("classes", name) for name in names]
    data = found.get("data")
    return Run(model, dataset, classes, None if data is None else _plain_text("data", data))


def _plain_text(name: str, value: Any) -> str:
    """The text itself, if a terminal can show it without being steered by it."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) < 1000:
        raise ValueError(f"{name} must be a short text, but is {value!r:.100}.")
    return value


def trained_model(folder: Path, run: Run) -> Sequential:
    """Build the network of a run, with the weights that it has learnt.

    Raises:
        UserError: the weights are not there, or do not fit.
    """
    model = build(run.model, len(run.classes))
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    return model
