"""What fit, evaluate and predict print while they run: a Progbar, moved by a callback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.callbacks import Callback, CallbackList, Logs
from minicnn.utils.progbar import Progbar, is_live


class ProgbarLogger(Callback):
    """Shows a Progbar for every epoch of fit, and for evaluate and predict on their own.

    Args:
        verbose: 1 for the bar, 2 for one line per epoch.
    """

    def __init__(self, verbose: int = 1) -> None:
        super().__init__()
        self.verbose = verbose
        self._bar = Progbar(None, verbose=0)
        self._steps: int | None = None
        self._fitting = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._fitting = True
        self._steps = self.params["steps"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        epochs = self.params["epochs"]
        if epochs > 1:
            print(f"Epoch {epoch + 1}/{epochs}")
        self._start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._show(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._fitting = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._start_alone()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._show(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start_alone()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._show(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        if not self._fitting:
            self._finish(None)

    def leave(self) -> None:
        """End the line of a bar that an exception has interrupted."""
        self._bar.leave()

    def _start_alone(self) -> None:
        if not self._fitting:
            self._steps = self.params["steps"]
            self._start()

    def _start(self) -> None:
        self._done = 0
        self._bar = Progbar(self._steps, verbose=self.verbose)

    def _show(self, batch: int, logs: Logs | None) -> None:
        self._done = batch + 1
        self._update(logs or {}, finalize=False)

    def _finish(self, logs: Logs | None) -> None:
        if self._steps is None:  # now it is known, and the next epoch can show a bar
            self._steps = self._bar.target = self._done
        self._update(logs or {}, finalize=True)

    def _update(self, logs: Logs, finalize: bool) -> None:
        self._bar.stateful_metrics.update(logs)  # they are running means, not to be averaged again
        few = {name: value for name, value in logs.items() if np.ndim(value) < 2}
        self._bar.update(
            self._done, [(name, np.mean(value)) for name, value in few.items()], finalize
        )


@contextmanager
def observed(
    model: Any, callbacks: list[Callback], verbose: int | str, steps: int | None, epochs: int = 1
) -> Iterator[CallbackList]:
    """Add a progress bar to the callbacks; if an exception comes, its line is ended first.

    Raises:
        ValueError: verbose is not 0, 1, 2 or "auto".
    """
    level = _verbosity(verbose)
    bar = ProgbarLogger(level)
    params = {"verbose": level, "epochs": epochs, "steps": steps}
    try:
        yield CallbackList([*callbacks, bar] if level else callbacks, model, params)
    except BaseException:
        bar.leave()
        raise


def _verbosity(verbose: int | str) -> int:
    if verbose == "auto":
        return 1 if is_live(sys.stdout) else 2
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', but is {verbose!r}.")
    return int(verbose)
