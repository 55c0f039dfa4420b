"""Guesses that look at the other inputs: is one taken for another, or the wrong way round?"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.numeric import jacobian
from minicnn.gradcheck.suspect import Sampled, Suspect, close

FEW = 12  # elements that are compared for each of many guesses


def other_input(s: Suspect) -> str:
    """Two gradients were returned in the wrong order, or one of them twice."""
    for place, other in enumerate(s.point.wrt):
        if isinstance(s, Sampled) or other == s.i or s.point.array(other).shape != s.x.shape:
            continue
        claims = [c[place] for c in s.wrong_of_all]
        slopes = jacobian(s.point, other, list(np.ndindex(s.x.shape)), 1e-5)
        rights = [(slopes @ g).reshape(s.x.shape) for g in s.upstream]
        if all(map(close, s.wrong, rights)):
            swapped = " (the two are swapped)" if all(map(close, claims, s.right)) else ""
            return f"it is the gradient for {s.point.names[other]}{swapped}"
    return ""


def rearranged_input(s: Suspect) -> str:
    """It would be right if another input lay the other way round."""
    if isinstance(s, Sampled):
        return ""
    rng = np.random.default_rng(0)
    places = rng.permutation(s.x.size)[:FEW]
    indices = [tuple(int(k) for k in np.unravel_index(place, s.x.shape)) for place in places]
    claims = [np.array([w[index] for index in indices]) for w in s.wrong]
    for other in s.point.wrt:
        for name, array in _rearranged(s.point.array(other)) if other != s.i else ():
            point = copy.copy(s.point)
            point.inputs = [*s.point.inputs]
            point.inputs[other] = array
            slopes = jacobian(point, s.i, indices, 1e-5)
            if all(close(w, slopes @ g) for w, g in zip(claims, s.upstream, strict=True)):
                return f"it would be right if {s.point.names[other]} were {name}"
    return ""


def _rearranged(a: Array) -> Iterator[tuple[str, Array]]:
    """All ways to transpose and to flip an array that keep its shape, and change it."""
    for axes in itertools.permutations(range(a.ndim)) if a.ndim <= 4 else ():
        turned = np.transpose(a, axes)
        if list(axes) != sorted(axes) and turned.shape == a.shape:
            name = "transposed" if a.ndim == 2 else f"transposed by {axes}"
            yield name, np.ascontiguousarray(turned)
    long = [axis for axis, n in enumerate(a.shape) if n > 1]
    for count in range(1, len(long) + 1):
        for some in itertools.combinations(long, count):
            name = f"axis {some[0]}" if count == 1 else f"axes {some}"
            yield f"flipped along {name}", np.ascontiguousarray(np.flip(a, some))
