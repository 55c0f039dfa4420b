"""CSVLogger: the results of every epoch as a line of a text file."""

from __future__ import annotations

import csv
import os
from typing import Any

import numpy as np

from minicnn.callbacks.callback import Callback, Logs
from minicnn.files import write_file


class CSVLogger(Callback):
    """Writes the results of every epoch into a file that spreadsheets and pandas read.

    The columns are "epoch", from 0, and the names of the first epoch's results; where there is no
    validation yet, also those that it would add. What an epoch does not have is "NA".

    Args:
        filename: the file.
        separator: what stands between two columns.
        append: whether to go on with an old file, without a second line of names.

    >>> CSVLogger("log.csv").separator
    ','
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self.keys: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = []
        if not self.append:
            write_file(self.filename, b"")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if not self.keys:
            self.keys = _columns(logs)
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if not file.tell():
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_written(logs.get(key, "NA")) for key in self.keys)])

    def state(self) -> dict[str, Any]:
        with open(self.filename, encoding="utf-8", newline="") as file:
            return {"keys": self.keys, "text": file.read()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.keys = state["keys"]
        write_file(self.filename, state["text"].encode())


def _columns(logs: Logs) -> list[str]:
    names = sorted(logs)
    if any(name.startswith("val_") for name in names):
        return names
    return names + [f"val_{name}" for name in names]


def _written(value: Any) -> Any:
    """A list of numbers in brackets and quotes, so that it stays in one column."""
    if np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, np.asarray(value)))}]"'
