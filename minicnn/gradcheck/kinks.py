"""A wrong gradient, or a kink? At a kink the slopes on the two sides differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.numeric import Stencil

STEPS = (1e-5, 1e-6, 1e-7, 1e-8)
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


def has_kink(seen: list[Slopes], scale: float, tol: float) -> bool:
    """Whether the jump between the sides stays while the step shrinks from STEPS[0] to STEPS[2].

    Where a function only bends, the jump shrinks with the step.
    """
    small = seen[2]
    room = max(tol * scale / 2, 20 * small.noise)
    return small.jump > room and small.jump > 0.2 * seen[0].jump


def judge(claimed: float, seen: list[Slopes], scale: float, tol: float, kinks: str) -> int:
    """The verdict on an element that does not agree with the central difference.

    Args:
        claimed: what backward says.
        seen: the slopes at STEPS.
        scale: of the gradients in this tensor.
        tol: what passes, relative to scale.
        kinks: "classify"; "fail": no kink excuses anything; "skip": kinks are not judged.
    """
    if kinks == "fail":
        return FAIL
    small = seen[2]
    if has_kink(seen, scale, tol):
        room = max(tol * scale, 20 * small.noise)
        inside = small.low - room <= claimed <= small.high + room
        return NOT_CHECKED if kinks == "skip" else KINK_OK if inside else KINK_WRONG
    for at in seen[1:3]:  # a kink nearby was crossed because h was large
        if abs(claimed - at.central) <= max(tol * scale, 20 * at.noise):
            return KINK_OK
    return FAIL
