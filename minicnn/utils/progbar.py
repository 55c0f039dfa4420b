"""The progress bar: how much of some work is done, how fast, and with what results.

    7/7 ━━━━━━━━━━━━━━━━━━━━ 0s 826us/step - accuracy: 0.1050 - loss: 2.3329

A bar is drawn again and again over itself, which only a terminal or a notebook can show. Into a
file or a pipe, the line is written once, when it is final.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

BOLD, GREEN, WHITE, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"
_ESCAPES = re.compile(r"\x1b\[\d+m")


def is_live(stream: TextIO) -> bool:
    """Whether a line on `stream` can be drawn over: on a terminal and in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


def has_colors(stream: TextIO) -> bool:
    """Whether colors may be written to `stream`; https://no-color.org is heeded."""
    return is_live(stream) and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


def can_write(stream: TextIO, text: str) -> bool:
    """Whether the encoding of `stream` has all characters of `text`."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Progbar:
    """A bar that shows how much of some work is done, how fast, and with what results.

    Args:
        target: the number of steps, or None if it is not known.
        width: the number of cells of the bar.
        verbose: 0 for silence, 1 for the bar, 2 for one line at the end.
        interval: the least time between two drawings, in seconds.
        stateful_metrics: names of values that are shown as they are; of the others, the mean.
        unit_name: what a step is called.

    Raises:
        ValueError: verbose is none of these.

    >>> bar = Progbar(2, verbose=2)
    >>> bar.update(1, [("loss", 3.0)])
    >>> bar.update(2, [("loss", 2.0)])  # doctest: +ELLIPSIS
    2/2 - 0s - ...s/step - loss: 2.5000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"Progbar: verbose must be 0, 1 or 2, but is {verbose!r}.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self._sums: dict[str, tuple[float, float]] = {}  # name -> sum over steps, number of steps
        self._done = 0
        self._start = time.perf_counter()
        self._after_first_step = self._start
        self._drawn_at = -1.0
        self._drawn_length = 0

    def add(self, n: int, values: Iterable[tuple[str, float]] | None = None) -> None:
        """Report that `n` more steps are done, with these values."""
        self.update(self._done + n, values)

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, float]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Report how many steps are done.

        Args:
            current: the number of steps done.
            values: pairs of a name and its value in the last step.
            finalize: whether this is the last line; None: if the target is reached.
        """
        now = time.perf_counter()
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        self._collect(values or (), steps=max(current - self._done, 1))
        if self._done == 0 < current:
            self._after_first_step = now
        self._done = current
        if self.verbose == 0:
            return
        if finalize:
            self._write_last_line(now)
        elif self.verbose == 1 and now - self._drawn_at >= self.interval and is_live(sys.stdout):
            self._drawn_at = now
            self._draw(now)

    def _collect(self, values: Iterable[tuple[str, float]], steps: int) -> None:
        for name, value in values:
            if name in self.stateful_metrics:
                self._sums[name] = (value, 1)
            else:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + value * steps, count + steps)

    def _draw(self, now: float) -> None:
        head = f"{self._counter_and_bar()} {self._paint(self._time_left(now), BOLD)}"
        room = shutil.get_terminal_size().columns - 1
        self._overwrite(_join(f"{head} {self._speed(now)}", self._values(), room))

    def _write_last_line(self, now: float) -> None:
        elapsed = f"{now - self._start:.0f}s"
        if self.verbose == 2:
            head = f"{self._counter()} - {elapsed} - {self._speed(now)}"
        else:
            head = f"{self._counter_and_bar()} {self._paint(elapsed, BOLD)} {self._speed(now)}"
        self._overwrite(_join(head, self._values()))
        sys.stdout.write("\n")
        sys.stdout.flush()
        self._drawn_length = 0

    def leave(self) -> None:
        """End the line of an unfinished bar, so that the next text starts on its own line."""
        if self._drawn_length:
            sys.stdout.write("\n")
            self._drawn_length = 0

    def _overwrite(self, line: str) -> None:
        length = len(_ESCAPES.sub("", line))
        back = "\r" if self._drawn_length else ""
        rest = " " * (self._drawn_length - length)  # of a longer line below this one
        sys.stdout.write(f"{back}{line}{rest}")
        sys.stdout.flush()
        self._drawn_length = length

    def _counter(self) -> str:
        if self.target is None:
            return f"{self._done:7d}/Unknown"
        return f"{self._done:{len(str(self.target))}d}/{self.target}"

    def _counter_and_bar(self) -> str:
        if self.target is None:
            return self._counter()
        cell = "━" if can_write(sys.stdout, "━") else "="
        done = min(self.width, int(self.width * self._done / self.target))
        todo = self.width - done
        if not has_colors(sys.stdout):
            return f"{self._counter()} {cell * done}{'-' * todo}"
        bar = self._paint(cell * done, GREEN) + self._paint(cell * todo, WHITE)
        return f"{self._paint(self._counter(), BOLD)} {bar}"

    def _paint(self, text: str, color: str) -> str:
        return f"{color}{text}{PLAIN}" if text and has_colors(sys.stdout) else text

    def _seconds_per_step(self, now: float) -> float:
        if self._done > 1:  # the first step compiles and warms up, it says little about the others
            return (now - self._after_first_step) / (self._done - 1)
        return now - self._start if self._done else 0.0

    def _time_left(self, now: float) -> str:
        if self.target is None:
            return f"{now - self._start:.0f}s"
        seconds = int(self._seconds_per_step(now) * (self.target - self._done))
        if seconds > 3600:
            return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
        return f"{seconds // 60}:{seconds % 60:02d}" if seconds > 60 else f"{seconds}s"

    def _speed(self, now: float) -> str:
        seconds = self._seconds_per_step(now)
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"

    def _values(self) -> list[str]:
        means = {name: total / max(count, 1) for name, (total, count) in self._sums.items()}
        return [f"{name}: {format_value(mean)}" for name, mean in means.items()]


def _join(head: str, values: Sequence[str], room: float = float("inf")) -> str:
    """Append the values that fit in, because a line that wraps could not be drawn over."""
    line = head
    for value in values:
        longer = f"{line} - {value}"
        if len(_ESCAPES.sub("", longer)) > room:
            break
        line = longer
    return line


def format_value(value: float) -> str:
    """Write a metric with four decimals, or with an exponent where these would show little.

    >>> format_value(0.105), format_value(0.00002), format_value(-0.185)
    ('0.1050', '2.0000e-05', '-0.1850')
    """
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
