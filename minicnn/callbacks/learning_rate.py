"""Callbacks that change the learning rate: after a plan, or where nothing becomes better."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.callbacks.callback import Callback, Logs
from minicnn.callbacks.monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch; the logs get a "learning_rate".

    Args:
        schedule: a function of the epoch, from 0, and the learning rate so far, or of the epoch
            only, that returns the new learning rate.
        verbose: 1 to print what is done.

    Raises:
        ValueError: schedule returns no float.
        TypeError: schedule is no function, or the optimizer follows a schedule of its own.

    >>> LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate * 0.9).verbose
    0
    """

    adds_to_logs = ("learning_rate",)

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                f"LearningRateScheduler: schedule must be a function of the epoch, but is "
                f"{schedule!r}."
            )
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        rate = self._planned(epoch, float(optimizer.learning_rate))
        if not isinstance(rate, float | np.floating):
            raise ValueError(
                f"LearningRateScheduler: schedule must return a float, but returned {rate!r} for "
                f"epoch {epoch}."
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.",
            )

    def _planned(self, epoch: int, rate: float) -> Any:
        try:
            inspect.signature(self.schedule).bind(epoch, rate)
        except TypeError:
            return self.schedule(epoch)
        return self.schedule(epoch, rate)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = rounded_rate(self.model)


class ReduceLROnPlateau(MonitorCallback):
    """Reduces the learning rate when something has stopped to become better.

    The logs get a "learning_rate": that with which the epoch was trained.

    Args:
        monitor: what is watched, as "val_loss" or "accuracy".
        factor: the new learning rate is this times the old one, below 1.
        patience: after how many epochs without a better value it is reduced.
        verbose: 1 to print what is done.
        mode: "min" if less is better, "max" if more is, "auto" to tell it from the name.
        min_delta: what a change must exceed to count as better.
        cooldown: how many epochs do not count after a reduction.
        min_lr: the least learning rate.

    Raises:
        ValueError: factor is not from 0 to below 1, or mode is none of these; or, when training
            begins, there is no such value.

    >>> ReduceLROnPlateau(factor=0.5, patience=3).min_delta
    0.0001
    """

    adds_to_logs = ("learning_rate",)

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(
                f"ReduceLROnPlateau: factor must be from 0 to below 1, but is {factor!r}."
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Whether this epoch does not count, because of a reduction not long ago."""
        return self.cooldown_counter > 0

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown": self.cooldown_counter}

    def load_state(self, state: dict[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]
        self.cooldown_counter = state["cooldown"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()
        self._more_is_better()  # raises now, and not after the first epoch, if it cannot be told

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = rounded_rate(self.model)
        value = self._value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_better(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        if optimizer.learning_rate <= np.float32(self.min_lr):
            return
        optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                f"{optimizer.learning_rate}."
            )


def rounded_rate(model: Any) -> float:
    """The learning rate of a model in float32, as Keras keeps and reports it."""
    return float(np.float32(model.optimizer.learning_rate))
