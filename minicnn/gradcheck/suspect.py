"""A wrong gradient under examination: all that the guesses of diagnosis.py need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.numeric import Stencil, stencil_at
from minicnn.gradcheck.point import Point, flat

FITS = 2e-5  # relative to the largest; finite differences are better than that
MOST_SLOPES = 4_000_000  # numbers in a Jacobian that is worked out for a diagnosis


class Suspect:
    """One wrong gradient with all that is known about it.

    Attributes:
        wrong: what backward returned, one array for each of two upstream gradients.
        right: what finite differences say.
        slopes: of each output by each element, (elements, outputs).
        upstream: the two upstream gradients, each a vector of all outputs.
        kinks: the mask of the elements whose slopes left and right differ, so that `right` is one
            answer of many there.
        outside: the mask of those among them where `wrong` is none of these answers.
    """

    def __init__(self, point: Point, i: int, upstream: Sequence[list[Array]], h: float) -> None:
        self.point, self.i, self.x = point, i, point.array(i)
        run = point.run()
        self.outputs = [y.data for y in run.outputs]
        place = point.wrt.index(i)
        claims = [run.gradients(g) for g in upstream]
        self.wrong = [c[place] for c in claims]
        self.wrong_of_all = claims
        self.upstream = [flat(g) for g in upstream]
        self.look_around(h)
        self.enlarge()
        self.right = [self.answer(g) for g in self.upstream]

    def look_around(self, h: float) -> None:
        """Find the slopes on both sides of each element; where they differ, nearer by."""
        here, shape, g = self.point.values(), self.x.shape, self.upstream[0]
        indices = list(np.ndindex(shape))
        seen = [stencil_at(self.point, self.i, k, h, here) for k in indices]
        jumps = [float(np.abs(at.right - at.left).max(initial=0)) for at in seen]
        scale = max((float(np.abs(at.central).max(initial=0)) for at in seen), default=0.0)
        self.kinks = np.zeros(shape, bool)
        for place, (index, jump) in enumerate(zip(indices, jumps, strict=True)):
            if jump > 0.01 * scale:
                near = stencil_at(self.point, self.i, index, h / 100, here)
                self.kinks[index] = np.any(np.abs(near.right - near.left) > 0.2 * jump)
                seen[place] = near
        self.slopes = np.array([at.central for at in seen]).reshape(self.x.size, g.size)
        low = np.array([np.minimum(g * at.left, g * at.right).sum() for at in seen]).reshape(shape)
        high = np.array([np.maximum(g * at.left, g * at.right).sum() for at in seen]).reshape(shape)
        room = 0.01 * float(np.abs(high).max(initial=0) + np.abs(low).max(initial=0))
        inside = (low - room <= self.wrong[0]) & (self.wrong[0] <= high + room)
        self.outside = self.kinks & ~inside

    def enlarge(self) -> None:
        """Bring small gradients to a size around 1, or all of them would seem to be 0 in close."""
        largest = float(np.abs(self.slopes).max(initial=0))
        if 0 < largest < 1e-4:
            self.slopes = self.slopes / largest
            self.wrong = [w / largest for w in self.wrong]

    def answer(self, g: Array) -> Array:
        """The right gradient for another upstream gradient."""
        return (self.slopes @ g).reshape(self.x.shape)

    def is_made_by(self, change: Callable[[Array], Array]) -> bool:
        """Whether `change` turns the right gradients into the wrong ones."""
        pairs = zip(self.wrong, self.right, strict=True)
        return all(self._fits(wrong, change(right)) for wrong, right in pairs)

    def _fits(self, wrong: Array, guess: Array) -> bool:
        """Whether two gradients are the same; kinks count only if there is nothing else."""
        if wrong.shape != guess.shape or self.kinks.all():
            return close(wrong, guess)
        return close(wrong[~self.kinks], guess[~self.kinks])

    def is_for(self, change: Callable[[Array], Array]) -> bool:
        """Whether the wrong gradients would be right for upstream gradients changed by `change`."""
        pairs = zip(self.wrong, self.upstream, strict=True)
        return all(close(wrong, self.answer(change(g))) for wrong, g in pairs)

    @property
    def wrong_places(self) -> Array:
        """The mask of the elements that differ, kinks apart."""
        scale = max(float(np.abs(a).max(initial=0)) for a in [*self.right, *self.wrong])
        pairs = zip(self.wrong, self.right, strict=True)
        return np.any([np.abs(w - r) > FITS * scale for w, r in pairs], axis=0) & ~self.kinks

    @property
    def is_finite(self) -> bool:
        """Whether all that backward returned are numbers."""
        return all(bool(np.isfinite(w).all()) for w in self.wrong)

    @property
    def is_wrong(self) -> bool:
        """Whether there is something to explain."""
        return bool(self.wrong_places.any() or self.outside.any() or not self.is_finite) or (
            bool(self.kinks.any()) and self.sum_is_wrong
        )

    @property
    def sum_is_wrong(self) -> bool:
        """Whether the outputs change otherwise than the sum says if all elements move together."""
        ones, g = np.ones(self.x.shape), self.upstream[0]
        at = Stencil(self.point, {self.i: ones}, 1e-6, self.point.values())
        low = float(np.minimum(g * at.left, g * at.right).sum())
        high = float(np.maximum(g * at.left, g * at.right).sum())
        room = 1e-4 * float(np.abs(self.wrong[0]).sum() + abs(low) + abs(high))
        return not low - room <= float(self.wrong[0].sum()) <= high + room


class Sampled(Suspect):
    """Some elements of a gradient that is too large to be worked out as a whole, as one line."""

    def __init__(
        self,
        point: Point,
        i: int,
        upstream: Sequence[list[Array]],
        h: float,
        indices: list[tuple[int, ...]],
    ) -> None:
        places = tuple(np.array(indices).T)
        self.point, self.i, self.x = point, i, point.array(i)[places]
        self.outputs = []
        self.kinks = self.outside = np.zeros(self.x.shape, bool)
        claims = [point.run().gradients(g) for g in upstream]
        self.wrong = [c[point.wrt.index(i)][places] for c in claims]
        self.wrong_of_all, self.upstream = claims, [flat(g) for g in upstream]
        here, found = point.values(), []
        for index in indices:
            seen = stencil_at(point, i, index, h, here).central
            found.append([g @ seen for g in self.upstream])
        self.right = list(np.array(found).T)

    def is_for(self, change: Callable[[Array], Array]) -> bool:
        """Never: that would need the slopes of all outputs."""
        return False


def close(a: Array, b: Array) -> bool:
    """Whether two gradients are the same, as far as differences tell; infinite ones never are."""
    if a.shape != b.shape:
        return False
    scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.isfinite(scale) and np.all(np.abs(a - b) <= FITS * scale + 1e-9))
