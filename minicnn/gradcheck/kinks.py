"""Right, wrong, or at a kink? At a kink the slopes on the two sides differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.numeric import Stencil

STEPS = (1e-5, 1e-6, 1e-7, 1e-8)
WIDE_STEPS = (2.0**-13, 2.0**-10)  # powers of 2: added to a large number, both sides round alike
SMALL = 1e-9  # a difference that passes, for outputs of 1 or more; for smaller ones it shrinks
SMALLEST = 1e-14  # down to this, as backward rounds, too
ENTRY = 1e-5  # the relative error of a single element that passes
NOT_CHECKED, PASS, KINK_OK, KINK_WRONG, FAIL = range(5)
VERDICTS = ("not checked", "pass", "kink_ok", "kink_wrong", "fail")


@dataclass(frozen=True)
class Slopes:
    """The slopes of the weighted outputs along one direction, at one step.

    Each output may have a kink of its own, and its gradient may choose any slope between its two.
    So what may come out lies between `low` and `high`, which add up the smaller and larger ends.
    """

    h: float
    left: float
    right: float
    low: float
    high: float
    noise: float

    @property
    def jump(self) -> float:
        """How much room the kinks leave."""
        return self.high - self.low

    @property
    def central(self) -> float:
        """The mean of both sides."""
        return (self.left + self.right) / 2

    @property
    def is_finite(self) -> bool:
        """Whether the function is defined on both sides."""
        return bool(np.isfinite(self.central))


def slopes(stencil: Stencil, g: Array, h: float) -> Slopes:
    """Weight the outputs of a stencil with g."""
    left, right = g * stencil.left, g * stencil.right
    return Slopes(
        h,
        float(left.sum()),
        float(right.sum()),
        float(np.minimum(left, right).sum()),
        float(np.maximum(left, right).sum()),
        float(np.sqrt(np.square(g * stencil.noise).sum())),
    )


def smallest_difference(outputs: Array) -> float:
    """What is not told from 0: it shrinks with the outputs, as their rounding does."""
    return SMALL * min(1.0, max(SMALLEST / SMALL, float(np.abs(outputs).max(initial=0))))


def largest(claimed: Array, found: Array) -> float:
    """The scale of a tensor, by what backward says and by what differences say."""
    finite = [np.abs(a[np.isfinite(a)]).max(initial=0) for a in (claimed, found)]
    return float(max(finite))


def agree(claimed: Array, found: Array, scale: float, tol: float, allowed: Array) -> Array:
    """Where both are the same, for a tensor whose largest element is `scale`; NaN never is."""
    gap = np.abs(claimed - found)
    large = np.abs(found) > 1e-4 * scale
    fits = (gap <= tol * scale + allowed) & (~large | (gap <= ENTRY * np.abs(found) + allowed))
    return np.asarray(fits)


def has_kink(seen: list[Slopes], scale: float, tol: float) -> bool:
    """Whether the jump between the sides stays while the step shrinks from STEPS[0] to STEPS[2].

    Where a function only bends, the jump shrinks with the step.
    """
    small = seen[2]
    room = max(tol * scale / 2, 20 * small.noise)
    return small.jump > room and small.jump > 0.2 * seen[0].jump


def judge(
    claimed: float, seen: list[Slopes], scale: float, tol: float, kinks: str
) -> tuple[int, float]:
    """The verdict on an element that does not agree with the central difference; the better one.

    Args:
        claimed: what backward says.
        seen: the slopes at STEPS, and maybe at a step that is much smaller than x.
        scale: of the gradients in this tensor.
        tol: what passes, relative to scale.
        kinks: "classify"; "fail": no kink excuses anything; "skip": kinks are not judged.
    """
    central = seen[0].central
    if kinks == "fail":
        return FAIL, central
    small = seen[2]
    if has_kink(seen, scale, tol):
        room = max(tol * scale, 20 * small.noise)
        inside = small.low - room <= claimed <= small.high + room
        return (NOT_CHECKED if kinks == "skip" else KINK_OK if inside else KINK_WRONG), central
    is_alike = seen[0].jump <= 0.1 * abs(central)  # on both sides, as at the 0 of x^3: no kink
    for wide, narrow in zip(seen, seen[1:3], strict=False):
        bent = narrow.central + (narrow.central - wide.central) / 99  # the error goes with h^2
        is_smooth = is_alike or narrow.jump > 0.05 * wide.jump  # a kink's would vanish at once
        if is_smooth and abs(claimed - bent) <= tol * scale:
            return PASS, bent
    for at in seen[1:3]:  # a kink nearby was crossed because h was large
        if at.is_finite and abs(claimed - at.central) <= max(tol * scale, 20 * at.noise):
            return KINK_OK, central
    for at in seen[len(STEPS) :]:  # so near to 0 that the function bends within h
        if abs(claimed - at.central) <= tol * scale and 20 * at.noise <= tol * scale:
            return KINK_OK, at.central
    return FAIL, central


def rounding(seen: list[Slopes]) -> float:
    """By how much the outputs may be off, weighted with g, because of rounding in the function.

    An offset that is added and taken away again costs digits that the outputs do not tell of. Such
    an error is as large at each step, so it spoils the slopes more and more as the step shrinks.
    """
    first = seen[0].central
    return 4 * max(max(at.jump, abs(at.central - first)) * at.h for at in seen[2:4])


def is_rounding(claimed: float, seen: list[Slopes], most: float) -> bool:
    """Whether rounding alone may explain that backward and the central difference differ.

    Args:
        claimed: what backward says.
        seen: the slopes at STEPS.
        most: what float64 may lose; more than that, as a float32 in between, is a mistake.
    """
    return abs(claimed - seen[0].central) * seen[0].h <= rounding(seen) <= most


def judge_rounded(
    claimed: float, seen: list[Slopes], wide: list[Slopes], room: float
) -> tuple[int, float]:
    """The verdict where is_rounding: NOT_CHECKED if nothing can be told; with the best difference.

    Args:
        claimed: what backward says.
        seen: the slopes at STEPS.
        wide: the slopes at WIDE_STEPS, where rounding counts less.
        room: a difference that passes.
    """
    for at in wide:
        if abs(claimed - at.central) <= room:
            return PASS, at.central
    lost = abs(claimed - wide[-1].central) * wide[-1].h <= rounding(seen)
    return NOT_CHECKED if lost else FAIL, wide[-1].central
