"""GradReport: what a gradient check has found, and how it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.kinks import FAIL, KINK_OK, KINK_WRONG, NOT_CHECKED, PASS, VERDICTS, Slopes

ONES_WARNING = "all-ones upstream gradient: 20 of 39 known bugs pass this check"


@dataclass
class Element:
    """One element that deserves a look: where it is, and its slopes at the four steps."""

    index: tuple[int, ...]
    backward: float
    numeric: float
    verdict: int
    slopes: list[Slopes]


@dataclass
class InputReport:
    """What was found about one input.

    `backward` is the whole gradient; `numeric` and `verdicts` have the shape of the input, and are
    NaN and 0 where nothing was checked. `skipped` elements were tried, but the function is not
    finite around them, or its rounding hides the slope. Below `limit` a gradient cannot be told
    from 0.
    """

    name: str
    backward: Array
    numeric: Array
    verdicts: Array
    elements: list[Element] = field(default_factory=list)
    skipped: int = 0
    limit: float = 1e-8

    @property
    def checked(self) -> Array:
        """The mask of the elements that were compared."""
        return self.verdicts != NOT_CHECKED

    @property
    def errors(self) -> Array:
        """|backward - numeric|, relative to the largest of the tensor; checked elements only.

        They are 0 where both are as good as 0, as all that differs then is rounding.
        """
        backward, numeric = self.backward[self.checked], self.numeric[self.checked]
        if self.is_zero:
            return np.zeros(backward.shape)
        scale = max(np.abs(backward).max(initial=0), np.abs(numeric).max(initial=0), 1e-300)
        with np.errstate(all="ignore"):  # infinite ones
            return np.abs(backward - numeric) / scale

    @property
    def is_zero(self) -> bool:
        """Whether both gradients are 0 everywhere, or too small to be told from it."""
        numeric = self.numeric[self.checked]
        return all(bool(np.all(np.abs(a) < self.limit)) for a in (numeric, self.backward))

    @property
    def nothing(self) -> str:
        """Why the check has proved nothing about this input, or ""."""
        if not self.checked.any():
            return "no element could be compared"
        if self.is_zero:
            return f"its gradient is 0, or below {self.limit:.0e}, everywhere"
        return ""

    @property
    def ok(self) -> bool:
        """Whether no element is wrong."""
        return not np.any(self.verdicts >= KINK_WRONG)

    def count(self, verdict: int) -> int:
        """How many elements got this verdict."""
        return int((self.verdicts == verdict).sum())

    @property
    def summary(self) -> str:
        """The verdict on the whole input in a few words."""
        wrong = self.count(FAIL) + self.count(KINK_WRONG)
        if wrong:
            return f"WRONG in {wrong}"
        kinks = self.count(KINK_OK)
        remarks = [f", {kinks} at kinks"] if kinks else []
        remarks += [f", {self.skipped} not comparable"] if self.skipped else []
        return "".join(["ok", *remarks]) if self.checked.any() else "not checked"


@dataclass
class GradReport:
    """The result of a gradient check; it is true if all is well.

    Attributes:
        title: the function that was checked.
        inputs: one InputReport for each input; for order 2, more of them follow.
        structural: the tests of structure.py by name: "" or what is wrong.
        hints: what the mistake looks like, the most likely first; empty if all is well.
        cause: the name of the first hint, as "zeros"; "" if there is none.
        source: file and lines of the backward that is to blame, or of the only one.
        vacuous: names of inputs about which the check proved nothing.
        nondeterministic: whether two runs of forward differed; nothing else is compared then.
        refused: whether nothing was compared: for that reason, or as something is not finite.
        ones_would_see: whether y.sum().backward() would have shown the mistake; None if not known.
        h, seed, seconds: the step, the seed of all random numbers, and the time it took.
    """

    title: str
    h: float
    seed: int
    cotangent: str = "random"
    inputs: list[InputReport] = field(default_factory=list)
    structural: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    cause: str = ""
    source: str = ""
    source_text: str = ""
    vacuous: list[str] = field(default_factory=list)
    nondeterministic: bool = False
    refused: bool = False
    ones_would_see: bool | None = None
    steps: list[tuple[float, float]] = field(default_factory=list)  # (h, largest relative error)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(i.ok for i in self.inputs) and not any(self.structural.values())

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdicts(self) -> dict[str, int]:
        """How many elements passed, passed at a kink, are wrong at a kink, and failed."""
        kinds = (PASS, KINK_OK, KINK_WRONG, FAIL)
        return {VERDICTS[k]: sum(i.count(k) for i in self.inputs) for k in kinds}

    @property
    def proved_nothing(self) -> list[str]:
        """A sentence for each reason why the check has proved nothing about some inputs."""
        reasons: dict[str, list[str]] = {}
        for found in self.inputs:
            if found.name in self.vacuous:
                reasons.setdefault(found.nothing, []).append(found.name)
        return [
            f"this check proved nothing about {', '.join(names)}: {reason}"
            for reason, names in reasons.items()
        ]

    def worst(self, k: int = 1) -> list[tuple[str, Element]]:
        """The k elements that are most wrong, each with the name of its input."""
        found = [(i.name, e) for i in self.inputs for e in i.elements if e.verdict >= KINK_WRONG]
        return sorted(found, key=lambda pair: -abs(pair[1].backward - pair[1].numeric))[:k]

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from minicnn.gradcheck.html import page

        return page(self, whole=False)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one page that needs nothing else: pictures of all gradients."""
        from minicnn.gradcheck.html import page

        with open(path, "w", encoding="utf-8") as file:
            file.write(page(self, whole=True))

    def to_dict(self) -> dict[str, Any]:
        """All that was found, in plain Python types."""
        return {
            "title": self.title,
            "ok": self.ok,
            "inputs": [
                {
                    "name": i.name,
                    "shape": list(i.backward.shape),
                    "checked": int(i.checked.sum()),
                    "max_error": float(i.errors.max(initial=0)),
                    "verdict": i.summary,
                }
                for i in self.inputs
            ],
            "verdicts": self.verdicts,
            "structural": {name: message or "ok" for name, message in self.structural.items()},
            "hints": self.hints,
            "cause": self.cause,
            "source": self.source,
            "vacuous": self.vacuous,
            "nondeterministic": self.nondeterministic,
            "h": self.h,
            "seed": self.seed,
            "seconds": self.seconds,
        }


