"""Cut data in two: for training and for validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.layers import arguments
from minicnn.layers.structure import leaves, mapped
from minicnn.random import new_generator

Share = float | int | None


def split_dataset(
    dataset: Any,
    left_size: Share = None,
    right_size: Share = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Cut arrays into two parts along the first axis.

    Args:
        dataset: an array, or a tuple, list or dict of arrays with equally many samples.
        left_size: how much the first part gets: a share between 0 and 1, or a number of samples.
            None: what the second part leaves.
        right_size: the same for the second part. Without either, each gets a half.
        shuffle: whether to mix the samples before.
        seed: decides how; None takes the next one of minicnn's own.

    Returns:
        Two of what was given.

    Raises:
        ValueError: a part would be empty, or both together are more than there is.
        TypeError: dataset or a size is of the wrong kind.

    Differs from Keras: the parts are arrays, not data sets of TensorFlow, and only arrays can be
        split. Pictures in folders are split by image_dataset_from_directory.

    >>> left, right = split_dataset(np.arange(10), left_size=0.8)
    >>> left.tolist(), right.tolist()
    ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9])
    """
    arrays = leaves(dataset)
    if not arrays or not all(isinstance(array, np.ndarray | Tensor) for array in arrays):
        raise TypeError(
            f"split_dataset: wants arrays, or a tuple, list or dict of them, but got "
            f"{type(dataset).__name__}."
        )
    dataset = mapped(np.asarray, dataset)
    counts = [len(array) for array in leaves(dataset)]
    if len(set(counts)) > 1:
        raise ValueError(f"split_dataset: the arrays have different numbers of samples: {counts}.")
    left, right = _sizes(left_size, right_size, counts[0])
    order = np.arange(counts[0])
    if arguments.truth_value("split_dataset", "shuffle", shuffle):
        new_generator(seed).shuffle(order)
    return _taken(dataset, order[:left]), _taken(dataset, order[counts[0] - right :])


def _taken(dataset: Any, rows: Array) -> Any:
    return mapped(lambda array: array[rows], dataset)


def _sizes(left: Share, right: Share, count: int) -> tuple[int, int]:
    if left is None and right is None:
        left = 0.5
    one, other = _samples("left_size", left, count), _samples("right_size", right, count)
    one = count - (other or 0) if one is None else one
    other = count - one if other is None else other
    if one < 1 or other < 1 or one + other > count:
        raise ValueError(
            f"split_dataset: of {count} samples, parts of {one} and {other} cannot be made: give "
            f"left_size and right_size that are above 0 and together at most 1, or {count} samples."
        )
    return one, other


def _samples(name: str, size: Share, count: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    return round(number(f"split_dataset: {name}", size, high=1) * count)
