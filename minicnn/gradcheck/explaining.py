"""After a failure: which op is to blame, what its gradient looks like, how far off it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.blame import Step, guilty, source_of, steps_of
from minicnn.gradcheck.diagnosis import diagnose
from minicnn.gradcheck.numeric import Stencil, sample, unit
from minicnn.gradcheck.point import Point, flat, random_signed
from minicnn.gradcheck.report import GradReport
from minicnn.gradcheck.structure import Bench
from minicnn.gradcheck.suspect import MOST_SLOPES, Sampled, Suspect


class Explainer:
    """Writes into a report why a check has failed.

    Args:
        point: the function that was checked.
        report: what was found.
        upstream: two upstream gradients.
        rng: of more of them.
    """

    def __init__(
        self,
        point: Point,
        report: GradReport,
        upstream: Sequence[list[Array]],
        rng: np.random.Generator,
    ) -> None:
        self.point, self.report, self.upstream, self.rng = point, report, upstream, rng

    def explain(self, bench: Bench) -> None:
        """Say which op is to blame, and what its gradient looks like."""
        report = self.report
        steps = steps_of(bench.run, bench.g, [self.point.names[i] for i in self.point.wrt])
        step = guilty(steps) or (steps[0] if len({s.kind for s in steps}) == 1 else None)
        if step is not None:
            report.source, report.source_text = source_of(step.kind)
        for name in ("repeatable", "inputs untouched", "dtypes"):
            if report.structural.get(name):
                report.hints.append(report.structural[name])
                report.cause = report.cause or name
        found = self._diagnosed(step)
        if not report.cause and not found and report.structural["linear"]:
            found = [self._not_linear(bench)]
        others = [(n, m) for n, m in report.structural.items() if m and m not in report.hints]
        found += [pair for pair in others if pair[0] != "linear"]
        report.cause = report.cause or (found[0][0] if found else "")
        report.hints += [sentence for _, sentence in found]
        report.steps = self._errors_by_step()

    def _not_linear(self, bench: Bench) -> tuple[str, str]:
        """Only rounded, if dx doubles with g but for the last digits; else not linear."""
        doubled = bench.run.gradients([2 * g for g in bench.g])
        gap = max(
            float(np.abs(a - 2 * b).max(initial=0)) for a, b in zip(doubled, bench.dxs, strict=True)
        )
        largest = max(float(np.abs(dx).max(initial=0)) for dx in bench.dxs)
        if all(i.ok for i in self.report.inputs) and gap <= 1e-5 * largest:
            return "precision", "right to about 7 digits only: is it rounded to a lower precision?"
        return "linear", f"not linear: {self.report.structural['linear']}"

    def _diagnosed(self, step: Step | None) -> list[tuple[str, str]]:
        """What the wrong gradient looks like: that of the op to blame, or of the whole function."""
        if step is not None and len(self.point.wrt) > 0:
            alone = [[random_signed(self.rng, step.dy.shape)] for _ in range(2)]
            found = self._first_diagnosis(step.point(), alone)
            if found:
                return found
        return self._first_diagnosis(self.point, self.upstream)

    def _first_diagnosis(
        self, point: Point, upstream: Sequence[list[Array]]
    ) -> list[tuple[str, str]]:
        size = sum(g.size for g in upstream[0])
        for i in point.wrt:
            shape = point.array(i).shape
            try:
                if point.array(i).size * size <= MOST_SLOPES:
                    suspect = Suspect(point, i, upstream, self.report.h)
                else:
                    some = sample(shape, 60, self.rng)
                    suspect = Sampled(point, i, upstream, self.report.h, some)
            except Exception:  # an op that cannot be repeated alone
                return []
            if suspect.is_wrong:
                whose = f"gradient for {point.names[i]}: " if len(point.wrt) > 1 else ""
                return [(cause, whose + sentence) for cause, sentence in diagnose(suspect)]
        return []

    def _errors_by_step(self) -> list[tuple[float, float]]:
        """The largest error of the wrong input for steps from 1e-1 to 1e-10, on few elements."""
        wrong = next((k for k, i in enumerate(self.report.inputs) if not i.ok), 0)
        if not self.report.inputs:
            return []
        i, found = self.point.wrt[wrong], self.report.inputs[wrong]
        here, g, x = self.point.values(), flat(self.upstream[0]), self.point.array(i)
        worst = np.argwhere(found.verdicts == found.verdicts.max(initial=0))[:8]
        indices = [tuple(int(k) for k in index) for index in worst]
        scale = float(np.abs(found.backward).max(initial=0)) or 1.0
        rows = []
        for h in 10.0 ** -np.arange(1, 11):
            stencils = [Stencil(self.point, {i: unit(x.shape, k)}, h, here) for k in indices]
            gaps = [
                abs(found.backward[k] - g @ stencil.central)
                for k, stencil in zip(indices, stencils, strict=True)
            ]
            rows.append((float(h), float(max(gaps, default=0.0)) / scale))
        return rows
