"""One-hot labels, rows of length 1, and reproducible runs."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import ArrayLike, NDArray

import minicnn.random


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """Write classes as one-hot rows: a 1 at the place of the class, 0 elsewhere.

        y[..., c] = 1 if x[...] == c else 0

    This is the form that `loss="categorical_crossentropy"` wants;
    `sparse_categorical_crossentropy` takes the integers as they are.

    Args:
        x: classes, whole numbers from 0 on, (N,) or (N, 1) or any (..., 1).
        num_classes: C, the number of classes; the largest in x plus 1 if not given.

    Returns:
        float64 (N, C), as in Keras; a last axis of length 1 is replaced by C.

    Raises:
        TypeError: x does not hold numbers, or num_classes is no integer.
        ValueError: a class is negative, not whole, or not below num_classes, or that is below 1.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    >>> to_categorical([[1], [0]], num_classes=4).shape
    (2, 4)
    """
    classes = _whole_numbers(np.asarray(x))
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    count = _class_count(classes, num_classes)
    categorical = np.zeros((classes.size, count))
    categorical[np.arange(classes.size), classes.ravel()] = 1
    return categorical.reshape(*classes.shape, count)


def _whole_numbers(x: NDArray[np.generic]) -> NDArray[np.int64]:
    if x.size and x.dtype.kind not in "biuf":
        raise TypeError(f"to_categorical: x must hold whole numbers, but its dtype is {x.dtype}.")
    numbers = x.astype(np.float64)
    broken = ~np.isfinite(numbers) | (np.trunc(numbers) != numbers)
    if broken.any():
        example = numbers[broken][0]
        raise ValueError(f"to_categorical: classes are whole numbers, but x contains {example}.")
    return x.astype(np.int64)


def _class_count(classes: NDArray[np.int64], num_classes: int | None) -> int:
    if classes.size and classes.min() < 0:
        raise ValueError(f"to_categorical: classes count from 0, but x contains {classes.min()}.")
    if num_classes is None:
        if not classes.size:
            raise ValueError("to_categorical: x is empty, so give num_classes.")
        return int(classes.max()) + 1
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise TypeError(f"to_categorical: num_classes must be an integer, but is {num_classes!r}.")
    if num_classes < 1:
        raise ValueError(f"to_categorical: num_classes must be at least 1, but is {num_classes}.")
    if classes.size and classes.max() >= num_classes:
        raise ValueError(
            f"to_categorical: x contains class {classes.max()}, but num_classes={num_classes} "
            f"allows 0 to {num_classes - 1}. Give num_classes={classes.max() + 1} or leave it out."
        )
    return int(num_classes)


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> NDArray[np.floating]:
    """Stretch the rows of an array to the length 1.

        y = x / (sum over axis of |x|^order)^(1 / order);   a row of zeros stays as it is

    Args:
        x: numbers.
        axis: along which the length is taken.
        order: which length: 2 is the usual one, 1 adds up, np.inf takes the largest.

    Returns:
        An array of the shape of x.

    Raises:
        numpy.exceptions.AxisError: x has no such axis.

    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = np.asarray(x)
    lengths = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(lengths == 0, 1, lengths)


def set_random_seed(seed: int) -> None:
    """Make a program repeat: seed Python's `random`, NumPy's global numbers and minicnn's own.

    Two runs that begin with the same seed then start from the same weights, shuffle and drop out
    alike, and end with the same numbers, bit by bit.

    Args:
        seed: an integer from 0 to 2^32 - 1, which is as far as NumPy's global seed reaches.

    Raises:
        TypeError: seed is not an integer.
        ValueError: seed is out of range.

    >>> set_random_seed(7); first = np.random.rand(), random.random()
    >>> set_random_seed(7); first == (np.random.rand(), random.random())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"set_random_seed: seed must be an integer, but is {seed!r}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed: seed must be from 0 to {2**32 - 1}, but is {seed}.")
    random.seed(int(seed))
    np.random.seed(int(seed))
    minicnn.random.set_seed(int(seed))
