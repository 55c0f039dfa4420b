"""The largest and the smallest number along some axes: found once, then only read."""

import numpy as np

from minicnn.autograd import Axis, Tensor
from minicnn.backend import Array, constant
from minicnn.ops.axes import count, normal_axes, with_ones, without
from minicnn.ops.indexing import Read
from minicnn.ops.shape import reshape


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Keep the largest number along `axis`, by default along all axes.

        y = x[k]        for the first k, in row-major order, with x[k] >= all others

    A small change of the others does not show in y, so the winner receives all of dy. Where
    several are equal the maximum has a kink, and the first winner is one choice of several; a NaN
    wins against all.

    Args:
        x: any shape.
        axis: one axis or several.
        keepdims: whether these axes stay, with size 1.

    Returns:
        A tensor of the shape of x without `axis`.

    Raises:
        ValueError: x has no such axis, or there are no numbers along it.

    >>> max(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([5. 4.])
    """
    axes = normal_axes("max", axis, x.ndim)
    count("max", x.shape, axes)
    return _keep(x, axes, keepdims, _rows(x.data, axes).argmax(axis=-1))


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Keep the smallest number along `axis`, by default along all axes.

        y = x[k]        for the first k, in row-major order, with x[k] <= all others

    The winner receives all of dy; more about that at `max`.

    Args:
        x: any shape.
        axis: one axis or several.
        keepdims: whether these axes stay, with size 1.

    Returns:
        A tensor of the shape of x without `axis`.

    Raises:
        ValueError: x has no such axis, or there are no numbers along it.

    >>> min(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([1. 3.])
    """
    axes = normal_axes("min", axis, x.ndim)
    count("min", x.shape, axes)
    return _keep(x, axes, keepdims, _rows(x.data, axes).argmin(axis=-1))


def _rows(x: Array, axes: tuple[int, ...]) -> Array:
    """The numbers of x with `axes` moved to the end, in their own order, and made one."""
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    return x.transpose(*kept, *sorted(axes)).reshape(*(x.shape[k] for k in kept), -1)


def _coordinates(places: Array, sizes: list[int]) -> list[Array]:
    """Places along several axes made one, as places along each of these axes.

    np.unravel_index, without the look at the places with which CuPy's ends the capture of a graph.
    """
    found: list[Array] = []
    for size in reversed(sizes):
        places, along = places // size, places % size
        found.insert(0, along)
    return found


def _keep(x: Tensor, axes: tuple[int, ...], keepdims: bool, winners: Array) -> Tensor:
    """Read from each row of x (see _rows) the number at the place that `winners` gives."""
    shape = with_ones(x.shape, axes)
    reduced = sorted(axes)
    along = _coordinates(winners.reshape(shape), [x.shape[k] for k in reduced])
    places = [constant(place, x.data) for place in np.ogrid[tuple(slice(n) for n in x.shape)]]
    for k, place in zip(reduced, along, strict=True):
        places[k] = place
    y = Read(tuple(places), distinct=True)(x)
    return y if keepdims else reshape(y, without(x.shape, axes))
