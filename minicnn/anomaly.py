"""Where NaN and infinite numbers begin: the first op that makes one, forward or backward."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, input_name, watch
from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.notices import is_ours


class Anomaly(FloatingPointError):
    """A value or a gradient that is NaN or infinite; the text names the op that made it."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Open a block in which the first op whose value or gradient is NaN or infinite is an error.

    Each op is looked at in the order of computation, and all its numbers, which costs time: use it
    to find an error, not always. NumPy does not warn of such numbers in the block.

    Raises:
        Anomaly: an op has made such a number. The text names the op, the layer, the line of the
            user's program that computed the op's output, and the range of its inputs. Anomaly is
            a FloatingPointError.

    >>> import numpy as np
    >>> from minicnn import ops
    >>> x = Tensor([4.0, 0.0], requires_grad=True)
    >>> with detect_anomaly():  # the slope of a square root at 0 is infinite
    ...     ops.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minicnn.anomaly.Anomaly: backward of SquareRoot: the gradient for input 0, x, of shape...
    """
    with np.errstate(all="ignore"), watch(_Search()):
        yield


class _Search(Watcher):
    """Looks at every number, and raises an Anomaly for the first that is not finite."""

    def __init__(self) -> None:
        self._places: WeakKeyDictionary[Op, str] = WeakKeyDictionary()
        self._differentiated: Op | None = None  # the op that is going backward now

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if self._differentiated is not None:  # its result will be looked at as a whole
            self._places[op] = self._places.get(self._differentiated, "")
            return
        place = running_place()
        if output.op is op:
            self._places[op] = place
        if not is_finite(output.data):
            raise Anomaly(
                f"forward of {type(op).__name__}: the output, of shape {output.shape}, has "
                f"{count_of_bad(output.data)}{place}. {_inputs_of(op, inputs)}"
            )

    def before_backward(self, op: Op, dy: Tensor) -> None:
        self._differentiated = op

    def after_backward(self, op: Op, dy: Tensor, dxs: tuple[Any, ...]) -> None:
        self._differentiated = None
        for k, dx in enumerate(dxs):
            if isinstance(dx, Tensor) and not is_finite(dx.data):
                raise Anomaly(
                    f"backward of {type(op).__name__}: the gradient for {input_name(op, k)}, of "
                    f"shape {dx.shape}, has {count_of_bad(dx.data)}{self._places.get(op, '')}. "
                    f"The gradient for its output {_range(dy.data)}. {_inputs_of(op, op.inputs)}"
                )


def is_finite(array: Array) -> bool:
    """Whether all numbers are finite."""
    return bool(np.isfinite(array).all())


def running_layer() -> Layer | None:
    """The layer whose call is going on, as the frames of Python tell: the innermost one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for name in ("self", "layer"):  # a method of a layer; or what calls one layer of several
            if isinstance(frame.f_locals.get(name), Layer):
                return frame.f_locals[name]
        frame = frame.f_back
    return None


def running_place() -> str:
    """The layer and the line of the user's program that are being computed, for a message."""
    layer, frame = running_layer(), sys._getframe(1)
    while frame.f_back is not None and is_ours(frame):
        frame = frame.f_back
    where = f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}"
    return f" in {layer.title}, {where}" if layer is not None else f" in {where}"


def count_of_bad(array: Array) -> str:
    """How many numbers are not finite, and where the first is: "3 NaN, the first at [0, 2]"."""
    bad = ~np.isfinite(array)
    nan = int(np.isnan(array).sum())
    infinite = int(bad.sum()) - nan
    found = [f"{nan} NaN"] * bool(nan) + [f"{infinite} infinite"] * bool(infinite)
    first = [int(k) for k in np.unravel_index(int(bad.argmax()), array.shape)]
    return f"{' and '.join(found)}" + (f", the first at {first}" if first else "")


def _inputs_of(op: Op, inputs: tuple[Tensor, ...]) -> str:
    parts = [f"{input_name(op, k)}, {_range(x.data)}" for k, x in enumerate(inputs)]
    return f"Of its inputs, {'; '.join(parts)}."


def _range(array: Array) -> str:
    if not is_finite(array):
        return f"has {count_of_bad(array)}"
    if not array.size:
        return "is empty"
    return f"reaches from {float(array.min()):.4g} to {float(array.max()):.4g}"
