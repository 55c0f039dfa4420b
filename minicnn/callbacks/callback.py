"""Callback: what is called at fixed moments of fit, evaluate and predict."""

from __future__ import annotations

from typing import Any, TypeAlias

Logs: TypeAlias = "dict[str, Any]"


class Callback:
    """Does something at the moments of a training. Override the methods that you need.

    In all of them, `self.model` is the model and `self.params` a dict of "verbose", "epochs" and
    "steps". Entries that on_epoch_end adds to `logs` reach the History and the printed line.
    Training ends after this batch if a method sets `self.model.stop_training = True`.

    >>> class Hello(Callback):
    ...     def on_train_begin(self, logs=None):
    ...         print("we train for", self.params["epochs"], "epochs")
    >>> hello = Hello()
    >>> hello.set_params({"epochs": 3})
    >>> hello.on_train_begin()
    we train for 3 epochs
    """

    adds_to_logs: tuple[str, ...] = ()  # the names of what on_epoch_end adds

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Take the model, before everything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take "verbose", "epochs" and "steps", before everything else."""
        self.params = params

    def settled(self, epoch: int, step: int) -> None:
        """Everything that belongs to a step is done: all callbacks have seen its end.

        Not in Keras. This is the moment to save a training such that it can go on from there.

        Args:
            epoch: the epoch with which training goes on.
            step: the step of this epoch with which training goes on.
        """

    def state(self) -> dict[str, Any]:
        """What a training that goes on from a backup must know: numbers, texts, arrays, lists."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what state() has returned, if that was not empty."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Fit begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Fit ends; logs are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch of fit begins; the first is number 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch of fit and its validation are done."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Mean the same as on_train_batch_begin, which calls this."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Mean the same as on_train_batch_end, which calls this."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A training step begins."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A training step is done."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Evaluate begins, or the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Evaluate ends, or the validation of an epoch."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch is about to be evaluated."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch was evaluated."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Predict begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Predict ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch is about to be predicted."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch was predicted; logs are {"outputs": array}."""
