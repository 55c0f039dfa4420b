"""Ways to spoil the upstream gradient before it is used: each makes a wrong gradient of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.suspect import Suspect


def changes_of_upstream(s: Suspect) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Ways to spoil the upstream gradient of a function with one output."""
    shape = s.outputs[0].shape
    yield "averaged over all outputs", lambda g: np.full_like(g, g.mean())
    yield "sorted", np.sort
    yield "reversed", lambda g: g[::-1]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        yield f"averaged along axis {axis}", on(shape, _averaged(axis))
        yield f"flipped along axis {axis}", on(shape, _flipped(axis))
        for by in (1, -1):
            shifted = on(shape, _rolled(axis, by))
            yield f"shifted by {by} along axis {axis}", shifted
        for k in (0, n - 1):
            only = f"taken from place {k} of axis {axis} for all places"
            yield only, on(shape, _repeated(axis, k))
            yield f"used at place {k} of axis {axis} only", on(shape, alone(axis, k))
            yield f"not used at place {k} of axis {axis}", on(shape, _without(axis, k))
    for axes in itertools.permutations(range(len(shape))):
        if list(axes) != sorted(axes) and len(shape) <= 4:
            spoilt = on(shape, _transposed(axes))
            yield f"transposed by {axes}", spoilt


def on(shape: tuple[int, ...], change: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Let `change` see a vector as an array of this shape."""
    return lambda g: change(g.reshape(shape)).ravel()


def _flipped(axis: int) -> Callable[[Array], Array]:
    return lambda g: np.flip(g, axis)


def _rolled(axis: int, by: int) -> Callable[[Array], Array]:
    return lambda g: np.roll(g, by, axis)


def _transposed(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda g: np.transpose(g, axes).reshape(g.shape)


def _averaged(axis: int) -> Callable[[Array], Array]:
    return lambda g: np.broadcast_to(g.mean(axis, keepdims=True), g.shape)


def _repeated(axis: int, k: int) -> Callable[[Array], Array]:
    return lambda g: np.broadcast_to(np.take(g, [k], axis), g.shape)


def alone(axis: int, k: int) -> Callable[[Array], Array]:
    """Keep place k of an axis, and put 0 everywhere else."""
    return lambda g: np.where(_at(g.shape, axis, k), g, 0)


def _without(axis: int, k: int) -> Callable[[Array], Array]:
    return lambda g: np.where(_at(g.shape, axis, k), 0, g)


def _at(shape: tuple[int, ...], axis: int, k: int) -> Array:
    """The mask of place k along an axis."""
    along = np.arange(shape[axis]) == k
    return np.broadcast_to(
        along.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape
    )
