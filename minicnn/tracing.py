"""trace: print what every op does, forward and backward, while it happens."""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeAlias

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, watch
from minicnn.layers import Layer
from minicnn.layers.hooks import CallObserver, observe_calls

File: TypeAlias = "str | os.PathLike[str] | TextIO | None"
NAME, SHAPES = 26, 46  # width of the columns, in characters


@contextmanager
def trace(file: File = None) -> Iterator[None]:
    """Open a block in which a line is printed for each op: shapes, time and norm.

    A line tells which shapes went in and which came out, how long it took, and the norm of the
    result, |y|, or of all gradients that the op has returned, |dx|. Ops stand below the layer that
    computes them; going backward they belong to the layer that has computed them forward. What a
    backward formula is made of is not listed.

    Args:
        file: where to print: an open file, or a path; None means the standard output.

    Raises:
        OSError: the file cannot be written.

    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> with trace():  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    ...     (x * x).sum().backward()
    forward                    shapes                                              ms      norm
      Multiply                 (2,) (2,) -> (2,)                          ...      18.4
      Sum                      (2,) -> ()                                 ...        25
    backward
      Sum                      () -> (2,)                                 ...      1.41
      Multiply                 (2,) -> (2,) (2,)                          ...      7.07
      Add                      (2,) (2,) -> (2,)                          ...        10
    total                      2 ops forward ... ms, 3 backward ... ms
    """
    if isinstance(file, str | os.PathLike):
        with open(file, "w", encoding="utf-8") as opened, trace(opened):
            yield
        return
    tracer = _Tracer(file)
    with watch(tracer), observe_calls(tracer):
        yield
    tracer.print_totals()


class _Tracer(Watcher, CallObserver):
    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._layers: list[str] = []  # that are being called, from the outside inward
        self._made_in: weakref.WeakKeyDictionary[Op, tuple[str, ...]] = weakref.WeakKeyDictionary()
        self._phase = ""
        self._shown: tuple[str, ...] = ()  # below which layers the last line stands
        self._began: list[float] = []  # when the ops that are under way began
        self._backward_depth = 0
        self.count = {"forward": 0, "backward": 0}
        self.seconds = {"forward": 0.0, "backward": 0.0}

    def before_call(self, *layers: Layer) -> None:
        names = " + ".join(layer.name for layer in layers)
        kinds = " + ".join(type(layer).__name__ for layer in layers)
        self._layers.append(f"{names} ({kinds})")

    def after_call(self, *layers: Layer) -> None:
        self._layers.pop()

    def before_forward(self, op: Op, inputs: tuple[Tensor, ...]) -> None:
        self._began.append(time.perf_counter())

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seconds = time.perf_counter() - self._began.pop()
        if self._backward_depth:
            return  # a part of a backward formula
        self._made_in[op] = tuple(self._layers)
        # what grad() adds up between two backward formulas is neither recorded nor in a layer
        forward = output.requires_grad or self._layers or not self._phase
        phase = "forward" if forward else self._phase
        self._print_op(phase, op, [*inputs], [output], seconds)

    def before_backward(self, op: Op, dy: Tensor) -> None:
        self._backward_depth += 1
        self._began.append(time.perf_counter())

    def after_backward(self, op: Op, dy: Tensor, dxs: tuple[Any, ...]) -> None:
        seconds = time.perf_counter() - self._began.pop()
        self._backward_depth -= 1
        if not self._backward_depth:
            made = [dx for dx in dxs if isinstance(dx, Tensor)]
            self._print_op("backward", op, [dy], made, seconds)

    def _print_op(
        self, phase: str, op: Op, reads: list[Tensor], makes: list[Tensor], seconds: float
    ) -> None:
        self.count[phase] += 1
        self.seconds[phase] += seconds
        self._print_heading(phase, self._made_in.get(op, ()))
        shapes = " -> ".join(" ".join(_shape(t) for t in ts) for ts in (reads, makes))
        name = "  " * (1 + len(self._shown)) + type(op).__name__
        self._print(f"{name:{NAME}} {shapes:{SHAPES}} {1e3 * seconds:8.3f} {_norm(makes):>9}")

    def _print_heading(self, phase: str, layers: tuple[str, ...]) -> None:
        if phase != self._phase:
            first = not self._phase
            self._phase, self._shown = phase, ()
            head = f" {'shapes':{SHAPES}} {'ms':>8} {'norm':>9}" if first else ""
            self._print(f"{phase:{NAME}}{head}".rstrip())
        common = 0
        while layers[: common + 1] == self._shown[: common + 1] and common < len(layers):
            common += 1
        for depth, layer in enumerate(layers[common:], common + 1):
            self._print("  " * depth + layer)
        self._shown = layers

    def print_totals(self) -> None:
        """Print how many ops there were, and how long they took."""
        there, back = (
            f"{self.count[phase]} {what}{phase} {1e3 * self.seconds[phase]:.3f} ms"
            for phase, what in (("forward", "ops "), ("backward", ""))
        )
        self._print(f"{'total':{NAME}} {there}, {back}")

    def _print(self, line: str) -> None:
        print(line, file=self._file or sys.stdout)


def _shape(tensor: Tensor) -> str:
    return str(tensor.shape).replace(" ", "")


def _norm(tensors: list[Tensor]) -> str:
    squares = (np.square(tensor.numpy(), dtype=np.float64).sum() for tensor in tensors)
    return f"{np.sqrt(sum(squares)):.3g}"
