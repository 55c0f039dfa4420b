"""Which op is to blame: each op that went backward is compared with its own forward, alone."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, watch
from minicnn.backend import Array
from minicnn.gradcheck.directional import check_gradient
from minicnn.gradcheck.point import Point, Run, random_signed

ENGINES_OWN = ("inputs", "_held", "_output")  # attributes that belong to one call of an op


def fresh(kind: type[Op], settings: Mapping[str, Any]) -> Op:
    """An op of some settings that has not been called yet; __init__ is not run again."""
    op = object.__new__(kind)
    vars(op).update({k: v for k, v in settings.items() if k not in ENGINES_OWN})
    return op


class Step:
    """One op of a graph with what it was given: it can be run again, alone.

    Args:
        op: it has gone forward and backward.
        dy: the gradient for its output.
        dxs: what its backward made of that.
        known: what tensors are called that may be among its inputs.
    """

    def __init__(
        self, op: Op, dy: Array, dxs: Sequence[Any], known: Mapping[Tensor, str] | None = None
    ) -> None:
        self.kind = type(op)
        self.settings = {k: v for k, v in vars(op).items() if k not in ENGINES_OWN}
        self.arrays = [x.data for x in op.inputs]
        self.names = [(known or {}).get(x, f"input {k}") for k, x in enumerate(op.inputs)]
        self.wrt = [k for k, x in enumerate(op.inputs) if x.requires_grad]
        self.dy, self.dxs = dy, [dx.data if isinstance(dx, Tensor) else None for dx in dxs]

    def fresh(self) -> Op:
        """An op of the same settings, to be called anew."""
        return fresh(self.kind, self.settings)

    def point(self) -> Point:
        """The op as a function at the inputs that it had."""
        wrt = [k for k in self.wrt if self.arrays[k].dtype == np.float64]
        inputs = [a if a.dtype.kind == "f" else Tensor(a) for a in self.arrays]
        return Point(lambda *xs: self.fresh()(*xs), inputs, wrt, self.names)

    def differentiate_twice(self) -> None:
        """Compare the gradient of its gradient with differences, along random directions.

        Raises:
            AssertionError: they differ.
        """
        point = self.point()

        def function(*xs: Tensor) -> Tensor:
            moving = dict(zip(point.wrt, xs, strict=True))
            given = [
                x if isinstance(x, Tensor) else moving.get(k, Tensor(x))
                for k, x in enumerate(point.inputs)
            ]
            return self.fresh()(*given)

        check_gradient(function, *map(point.array, point.wrt), tolerance=1e-5)

    def is_wrong(self) -> bool:
        """Whether dx does not foretell how the output changes when the inputs move a little."""
        rng = np.random.default_rng(0)
        vs = [
            random_signed(rng, a.shape) if k in self.wrt else None
            for k, a in enumerate(self.arrays)
        ]
        claimed = 0.0
        for v, dx in zip(vs, self.dxs, strict=False):
            claimed += float((v * dx).sum()) if v is not None and dx is not None else 0.0
        gaps = [self._gap(vs, claimed, h) for h in (1e-6, 1e-7)]
        return not min(gaps) <= 1e-5  # NaN is wrong as well

    def _gap(self, vs: list[Array | None], claimed: float, h: float) -> float:
        def moved(step: float) -> Array:
            given = [a if v is None else a + step * v for a, v in zip(self.arrays, vs, strict=True)]
            return self.fresh().forward(*given).astype(np.float64)

        slope = self.dy * (moved(h) - moved(-h)) / (2 * h)
        size = float(np.abs(slope).max(initial=0)) + abs(claimed) + 1e-6
        return abs(float(slope.sum()) - claimed) / size


class Last(Watcher):
    """Remembers which op was the last to begin its forward, and which its backward."""

    forward: Op | None = None
    backward: Op | None = None

    def before_forward(self, op: Op, inputs: tuple[Tensor, ...]) -> None:
        self.forward = op

    def before_backward(self, op: Op, dy: Tensor) -> None:
        self.backward = op


class _Steps(Watcher):
    def __init__(self, known: Mapping[Tensor, str]) -> None:
        self.known = known
        self.steps: list[Step] = []

    def after_backward(self, op: Op, dy: Tensor, dxs: tuple[Any, ...]) -> None:
        self.steps.append(Step(op, dy.data.copy(), dxs, self.known))


def steps_of(run: Run, upstream: Sequence[Array], names: Sequence[str] = ()) -> list[Step]:
    """All ops that go backward for `upstream`, the last one of the graph first.

    Args:
        run: made the graph.
        upstream: an array for each output.
        names: of the tensors that went in.
    """
    known = dict(zip(run.leaves, names, strict=False))
    with watch(watcher := _Steps(known)):
        run.gradients(upstream)
    return watcher.steps


def guilty(steps: Sequence[Step]) -> Step | None:
    """The first op of the graph whose gradient does not fit its forward."""
    for step in steps:
        try:
            if step.is_wrong():
                return step
        except Exception:  # a forward that cannot be repeated alone says nothing
            continue
    return None


def guilty_twice(steps: Sequence[Step]) -> Step | None:
    """The first op of the graph whose gradient may be right, but has a wrong gradient itself."""
    for step in steps:
        try:
            step.differentiate_twice()
        except AssertionError:
            return step
        except Exception:  # see above
            continue
    return None


def source_of(
    kind: type[Op], method: str = "backward", error: Exception | None = None
) -> tuple[str, str]:
    """Place and text of a method of a class of ops: ("file:first-last (...)", source).

    Args:
        kind: the class.
        method: "backward" or "forward".
        error: raised within it; the place then tells the line.
    """
    function = inspect.unwrap(getattr(kind, method))
    try:
        lines, first = inspect.getsourcelines(function)
        path = inspect.getsourcefile(function) or ""
    except (OSError, TypeError):  # typed into an interpreter
        return f"{kind.__qualname__}.{method}", ""
    inside = os.path.relpath(path)
    shown = path if inside.startswith("..") else inside
    place = f"{shown}:{first}-{first + len(lines) - 1} ({kind.__name__}.{method})"
    frames = traceback.walk_tb(error.__traceback__ if error else None)
    raised = [line for frame, line in frames if frame.f_code is function.__code__]
    return place + (f", raised in line {raised[-1]}" if raised else ""), "".join(lines)
