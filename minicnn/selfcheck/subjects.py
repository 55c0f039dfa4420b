"""What gradcheck_all can check, each in float64 by differences, and in float32 on a device."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minicnn import random
from minicnn.backend import Array
from minicnn.gradcheck import GradReport, gradcheck
from minicnn.gradcheck.check import check_point
from minicnn.gradcheck.point import Point
from minicnn.layers import Layer
from minicnn.layers.substitution import same_random_numbers, substituted
from minicnn.models.gradient_check import weights_as_inputs
from minicnn.selfcheck.float32 import check_in_float32, on_device
from minicnn.selfcheck.layer_examples import LayerExample
from minicnn.selfcheck.table import Row


class Subject(Protocol):
    """Something to check, with a name as in the tables of examples."""

    name: str

    def in_float64(self, seed: int) -> Iterator[Row]:
        """Compare its gradients with finite differences."""

    def in_float32(self, device: str, seed: int) -> Iterator[Row]:
        """Compare it, on a device that set_device has chosen, with float64."""


@dataclass
class OpSubject:
    """An op of the library: a function of tensors, and arrays to call it with."""

    name: str
    function: Callable[..., Any]
    arrays: Sequence[Array]

    def in_float64(self, seed: int) -> Iterator[Row]:
        """To second order."""
        yield _row(self.name, self._report(seed, order=2))

    def in_float32(self, device: str, seed: int) -> Iterator[Row]:
        """Forward and backward."""
        yield check_in_float32(self.name, self.function, self.arrays, device)

    def _report(self, seed: int, order: int) -> GradReport:
        with np.errstate(all="ignore"):
            return gradcheck(
                self.function, *self.arrays, seed=seed, order=order, raise_on_fail=False
            )


class OwnOpSubject(OpSubject):
    """An op of the user's, who may have written its gradient with arrays: it then has none."""

    def in_float64(self, seed: int) -> Iterator[Row]:
        """To second order, if the gradient is made of ops; that it is not is no mistake."""
        report = self._report(seed, order=2)
        reason = report.structural.get("order 2", "")
        if not reason.startswith(NotImplementedError.__name__):
            yield _row(self.name, report)
            return
        yield _row(self.name, self._report(seed, order=1))
        yield Row(f"{self.name}, order 2", "cpu", "float64", f"skipped: {reason}")


class WideOpSubject(OpSubject):
    """An op that needs a wider dtype than float32, for which there is nothing to compare."""

    def in_float32(self, device: str, seed: int) -> Iterator[Row]:
        """Say so."""
        yield Row(self.name, device, "float32", "skipped: it casts to a dtype of its own")


@dataclass
class LayerSubject:
    """A layer; inputs None: random ones of the shapes of the example."""

    name: str
    example: LayerExample
    inputs: list[Array] | None = None

    def in_float64(self, seed: int) -> Iterator[Row]:
        """By its inputs and all its weights."""
        yield _row(self.name, self._report(seed))

    def in_float32(self, device: str, seed: int) -> Iterator[Row]:
        """Forward and backward."""
        state = random.state()
        layer, xs, weights = self._made(seed)
        random.load_state(state)  # the other one begins with the same random numbers
        with on_device("cpu"):
            exact = self._point(seed).function
        low = _as_function(layer, len(xs), self.example.training)
        yield check_in_float32(self.name, low, [*xs, *weights], device, exact)

    def _report(self, seed: int) -> GradReport:
        report = GradReport(self.name, h=1e-5, seed=seed)
        with np.errstate(all="ignore"):
            check_point(self._point(seed), report, max_checks=60)
        return report

    def _point(self, seed: int) -> Point:
        layer, xs, weights = self._made(seed)
        for weight, array in zip(layer.trainable_weights, weights, strict=True):
            weight.data = array
        call = _call(layer, self.example.training)
        return weights_as_inputs(layer, layer.trainable_weights, call, xs)

    def _made(self, seed: int) -> tuple[Layer, list[Array], list[Array]]:
        """A new layer, which is built, inputs for it, and numbers for its weights.

        These lie near those that the layer begins with, so that what must be positive stays so, and
        what begins at 0 does not stay there.
        """
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        xs = self.inputs or [1.3 * rng.normal(size=shape) for shape in self.example.inputs]
        layer = self.example.make()
        shapes = [x.shape for x in xs]
        layer.ensure_built(shapes[0] if len(xs) == 1 else shapes)  # type: ignore[arg-type]
        weights = [w.numpy() + 0.3 * rng.normal(size=w.shape) for w in layer.trainable_weights]
        return layer, xs, weights


@dataclass
class Nothing:
    """What cannot be checked; the verdict says why."""

    name: str
    verdict: str

    def in_float64(self, seed: int) -> Iterator[Row]:
        """Say so."""
        yield Row(self.name, "cpu", "float64", self.verdict)

    def in_float32(self, device: str, seed: int) -> Iterator[Row]:
        """Say so, but on the CPU, of which there is a line already."""
        if device != "cpu":
            yield Row(self.name, device, "float32", self.verdict)


def _row(name: str, report: GradReport) -> Row:
    worst = max((float(i.errors.max(initial=0)) for i in report.inputs), default=0.0)
    problem = next(iter(report.hints), None) or next(filter(None, report.structural.values()), "")
    return Row(name, "cpu", "float64", "ok" if report else f"WRONG: {problem}", worst, report)


def _call(layer: Layer, training: bool) -> Callable[..., Any]:
    """The layer as a function of its inputs."""

    def call(*xs: Any) -> Any:
        return layer(xs[0] if len(xs) == 1 else list(xs), training=training)

    return call


def _as_function(layer: Layer, count: int, training: bool) -> Callable[..., Any]:
    """The layer as a function of `count` inputs and its weights; see weights_as_inputs."""
    weights, call = layer.trainable_weights, _call(layer, training)

    def function(*given: Any) -> Any:
        others = dict(zip(weights, given[count:], strict=True))
        with same_random_numbers(layer), substituted(layer, others):
            return call(*given[:count])

    return function
