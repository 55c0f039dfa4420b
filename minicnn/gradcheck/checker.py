"""The checks of first order: gradients against finite differences, and the structural tests."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minicnn.autograd import Op, watch
from minicnn.backend import Array, kernels
from minicnn.gradcheck.arguments import upstream_gradients
from minicnn.gradcheck.blame import Last, source_of
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
from minicnn.gradcheck.point import Point, Run, flat
from minicnn.gradcheck.report import Element, GradReport, InputReport
from minicnn.gradcheck.structure import Bench, failures, not_finite

FEW_NUMBERS = 1 << 16  # in all inputs: kernels have so little to do that one thread is faster
MOST_ELEMENTS = 12  # that keep their slopes in the report, for each input


class Checker:
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
            self.raised("backward", error, last.backward)
            return
        with self.few_threads():
            for place, i in enumerate(self.point.wrt):
                self.report.inputs.append(self.compared(i, [claim[place] for claim in claims]))
        self.report.vacuous = [i.name for i in self.report.inputs if i.nothing]
        bench = Bench(self.point, self.upstream, self.h)
        self.report.structural.update(failures(bench))
        if not self.report.ok:
            with self.few_threads():
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
            self.show_source(*source_of(type(last.forward), "forward", error))
            return None

    def raised(self, name: str, error: Exception, op: Op | None) -> None:
        """Write down an error that came up in the op."""
        self.report.structural[name] = f"{type(error).__name__}: {error}"
        self.report.hints.append(f"{name} raised {type(error).__name__}")
        self.report.cause = "raised"
        if op is not None:
            self.show_source(*source_of(type(op), error=error))

    def show_source(self, place: str, text: str) -> None:
        """Let the report show a piece of source code."""
        self.report.source, self.report.source_text = place, text

    def few_threads(self) -> AbstractContextManager[None]:
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

    def compared(self, i: int, claims: Sequence[Array], name: str = "") -> InputReport:
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
        probe = Checker(self.point, self.report, self.h, self.tol, self.max_checks, self.kinks, 0)
        probe.upstream = [ones, ones]
        claims = self.point.run().gradients(ones)
        compared = [probe.compared(i, [claims[k], claims[k]]) for k, i in enumerate(self.point.wrt)]
        return not all(c.ok for c in compared)
