"""LivePlot: watch the learning curves grow, in a notebook, on a terminal, or in a picture file."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from minicnn.callbacks.callback import Callback, Logs

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "._-=+*%#"  # where the encoding has no bars


class LivePlot(Callback):
    """Draws loss and metrics anew after each epoch.

    In a notebook, one picture is drawn over and over. Elsewhere each epoch prints a line for every
    result, the history as a row of bars:

        loss      █▆▅▄▃▂▂▁  0.8312
        val_loss  █▇▅▅▄▃▃▃  1.0219

    Args:
        path: a PNG that is replaced after each epoch, for a viewer that shows changes; or None.
        every: after how many epochs to draw.
        width: of how many epochs a row of bars tells, the last ones.

    Raises:
        ValueError: every or width is not above 0.

    >>> plot = LivePlot()
    >>> for epoch, loss in enumerate([2.0, 1.5, 1.0]):
    ...     plot.on_epoch_end(epoch, {"loss": loss})
    loss  ▁  2.0000
    loss  █▁  1.5000
    loss  █▅▁  1.0000
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, every: int = 1, width: int = 40
    ) -> None:
        super().__init__()
        for name, value in (("every", every), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"LivePlot: {name} must be a whole number above 0, but is {value!r}."
                )
        self.path = path
        self.every = every
        self.width = width
        self._curves: dict[str, list[float]] = {}
        self._shown: Any = None  # the notebook's handle of the picture

    def state(self) -> dict[str, Any]:
        return {"curves": self._curves}

    def load_state(self, state: dict[str, Any]) -> None:
        self._curves = state["curves"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._curves = {}
        self._shown = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            if isinstance(value, int | float):
                self._curves.setdefault(name, []).append(float(value))
        if (epoch + 1) % self.every:
            return
        if self.path is not None or _in_notebook():
            self._draw()
        if not _in_notebook():
            self._print()

    def _draw(self) -> None:
        from minicnn.visualize import learning_curves  # here, as a terminal needs no pictures

        picture = learning_curves(self._curves, path=self.path)
        if not _in_notebook():
            return
        from IPython.display import display

        if self._shown is None:
            self._shown = display(picture, display_id=True)
        else:
            self._shown.update(picture)

    def _print(self) -> None:
        longest = max(map(len, self._curves), default=0)
        for name, values in self._curves.items():
            print(f"{name:{longest}}  {bars(values[-self.width :])}  {values[-1]:.4f}")


def bars(values: Sequence[float]) -> str:
    """Draw numbers as a row of bars, from the smallest to the largest; "?" for what is none.

    >>> bars([0.0, 1.0, 2.0, float("nan")])
    '▁▅█?'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "?" * len(values)
    low, high = min(finite), max(finite)
    letters = _letters()
    scale = (len(letters) - 1) / (high - low) if high > low else 0.0
    return "".join(
        letters[math.floor((value - low) * scale + 0.5)] if math.isfinite(value) else "?"
        for value in values
    )


def _letters() -> str:
    try:
        BARS.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return PLAIN_BARS
    return BARS


def _in_notebook() -> bool:
    return type(sys.stdout).__module__.startswith("ipykernel")
