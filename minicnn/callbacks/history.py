"""History: the results of every epoch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minicnn.callbacks.callback import Callback, Logs
from minicnn.suggest import did_you_mean


class _Series(dict[str, list[Any]]):
    """The values of each name, one per epoch."""

    def __missing__(self, name: str) -> list[Any]:
        if not self:
            raise KeyError(f"[MC053] the history has no {name!r}: no epoch is done.")
        beginnings = [known for known in self if known.startswith(name)]
        hint = f" Did you mean {beginnings[0]!r}?" if beginnings else did_you_mean(name, self)
        raise KeyError(f"[MC053] the history has no {name!r}.{hint} It has: {', '.join(self)}.")


class History(Callback):
    """Keeps the results of every epoch; `fit` returns one.

    `history` is a dict of lists, one number per epoch, and `epoch` lists the epochs.

    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 2.5})
    >>> history.on_epoch_end(1, {"loss": 1.5})
    >>> history.history, history.epoch
    ({'loss': [2.5, 1.5]}, [0, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = _Series()
        self.epoch: list[int] = []

    def state(self) -> dict[str, Any]:
        return {"history": dict(self.history), "epoch": self.epoch}

    def load_state(self, state: dict[str, Any]) -> None:
        self.history = _Series(state["history"])
        self.epoch = state["epoch"]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(_plain(value))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the learning curves; see visualize.learning_curves.

        Args:
            path: where to save a PNG.

        Returns:
            The picture, which a notebook shows.

        Raises:
            ValueError: no epoch is done.
            OSError: the file cannot be written.
        """
        from minicnn.visualize import learning_curves  # here, as most trainings draw nothing

        return learning_curves(self, path=path)


def _plain(value: Any) -> Any:
    """A number as a float; what has several numbers, as a confusion matrix, as lists of floats."""
    return np.asarray(value, np.float64).tolist()
