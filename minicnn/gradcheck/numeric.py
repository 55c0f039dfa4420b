"""Finite differences: the gradient of a function, found without its backward."""

from __future__ import annotations

import itertools

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.point import Point

EPS = float(np.finfo(np.float64).eps)


class Stencil:
    """The outputs of a function behind, at and ahead of a point, along one direction.

    Outputs are subtracted from each other before anybody weights and adds them up, so that the
    rounding of large sums does not enter.
    """

    def __init__(self, point: Point, i: int, direction: Array, h: float, here: Array) -> None:
        x = point.array(i)
        ahead, behind = point.values({i: x + h * direction}), point.values({i: x - h * direction})
        self.right, self.left = (ahead - here) / h, (here - behind) / h
        self.central = (ahead - behind) / (2 * h)
        self.noise = 2 * EPS * np.maximum(np.abs(ahead), np.abs(behind)) / h


def unit(shape: tuple[int, ...], index: tuple[int, ...]) -> Array:
    """The direction in which only one element moves."""
    direction = np.zeros(shape)
    direction[index] = 1.0
    return direction


def step_at(x: float, h: float) -> float:
    """A step of size h * max(1, |x|), such that x + step is exact."""
    moved = x + h * max(1.0, abs(x))
    return float(moved - x)


def jacobian(point: Point, i: int, indices: list[tuple[int, ...]], h: float) -> Array:
    """The slopes of all outputs by some elements of input i: one row for each element."""
    here, x = point.values(), point.array(i)
    rows = [
        Stencil(point, i, unit(x.shape, index), step_at(float(x[index]), h), here).central
        for index in indices
    ]
    return np.array(rows).reshape(len(indices), here.size)


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
