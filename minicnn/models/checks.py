"""Checks of the data that users give to fit, evaluate and predict, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, floatx, on_cpu
from minicnn.layers.input_check import CHANNELS_FIRST, ONE_INPUT
from minicnn.layers.shapes import Shape

CHUNK = 1 << 20  # numbers that are looked at together, so that no large temporary array is made


def as_array(name: str, value: Any) -> Array:
    """Turn what a user gave into an array of numbers, without copying one that is such an array.

    Raises:
        TypeError: it does not hold numbers, or not in the form of an array.

    >>> as_array("fit: x", [[1, 2], [3]])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: fit: x holds entries of different shapes, so it is no array. ...
    """
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, dict | set):
        raise TypeError(f"{name} must be an array, but is a {type(value).__name__}.")
    try:
        array = on_cpu(value)
    except ValueError as error:
        raise TypeError(
            f"{name} holds entries of different shapes, so it is no array. Stack arrays of one "
            f"shape with np.stack; labels go into an argument of their own, y."
        ) from error
    if array.dtype.kind not in "fiub":
        hint = " Turn class names into numbers first." if array.dtype.kind in "US" else ""
        raise TypeError(f"{name} must hold real numbers, but its dtype is {array.dtype}.{hint}")
    return array


def check_rows(arrays: Mapping[str, Array | None], who: str) -> int:
    """Return how many rows the arrays have, all the same.

    Raises:
        ValueError: there are none, or their numbers differ.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    for name, array in given.items():
        if array.ndim == 0:
            raise ValueError(f"{who}: {name} must have a batch axis, but is a single number.")
    rows = {name: len(array) for name, array in given.items()}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in rows.items())
        raise ValueError(f"{who}: wants one row per sample in each array, but {counts} rows.")
    name, count = next(iter(rows.items()))
    if count == 0:
        raise ValueError(f"{who} [MC054]: {name} is empty: its shape is {given[name].shape}.")
    return count


def check_finite(name: str, array: Array | None) -> None:
    """Check that `array` holds no NaN, and nothing infinite or too large for floatx().

    Raises:
        ValueError: it does; the message says how many and where the first one is.

    >>> check_finite("fit: x", np.array([[1.0, 2.0], [3.0, np.nan]]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: fit: x [MC031] has 1 NaN, the first at [1, 1]. ...
    """
    if array is None or array.dtype.kind != "f" or array.size == 0:
        return
    limit = np.finfo(floatx()).max
    rows = max(1, CHUNK // max(1, array[0].size))
    for start in range(0, len(array), rows):
        chunk = array[start : start + rows]
        # a NaN makes minimum and maximum NaN, and no comparison with a NaN is true
        if not (chunk.min() >= -limit and chunk.max() <= limit):
            raise ValueError(f"{name} [MC031] has {_what_is_wrong(array, float(limit))}")


def _what_is_wrong(array: Array, limit: float) -> str:
    nan, usable = np.isnan(array), np.abs(array) <= limit
    large = array.size - int(usable.sum()) - int(nan.sum())
    found = [f"{int(nan.sum())} NaN"] * bool(nan.any())
    found += [f"{large} infinite or too large for {floatx()}"] * bool(large)
    first = [int(k) for k in np.unravel_index(int(np.argmin(usable)), array.shape)]
    return (
        f"{' and '.join(found)}, the first at {first}. Find out where it comes from, or leave "
        f"out the rows: np.isfinite(x) is False there."
    )


def check_shape(title: str, came: Shape, wanted: Shape) -> None:
    """Check that inputs of shape `came` fit a model that wants `wanted`; None fits any size.

    Raises:
        ValueError: they do not; the message guesses the mistake.
    """
    if fits(came, wanted):
        return
    hint = "Give it inputs of that shape, or make a new model for this one."
    if fits(came, wanted[1:]):
        hint = ONE_INPUT
    elif fits((*came, 1), wanted):
        hint = "Grey images? Add the channel axis: x[..., None]."
    elif len(came) == 4 and fits((came[0], *came[2:], came[1]), wanted):
        hint = CHANNELS_FIRST
    raise ValueError(f"{title}: wants inputs of shape {wanted}, but got {came}. {hint}")


def fits(came: Shape, wanted: Shape) -> bool:
    """Whether a shape is that which is wanted, where None fits any size."""
    if came[1:] == wanted[1:]:  # as a rule
        return len(came) == len(wanted)
    return len(came) == len(wanted) and all(
        one == other or one is None or other is None
        for one, other in zip(came[1:], wanted[1:], strict=True)
    )


def looks_like_pixels(x: Array) -> bool:
    """Whether x holds whole numbers from 0 to 255 that reach beyond 100, as images on disk do."""
    if x.size == 0 or x.min() < 0 or not 100 < x.max() <= 255:
        return False
    return bool((x == np.floor(x)).all())


def classes_only_in(validation: Array | None, training: Array | None) -> list[int]:
    """The class numbers that the end of sorted labels has, and their beginning has not."""
    if not isinstance(training, np.ndarray) or training.dtype.kind not in "iu":
        return []
    if validation is None or training.size != len(training):  # not one number per sample
        return []
    return [int(label) for label in np.setdiff1d(validation, training)]
