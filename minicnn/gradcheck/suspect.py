"""A wrong gradient under examination: all that the guesses of diagnosis.py need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.numeric import jacobian, stencil_at
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
        self.slopes = jacobian(point, i, list(np.ndindex(self.x.shape)), h)
        self.right = [self.answer(g) for g in self.upstream]

    def answer(self, g: Array) -> Array:
        """The right gradient for another upstream gradient."""
        return (self.slopes @ g).reshape(self.x.shape)

    def is_made_by(self, change: Callable[[Array], Array]) -> bool:
        """Whether `change` turns the right gradients into the wrong ones."""
        pairs = zip(self.wrong, self.right, strict=True)
        return all(close(wrong, change(right)) for wrong, right in pairs)

    def is_for(self, change: Callable[[Array], Array]) -> bool:
        """Whether the wrong gradients would be right for upstream gradients changed by `change`."""
        pairs = zip(self.wrong, self.upstream, strict=True)
        return all(close(wrong, self.answer(change(g))) for wrong, g in pairs)

    @property
    def wrong_places(self) -> Array:
        """The mask of the elements that differ."""
        scale = max(float(np.abs(a).max(initial=0)) for a in [*self.right, *self.wrong])
        return np.any(
            [np.abs(w - r) > FITS * scale for w, r in zip(self.wrong, self.right, strict=True)],
            axis=0,
        )


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
    return bool(
        np.isfinite(scale) and np.all(np.abs(a - b) <= FITS * scale + min(1e-9, scale / 1000))
    )
