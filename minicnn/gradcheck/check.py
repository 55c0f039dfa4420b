"""gradcheck: is the gradient of a function right, and if not, what is wrong with it?"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor, grad, watch
from minicnn.backend import Array, kernels
from minicnn.gradcheck.arguments import (
    check_inputs,
    check_settings,
    function_of,
    name_of_upstream,
    title_of,
    upstream_gradients,
)
from minicnn.gradcheck.blame import Last, Step, guilty, guilty_twice, source_of, steps_of
from minicnn.gradcheck.explaining import Explainer
from minicnn.gradcheck.kinks import (
    KINK_WRONG,
    NOT_CHECKED,
    PASS,
    STEPS,
    WIDE_STEPS,
    Slopes,
    agree,
    is_rounding,
    judge,
    judge_rounded,
    largest,
    slopes,
    smallest_difference,
)
from minicnn.gradcheck.numeric import (
    Stencil,
    most_rounding,
    power_step,
    sample,
    stencil_at,
    step_at,
    step_within,
    unit,
)
from minicnn.gradcheck.point import Function, Point, Run, flat
from minicnn.gradcheck.report import Element, GradientError, GradReport, InputReport
from minicnn.gradcheck.structure import OF_SECOND_ORDER, Bench, failures, not_finite

FEW_NUMBERS = 1 << 16  # in all inputs: kernels have so little to do that one thread is faster
MOST_ELEMENTS = 12  # that keep their slopes in the report, for each input


def gradcheck(
    f: Function,
    *inputs: Any,
    wrt: int | str | Sequence[int | str] | None = None,
    h: float = 1e-5,
    tol: float = 1e-6,
    cotangent: Any = "random",
    max_checks: int = 200,
    seed: int = 0,
    kinks: str = "classify",
    order: int = 1,
    raise_on_fail: bool = True,
    names: Sequence[str] | None = None,
) -> GradReport:
    """Compare the gradients of a function with finite differences, and say what is wrong with them.

    The outputs y of f get random weights g of both signs. Then for each element k of an input

        dx[k] = sum over o of g[o] * dy[o]/dx[k]     should be
        n[k]  = sum over o of g[o] * (y[o](x + h e[k]) - y[o](x - h e[k])) / (2 h)

    It is done with two draws of g. Why random: with g = 1, as in y.sum().backward(), a softmax with
    gradient 0 would pass, and so would each backward that uses g in the wrong order. With s the
    largest element of the tensor, dx[k] passes if

        |dx[k] - n[k]| <= tol * s  and  |dx[k] - n[k]| <= 1e-5 * |n[k]|    (where |n[k]| > 1e-4 s)

    An element that does not pass may lie at a kink, as 0 does for relu. There the slopes left and
    right stay different however small h is, and any number between them is a gradient. (Where kinks
    of several ops meet, as at the 0 of relu(x) - relu(-x), the chain rule may leave that range. So
    give networks inputs without zeros and equals.)

    Nothing can be compared where f is NaN or infinite: if it is so at x itself, the check fails and
    says that; an element is left out if the step leads there. It is left out, too, if f loses more
    digits than the gradient needs, as behind a large offset.

    Then come tests that need no differences (see structure.py): dx must be linear in g, have the
    dtype of x, leave inputs and saved arrays alone, be the same in each run and for every layout of
    memory, and add up what comes back when a tensor is used several times.

    Args:
        f: a function of as many arguments as there are inputs; returns a tensor or a tuple. An Op,
            or a class of ops that needs no settings, is made anew for each call.
        inputs: arrays, tensors or other things; floating point ones are copied to float64 and
            become tensors, all others reach f as they are.
        wrt: numbers or names of the inputs to check, or one of them; None: all floating point ones.
        h: the step, times max(1, |x[k]|).
        tol: the largest error that passes, relative to the largest element of the gradient.
        cotangent: the upstream gradient g: "random"; "ones", which hides mistakes, and says so; an
            array of the shape of the only output; a list of arrays, one for each output; or a whole
            number: the seed of random ones.
        max_checks: elements to compare for each input; of larger ones, corners, edges, the first
            and last channels, and others at random.
        seed: of g and of the choice.
        kinks: "classify" tells them from mistakes; "fail" and "skip" do not, and are for teaching.
        order: 2 checks the gradient of the gradient as well.
        raise_on_fail: whether a wrong gradient is an error.
        names: what to call the inputs; None: as f does.

    Returns:
        A GradReport, which is true if all is well. Print it, or look at it in a notebook.

    Raises:
        GradientError: an AssertionError: a gradient is wrong, or nothing can be compared, as f is
            not finite or not deterministic; its text is the report.
        ValueError: an argument is none of those above, or no input is floating point.
        TypeError: f returns no tensor.

    Source: the rule for kinks is asked for in BVLC/caffe#1334.

    >>> from minicnn import ops
    >>> bool(gradcheck(ops.softmax, np.array([[1.0, 2.0, 4.0]])))
    True
    """
    __tracebackhide__ = True  # pytest then points to the line of the test
    check_settings(h, max_checks, kinks, order)
    f = function_of(f)
    point = Point(f, inputs, wrt, names)
    check_inputs(point)
    report = GradReport(title_of(f, point), h, seed, name_of_upstream(cotangent))
    check_point(point, report, cotangent, tol=tol, max_checks=max_checks, kinks=kinks, order=order)
    if raise_on_fail and not report.ok:
        raise GradientError(report)
    return report


def check_point(
    point: Point,
    report: GradReport,
    cotangent: Any = "random",
    tol: float = 1e-6,
    max_checks: int = 200,
    kinks: str = "classify",
    order: int = 1,
) -> None:
    """Do what gradcheck does, and write it into a report."""
    start = time.perf_counter()
    checker = _Checker(point, report, report.h, tol, max_checks, kinks, report.seed)
    with np.errstate(all="ignore"):  # the report tells what is not finite
        checker.check_all(cotangent)
        if order == 2 and report.ok:
            checker.check_second_order()
    report.seconds = time.perf_counter() - start


class _Checker:
    """Fills a report; the settings are those of gradcheck."""

    def __init__(
        self,
        point: Point,
        report: GradReport,
        h: float,
        tol: float,
        max_checks: int,
        kinks: str,
        seed: int,
    ) -> None:
        self.point, self.report, self.h, self.tol = point, report, h, tol
        self.max_checks, self.kinks = max_checks, kinks
        self.rng = np.random.default_rng(seed)
        self.upstream: list[list[Array]] = []

    @functools.cached_property
    def most_rounding(self) -> float:
        """What float64 may lose in all outputs together."""
        return most_rounding(self.point)

    def check_all(self, cotangent: Any) -> None:
        """Check everything of first order, and find out what is wrong."""
        runs = self._two_runs()
        if runs is None:
            return
        run, again = runs
        if not np.array_equal(run.values(), again.values(), equal_nan=True):
            self._refuse(
                "deterministic",
                "two runs of forward give different outputs; fix the seed of dropout or noise",
            )
            return
        if problem := not_finite(self.point, run):
            self._refuse("finite", problem)
            return
        shapes = [y.shape for y in run.outputs]
        self.upstream = upstream_gradients(shapes, cotangent, self.rng)
        try:
            with watch(last := Last()):
                claims = [run.gradients(g) for g in self.upstream]
        except Exception as error:
            self._raised("backward", error, last.backward)
            return
        with self._few_threads():
            for place, i in enumerate(self.point.wrt):
                self.report.inputs.append(self._compared(i, [claim[place] for claim in claims]))
        self.report.vacuous = [i.name for i in self.report.inputs if i.nothing]
        bench = Bench(self.point, self.upstream, self.h)
        self.report.structural.update(failures(bench))
        if not self.report.ok:
            with self._few_threads():
                self._explain(bench)

    def _two_runs(self) -> tuple[Run, Run] | None:
        try:
            with watch(last := Last()):
                return self.point.run(), self.point.run()
        except ValueError as error:
            if "read-only" not in str(error) or last.forward is None:
                raise
            problem = f"forward writes into an array that belongs to others: {error}"
            self.report.structural["inputs untouched"] = problem
            self.report.hints.append(problem)
            self.report.cause = "inputs untouched"
            self._show_source(*source_of(type(last.forward), "forward", error))
            return None

    def _raised(self, name: str, error: Exception, op: Op | None) -> None:
        self.report.structural[name] = f"{type(error).__name__}: {error}"
        self.report.hints.append(f"{name} raised {type(error).__name__}")
        self.report.cause = "raised"
        if op is not None:
            self._show_source(*source_of(type(op), error=error))

    def _show_source(self, place: str, text: str) -> None:
        self.report.source, self.report.source_text = place, text

    def _few_threads(self) -> AbstractContextManager[None]:
        """One thread for the many small calls; not for structural tests, which may meet a race."""
        size = sum(self.point.array(i).size for i in self.point.wrt)
        return kernels.threads.one_thread() if size <= FEW_NUMBERS else nullcontext()

    def _refuse(self, name: str, problem: str) -> None:
        """Compare nothing, as it would accuse a backward of what lies elsewhere."""
        self.report.nondeterministic = name == "deterministic"
        self.report.refused = True
        self.report.cause = f"not {name}"
        self.report.structural[name] = problem
        self.report.hints.append(f"not {name}: {problem}")

    def _compared(self, i: int, claims: Sequence[Array], name: str = "") -> InputReport:
        """Compare what backward claims for input i with finite differences."""
        x, here = self.point.array(i), self.point.values()
        indices = sample(x.shape, self.max_checks, self.rng)
        gs = [flat(g) for g in self.upstream]
        small = smallest_difference(here)
        found = np.zeros((2, len(indices)))
        allowed = np.zeros((2, len(indices)))
        for k, index in enumerate(indices):
            stencil = stencil_at(self.point, i, index, self.h, here)
            for draw, g in enumerate(gs):
                found[draw, k] = g @ stencil.central
                allowed[draw, k] = 4 * np.sqrt(np.square(g * stencil.noise).sum()) + small
        report = InputReport(
            name or self.point.names[i],
            claims[0],
            np.full(x.shape, np.nan),
            np.zeros(x.shape, int),
            limit=10 * small,
        )
        for k, index in enumerate(indices):
            report.numeric[index] = found[0, k]
            report.verdicts[index] = PASS
        for draw, (g, claim) in enumerate(zip(gs, claims, strict=True)):
            claimed = np.array([claim[index] for index in indices])
            there = np.isfinite(found[draw]) | np.isnan(claimed)
            scale = largest(claimed[there], found[draw][there])
            failed = ~agree(claimed, found[draw], scale, self.tol, allowed[draw])
            for k, index in enumerate(indices):
                if not there[k]:  # the function ends here: there is no difference to compare with
                    report.verdicts[index] = NOT_CHECKED
                elif failed[k]:
                    value = float(claimed[k])
                    self._look_closer(report, i, index, g, value, scale, here, draw)
        report.skipped = len(indices) - int(report.checked.sum())
        return report

    def _look_closer(
        self,
        report: InputReport,
        i: int,
        index: tuple[int, ...],
        g: Array,
        claimed: float,
        scale: float,
        here: Array,
        draw: int,
    ) -> None:
        """Decide on an element that does not agree, from its slopes at other steps."""
        direction = {i: unit(report.backward.shape, index)}
        x = float(self.point.array(i)[index])

        def at(step: float) -> Slopes:
            return slopes(Stencil(self.point, direction, step, here), g, step)

        seen = [at(step_at(x, h)) for h in STEPS]
        seen += [at(step_within(x))] if 0 < abs(x) < 1 else []
        if self.kinks != "fail" and is_rounding(claimed, seen, self.most_rounding):
            wide = [at(power_step(x, h)) for h in WIDE_STEPS]
            verdict, numeric = judge_rounded(claimed, seen, wide, self.tol * scale)
        else:
            verdict, numeric = judge(claimed, seen, scale, self.tol, self.kinks)
        if draw == 0:
            report.numeric[index] = numeric
        if draw == 1 and verdict <= report.verdicts[index]:
            return
        report.verdicts[index] = verdict
        if len(report.elements) < MOST_ELEMENTS or verdict >= KINK_WRONG:
            report.elements.append(Element(index, claimed, seen[0].central, verdict, seen))

    def _explain(self, bench: Bench) -> None:
        """Say which op is to blame, and what its gradient looks like."""
        Explainer(self.point, self.report, self.upstream, self.rng).explain(bench)
        self.report.ones_would_see = self._ones_would_see()

    def _ones_would_see(self) -> bool | None:
        """Whether all-ones upstream gradients show the mistake too."""
        if all(i.ok for i in self.report.inputs):
            return None
        ones = [np.ones_like(g) for g in self.upstream[0]]
        probe = _Checker(self.point, self.report, self.h, self.tol, self.max_checks, self.kinks, 0)
        probe.upstream = [ones, ones]
        claims = self.point.run().gradients(ones)
        compared = [
            probe._compared(i, [claims[k], claims[k]]) for k, i in enumerate(self.point.wrt)
        ]
        return not all(c.ok for c in compared)

    def check_second_order(self) -> None:
        """The same for the function (inputs, g) -> dx, which the backwards have written."""
        point, first = self.point, len(self.point.inputs)
        gs = self.upstream[0]

        def slope(*arguments: Any) -> tuple[Tensor, ...]:
            result = point.function(*arguments[:first])
            ys = [y for y in (result if isinstance(result, tuple | list) else [result])]
            ys = [y for y in ys if isinstance(y, Tensor) and y.dtype.kind == "f"]
            xs = [arguments[i] for i in point.wrt]
            totals: list[Tensor] = []
            for y, g in zip(ys, arguments[first:], strict=True):
                if not y.requires_grad:
                    continue
                dxs = grad(y, xs, g, create_graph=True)
                totals = [t + dx for t, dx in zip(totals, dxs, strict=True)] if totals else dxs
            return tuple(totals)

        names = [f"{n} of dx" for n in point.names] + [f"upstream {k}" for k in range(len(gs))]
        wrt = [*point.wrt, *range(first, first + len(gs))]
        second = Point(slope, [*point.inputs, *gs], wrt, names, point.patterns)
        checker = _Checker(second, self.report, self.h, self.tol, self.max_checks, self.kinks, 1)
        try:
            with watch(last := Last()):
                run = second.run()
                checker.upstream = upstream_gradients(
                    [y.shape for y in run.outputs], "random", self.rng
                )
                claims = [run.gradients(g) for g in checker.upstream]
        except Exception as error:
            self._raised("order 2", error, last.backward)
            return
        with self._few_threads():
            compared = [
                checker._compared(i, [claim[k] for claim in claims])
                for k, i in enumerate(second.wrt)
            ]
        self.report.inputs += compared
        self.report.vacuous += [c.name for c in compared if not c.checked.any()]
        self.report.structural["order 2"] = ""
        if not all(c.ok for c in compared):
            self.report.structural["order 2"] = "the gradient of the gradient is wrong; see above"
            self.report.cause = "order 2"
            self._blame_twice(guilty(steps_of(run, checker.upstream[0])))
            return
        bench = Bench(second, checker.upstream, self.h)
        problems = [problem for _, problem in failures(bench, OF_SECOND_ORDER) if problem]
        if problems:
            self.report.structural["order 2"] = problems[0]
            self.report.hints.append(f"right once, wrong the second time: {problems[0]}")
            self.report.cause = "order 2"

    def _blame_twice(self, step: Step | None) -> None:
        """Say which op has a wrong second gradient: one that a backward has called, or its own."""
        if step is not None:
            hint = f"{step.kind.__name__}, which a backward is made of, has a wrong gradient itself"
        else:
            step = guilty_twice(steps_of(self.point.run(), self.upstream[0]))
            hint = "is something in backward taken for a constant?"
        self.report.hints.append(f"right once, wrong the second time: {hint}")
        if step is not None:
            self._show_source(*source_of(step.kind))