class GradientError(AssertionError):
    """A gradient check has failed; the text is the report.

    Args:
        report: the GradReport.
    """

    def __init__(self, report: GradReport) -> None:
        found = "nothing could be compared" if report.refused else "a gradient is wrong"
        super().__init__(f"gradcheck: {found}.\n{report}")
        self.report = report


MOST_LINES = 25
MOST_TESTS = 4  # that have failed and are told


def _lines(report: GradReport) -> list[str]:
    first = [
        f"Gradient check  {report.title}    float64, h={report.h:.0e}, {report.cotangent} upstream "
        f"gradient, seed {report.seed}"
    ]
    if report.cotangent == "ones":
        first.append(f" {ONES_WARNING}")
    last = [*_tests(report), *_findings(report), f" {_last_word(report)}"]
    room = MOST_LINES - len(first) - len(last)
    return [*first, *_table(report.inputs, room), *last]


def _tests(report: GradReport) -> list[str]:
    """What the tests of structure.py have found."""
    good = [name for name, message in report.structural.items() if not message]
    bad = [(name, message) for name, message in report.structural.items() if message]
    lines = [f" structure ok: {', '.join(good)}"] if good else []
    if report.refused:  # it is what the hint says
        return lines
    lines += [f" WRONG, {name}: {_short(message)}" for name, message in bad[:MOST_TESTS]]
    others = [name for name, _ in bad[MOST_TESTS:]]
    return [*lines, f" WRONG, too: {', '.join(others)}"] if others else lines


def _findings(report: GradReport) -> list[str]:
    lines = [f" {line}" for line in report.proved_nothing[:2]]
    lines += [_worst(name, element) for name, element in report.worst(1)]
    lines += [
        f" {'looks like' if k == 0 else '   or else'}: {_short(hint)}"
        for k, hint in enumerate(report.hints[:4])
    ]
    if report.ones_would_see is not None:
        answer = "yes" if report.ones_would_see else "NO: all-ones upstream gradients hide it"
        lines.append(f" would y.sum().backward() have shown it? {answer}")
    if report.source and not report.ok:
        lines.append(f" code: {report.source}")
    if not report.ok and report.inputs:
        lines.append(
            " largest error: below 1e-7 very good; to 1e-4 at kinks only; above 1e-2 wrong"
        )
        lines.append(" pictures: report.to_html('check.html')")
    return lines


def _last_word(report: GradReport) -> str:
    if report.ok:
        return "Nothing wrong was found." if report.vacuous else "All is well."
    return "NOTHING WAS COMPARED." if report.refused else "WRONG."


def _short(message: str) -> str:
    first = " ".join(message.split())
    return first if len(first) <= 300 else first[:297] + "..."


def _table(inputs: list[InputReport], most: int) -> list[str]:
    """One line per input, or as many as there is room for; then those that are wrong come first."""
    rows_left = most - 1 if len(inputs) < most else most - 2  # the titles; that some are left out
    shown = sorted(inputs, key=lambda i: i.ok) if len(inputs) > rows_left else inputs
    shown = shown[:rows_left]
    rows = [("input", "shape", "checked", "max error", "median", "verdict")]
    for i in shown:
        count = int(i.checked.sum())
        largest, median = (float(f(i.errors)) if count else 0.0 for f in (np.max, np.median))
        shape = str(i.backward.shape).replace(" ", "")
        of = f"{count} of {i.backward.size}"
        errors = ("both 0", "") if count and i.is_zero else (f"{largest:.1e}", f"{median:.1e}")
        rows.append((i.name, shape, of, *errors, i.summary))
    widths = [max(len(row[k]) for row in rows) for k in range(6)]
    lines = [
        " " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    left_out = len(inputs) - len(shown)
    return [*lines, f" ... and {left_out} more"] if left_out else lines


def _worst(name: str, element: Element) -> str:
    small = element.slopes[2]
    kink = "kink" if element.verdict == KINK_WRONG else "no kink"
    place = f"[{', '.join(map(str, element.index))}]" if element.index else ""
    values = f"backward {element.backward:.6g}   numeric {element.numeric:.6g}"
    return (
        f" worst: {name}{place}   {values}   "
        f"left {small.left:.6g}   right {small.right:.6g}   ({kink})"
    )
