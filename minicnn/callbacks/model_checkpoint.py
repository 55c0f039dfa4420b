"""ModelCheckpoint: saves the model, or its weights, while it trains."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicnn.callbacks.callback import Logs
from minicnn.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Saves the model while it trains: after each epoch, or only after the best.

    Args:
        filepath: where to, ending in ".keras", or in ".weights.h5" for weights only. It may hold
            {epoch:02d}, counted from 1, {batch} and names of the logs:
            "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: what is watched, if only the best is saved.
        verbose: 1 to print what is done.
        save_best_only: whether to save only if the watched value is better than ever.
        save_weights_only: whether to save the weights alone, and not the whole model.
        mode: "min" if less is better, "max" if more is, "auto" to tell it from the name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value that the first save must beat.

    Raises:
        ValueError: the file name does not end as it must, or a setting is not a possible one; or,
            when training begins, there is no value of a name that is used.

    >>> ModelCheckpoint("best.weights.h5", save_weights_only=True, save_best_only=True).monitor
    'val_loss'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        _check_ending(self.filepath, save_weights_only)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"ModelCheckpoint: save_freq must be 'epoch' or a number of batches, "
                f"but is {save_freq!r}."
            )
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._epoch = 0
        self._batches = 0  # since the last save

    def check_names(self, names: Sequence[str]) -> None:
        if self.save_freq != "epoch":  # validation comes when the epoch is done
            names = [name for name in names if not name.startswith("val_")]
        if self.save_best_only:
            self._check_name(self.monitor, names)
        for _, field, _, _ in string.Formatter().parse(self.filepath):
            if field is not None:
                self._check_name(field, ["epoch", "batch", *names])

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self._batches}

    def load_state(self, state: dict[str, Any]) -> None:
        self.best, self._batches = state["best"], state["batches"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self._more_is_better()  # raises now, and not after the first epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save_if_wanted(batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save_if_wanted(None, logs or {})

    def _path(self, batch: int | None, logs: Logs) -> str:
        values = {**logs, "epoch": self._epoch + 1, "batch": 0 if batch is None else batch + 1}
        for _, field, _, _ in string.Formatter().parse(self.filepath):
            if field is not None:
                self._check_name(field, list(values))
        return self.filepath.format(**values)

    def _save_if_wanted(self, batch: int | None, logs: Logs) -> None:
        path = self._path(batch, logs)
        if not self.save_best_only:
            self._save(path, f"saving model to {path}")
            return
        value, best = self._value(logs), self.best
        if value is None:
            return
        was = "None" if best is None else f"{best:.5f}"
        if self._is_better(value, best):
            self.best = value
            change = f"{self.monitor} improved from {was} to {value:.5f}"
            self._save(path, f"{change}, saving model to {path}")
        else:
            self._tell(f"{self.monitor} did not improve from {was}")

    def _save(self, path: str, text: str) -> None:
        self._tell(text)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self._tell(f"finished saving model to {path}")

    def _tell(self, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {self._epoch + 1}: {text}")


def _check_ending(path: str, weights_only: bool) -> None:
    if weights_only and not path.endswith(".weights.h5"):
        raise ValueError(
            f"ModelCheckpoint: with save_weights_only=True the file name must end in "
            f"'.weights.h5', but is {path!r}."
        )
    if not weights_only and not path.endswith(".keras"):
        raise ValueError(
            f"ModelCheckpoint: the file name must end in '.keras', or in '.weights.h5' with "
            f"save_weights_only=True, but is {path!r}."
        )
