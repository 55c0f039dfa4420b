"""MonitorCallback: what callbacks share that wait for one result to become better."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicnn.callbacks.callback import Callback, Logs
from minicnn.suggest import did_you_mean


class MonitorCallback(Callback):
    """Watches one entry of the logs and knows whether it has become better.

    Args:
        monitor: the name of the entry.
        mode: "min" if less is better, "max" if more is, "auto" to tell it from the name.
        min_delta: what a change must exceed to count.

    Raises:
        ValueError: mode is none of these.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', but is {mode!r}."
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.names: Sequence[str] = ()  # what the logs hold at the end of a validated epoch

    def check_names(self, names: Sequence[str]) -> None:
        """Raise a ValueError if the logs will lack what this callback watches."""
        self._check_name(self.monitor, names)

    def _check_name(self, name: str, names: Sequence[str]) -> None:
        if name in names:
            return
        code, hint = "MC050", did_you_mean(name, names)
        if name.removeprefix("val_") in names:
            code, hint = "MC056", " Give fit validation_data or validation_split."
        raise ValueError(
            f"{type(self).__name__} [{code}]: watches {name!r}, but the logs will only have "
            f"{', '.join(names)}.{hint}"
        )

    def _value(self, logs: Logs | None) -> float | None:
        """What is watched; None in an epoch that validation_freq leaves out."""
        logs = logs or {}
        if self.monitor in logs:
            value = logs[self.monitor]
            if np.ndim(value):
                raise ValueError(
                    f"{type(self).__name__}: watches {self.monitor!r}, which is not one number, "
                    f"but has shape {np.shape(value)}. Give the metric an average, or watch "
                    f"another one."
                )
            return float(value)
        if self.monitor not in self.names:
            self._check_name(self.monitor, list(logs))
        return None

    def _is_better(self, value: float, than: float | None) -> bool:
        if than is None:
            return not math.isnan(value)
        if self._more_is_better():
            return value - self.min_delta > than
        return value + self.min_delta < than

    def _more_is_better(self) -> bool:
        if self.mode == "auto":
            self.mode = self._direction()
        return self.mode == "max"

    def _direction(self) -> str:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return "min"
        for metric in getattr(self.model, "metrics", []):
            if metric.name == name and metric.direction is not None:
                return str(metric.direction)
        raise ValueError(
            f"{type(self).__name__}: cannot tell whether more or less of {self.monitor!r} is "
            f"better. Give mode='max' or mode='min'."
        )
