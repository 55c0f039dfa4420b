"""Finite differences: the gradient of a function, found without its backward."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, watch
from minicnn.backend import Array
from minicnn.gradcheck.point import Point

EPS = float(np.finfo(np.float64).eps)


class Stencil:
    """The outputs of a function behind, at and ahead of a point, along one direction.

    The direction says for some of the inputs where each element of theirs goes. Outputs are
    subtracted from each other before anybody weights and adds them up, so that the rounding of
    large sums does not enter.
    """

    def __init__(self, point: Point, direction: Mapping[int, Array], h: float, here: Array) -> None:
        with np.errstate(all="ignore"):  # the report tells where the domain of a function was left
            ahead = point.values({i: point.array(i) + h * d for i, d in direction.items()})
            behind = point.values({i: point.array(i) - h * d for i, d in direction.items()})
            self.right, self.left = (ahead - here) / h, (here - behind) / h
            self.central = (ahead - behind) / (2 * h)
        self.noise = 2 * EPS * np.maximum(np.abs(ahead), np.abs(behind)) / h

    @property
    def is_finite(self) -> bool:
        """Whether the function is defined on both sides."""
        return bool(np.isfinite(self.central).all())


def unit(shape: tuple[int, ...], index: tuple[int, ...]) -> Array:
    """The direction in which only one element moves."""
    direction = np.zeros(shape)
    direction[index] = 1.0
    return direction


def step_at(x: float, h: float) -> float:
    """A step of size h * max(1, |x|), such that x + step is exact."""
    moved = x + h * max(1.0, abs(x))
    return float(moved - x)


def power_step(x: float, h: float) -> float:
    """A step of size h times the power of 2 that is next to max(1, |x|)."""
    return float(h * 2.0 ** np.floor(np.log2(max(1.0, abs(x)))))


def step_within(x: float) -> float:
    """A step that never reaches 0, where many functions end or bend more and more."""
    return 1e-4 * abs(x)


def stencil_at(point: Point, i: int, index: tuple[int, ...], h: float, here: Array) -> Stencil:
    """The outputs around one element; with a smaller step where h leads out of the domain."""
    array = point.array(i)
    direction, x = {i: unit(array.shape, index)}, float(array[index])
    stencil = Stencil(point, direction, step_at(x, h), here)
    if stencil.is_finite or x == 0:
        return stencil
    return Stencil(point, direction, step_within(x), here)


def jacobian(point: Point, i: int, indices: list[tuple[int, ...]], h: float) -> Array:
    """The slopes of all outputs by some elements of input i: one row for each element."""
    here = point.values()
    rows = [stencil_at(point, i, index, h, here).central for index in indices]
    return np.array(rows).reshape(len(indices), here.size)


class _Largest(Watcher):
    def __init__(self) -> None:
        self.seen = 0.0

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for array in (*(x.data for x in inputs), output.data):
            if array.dtype.kind == "f":
                finite = np.abs(array[np.isfinite(array)])
                self.seen = max(self.seen, float(finite.max(initial=0)))


def most_rounding(point: Point) -> float:
    """What float64 may lose in all outputs together, by the largest number on the way to them."""
    with watch(largest := _Largest()):
        size = point.values().size
    return 100 * EPS * size * largest.seen


def sample(shape: tuple[int, ...], most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Choose elements of an array: all, or some of each kind of place where mistakes hide.

    The corners, the edges, the first and the last channel, and the rest at random.
    """
    size = int(np.prod(shape))
    if size <= most:
        return list(np.ndindex(shape))
    ends = [sorted({0, n - 1}) for n in shape]
    chosen = dict.fromkeys(list(itertools.product(*ends))[: most // 4])
    for axis, n in enumerate(shape):  # one after the other lies on each of the edges
        for end in (0, n - 1):
            for _ in range(max(1, most // (4 * len(shape) * 2))):
                index = [int(rng.integers(m)) for m in shape]
                index[axis] = end
                chosen[tuple(index)] = None
    for place in rng.permutation(size):
        if len(chosen) >= most:
            break
        chosen[tuple(int(k) for k in np.unravel_index(place, shape))] = None
    return list(chosen)[:most]
