"""EarlyStopping: ends a training that has stopped to become better."""

from __future__ import annotations

from typing import Any

from minicnn.backend import Array
from minicnn.callbacks.callback import Logs
from minicnn.callbacks.monitor import MonitorCallback

KEPT = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")


class EarlyStopping(MonitorCallback):
    """Ends the training when something has stopped to become better.

    Args:
        monitor: what is watched, as "val_loss" or "accuracy".
        min_delta: what a change must exceed to count as better.
        patience: after how many epochs without a better value training ends.
        verbose: 1 to print what is done.
        mode: "min" if less is better, "max" if more is, "auto" to tell it from the name.
        baseline: a value that must be beaten for the patience to start anew.
        restore_best_weights: whether the model gets back the weights of its best epoch in the end.
        start_from_epoch: how many epochs pass before it starts to watch.

    Raises:
        ValueError: mode is none of these; or, when training begins, there is no such value.

    >>> EarlyStopping(monitor="val_accuracy", patience=3, restore_best_weights=True).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in KEPT}

    def load_state(self, state: dict[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state[name])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()
        self._more_is_better()  # raises now, and not after the first epoch, if it cannot be told

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)  # also if the first value is no number
        self.wait += 1
        if self._is_better(value, self.best):
            self.best = value
            self._keep_weights(epoch)
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep_weights(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                epoch = self.best_epoch + 1
                print(f"Restoring model weights from the end of the best epoch: {epoch}.")
            self.model.set_weights(self.best_weights)
