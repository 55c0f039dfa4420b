"""How labels, outputs and sample weights are brought together, for losses and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, kernels, on_cpu

Shape = tuple[int, ...]


def numbers(who: str, values: Any) -> Array:
    """Labels or outputs, as a NumPy array of numbers.

    While a step is captured for a GPU, they stay there, and their numbers cannot be looked at;
    batches are checked before that.

    Raises:
        TypeError: they are no numbers.

    >>> numbers("mse", [[1, 2]]).shape
    (1, 2)
    """
    array = values.data if isinstance(values, Tensor) else values
    if not (kernels.graphs.is_capturing() and kernels.is_gpu_array(array)):
        array = on_cpu(array)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{who}: labels and outputs must be numbers, but got an array of {array.dtype}."
        )
    return array


def paired(who: str, y_true: Any, y_pred: Any) -> tuple[Array, Tensor]:
    """Labels and outputs of one shape and dtype, for losses that compare them number by number.

    Raises:
        ValueError: their shapes differ.

    >>> paired("mse", [1, 2], np.zeros((2, 1)))
    (array([[1.],
           [2.]]), Tensor([[0.]
     [0.]]))
    """
    y_pred = outputs(who, y_pred)
    truth = of_one_rank(numbers(who, y_true), y_pred.shape)
    check_same_shape(who, truth.shape, y_pred.shape)
    return truth.astype(y_pred.dtype), y_pred


def outputs(who: str, y_pred: Any) -> Tensor:
    """Outputs as a tensor of floating point numbers.

    >>> outputs("mse", [1, 2])
    Tensor([1. 2.])
    """
    if isinstance(y_pred, Tensor):
        return y_pred
    array = numbers(who, y_pred)
    return Tensor(array if array.dtype.kind == "f" else array.astype(np.float32))


def check_same_shape(who: str, y_true: Shape, y_pred: Shape) -> None:
    """Refuse labels that do not stand one to one beside the outputs.

    NumPy would repeat (32, 1) to (32, 10) and go on, and nobody would notice.

    Raises:
        ValueError: the shapes differ.

    >>> check_same_shape("mse", (32, 1), (32, 10))
    Traceback (most recent call last):
    ValueError: mse [MC010]: labels of shape (32, 1) do not stand one to one beside outputs of ...
    """
    if y_true == y_pred:
        return
    if y_pred and y_pred[-1] > 1 and y_true in (y_pred[:-1], (*y_pred[:-1], 1)):
        mend = (
            f"If they are class numbers, use sparse_categorical_crossentropy, or one-hot them: "
            f"utils.to_categorical(y, {y_pred[-1]})."
        )
    else:
        mend = "Check the shape of the labels and the number of units of the last layer."
    raise ValueError(
        f"{who} [MC010]: labels of shape {y_true} do not stand one to one beside outputs of shape "
        f"{y_pred}. {mend}"
    )


def of_one_rank(y_true: Array, y_pred: Shape) -> Array:
    """Add or drop a last axis of size 1, where that makes the labels fit the outputs.

    >>> of_one_rank(np.zeros(5), (5, 1)).shape, of_one_rank(np.zeros((5, 1)), (5,)).shape
    ((5, 1), (5,))
    """
    if (*y_true.shape, 1) == y_pred or y_true.shape == (*y_pred, 1):
        return y_true.reshape(y_pred)
    return y_true


def class_numbers(who: str, y_true: Array, y_pred: Shape) -> Array:
    """Labels (N,) or (N, 1) as integers (N,), for outputs (N, K); any axes may stand for N.

    Raises:
        ValueError: they are one-hot, their number is wrong, or one is no integer from 0 to K - 1.

    >>> class_numbers("accuracy", np.array([[2.0], [0.0]]), (2, 3))
    array([2, 0])
    """
    rows, K = y_pred[:-1], y_pred[-1] if y_pred else 0
    if y_true.shape == y_pred and K > 1:
        raise ValueError(
            f"{who} [MC011]: wants class numbers of shape {rows}, but got labels of shape "
            f"{y_true.shape}, as one-hot labels have. Use the categorical version, without "
            f"'sparse', or class numbers: y.argmax(axis=-1)."
        )
    if y_true.shape not in (rows, (*rows, 1)) or not y_pred:
        raise ValueError(
            f"{who} [MC010]: wants class numbers of shape {rows} for outputs of shape {y_pred}, "
            f"but got {y_true.shape}."
        )
    labels = y_true.reshape(rows)
    if not kernels.graphs.is_capturing():
        _check_class_numbers(who, labels, K)
    return labels.astype(np.intp)


def _check_class_numbers(who: str, labels: Array, K: int) -> None:
    if labels.dtype.kind == "f":
        odd = labels[~(labels == np.floor(labels))]  # so that NaN is odd, too
        if odd.size:
            raise ValueError(
                f"{who} [MC013]: class numbers must be integers, but one is {odd[0]}. Are these "
                f"probabilities, or values for a regression?"
            )
    if labels.size and (labels.min() < 0 or labels.max() >= K):
        raise ValueError(
            f"{who} [MC012]: the labels reach from {labels.min():g} to {labels.max():g}, but the "
            f"model has {K} outputs, for the classes 0 to {K - 1}. Does the last layer have one "
            f"unit per class, and do the labels count from 0?"
        )


def one_hot_rows(who: str, y_true: Array, y_pred: Shape) -> Array:
    """Labels (N, K) for outputs (N, K), unchanged.

    Raises:
        ValueError: they are class numbers, or their shape is another one.

    >>> one_hot_rows("accuracy", np.array([3, 1]), (2, 5))
    Traceback (most recent call last):
    ValueError: accuracy [MC011]: wants one-hot labels of shape (2, 5), but got (2,), as class ...
    """
    if y_true.shape != y_pred and y_true.shape in (y_pred[:-1], (*y_pred[:-1], 1)):
        raise ValueError(
            f"{who} [MC011]: wants one-hot labels of shape {y_pred}, but got {y_true.shape}, as "
            f"class numbers have. Use the version with 'sparse', or one-hot labels: "
            f"utils.to_categorical(y, {y_pred[-1]})."
        )
    check_same_shape(who, y_true.shape, y_pred)
    return y_true


def kind_of_labels(y_true: Shape, y_pred: Shape) -> str:
    """Tell by the shapes whether labels are "binary", "sparse" or "categorical", as Keras does.

    >>> kind_of_labels((32,), (32, 1)), kind_of_labels((32,), (32, 10))
    ('binary', 'sparse')
    >>> kind_of_labels((32, 10), (32, 10))
    'categorical'
    """
    if len(y_pred) < 2 or y_pred[-1] == 1:
        return "binary"
    return "sparse" if len(y_true) < len(y_pred) or y_true[-1] == 1 else "categorical"


def fitting_weights(who: str, sample_weight: Any, shape: Shape) -> Array:
    """Sample weights, in a shape that NumPy multiplies with values of `shape` as it is meant.

    Args:
        who: a loss or metric, for the message.
        sample_weight: one number per sample, (N,) or (N, 1); or one per value.
        shape: that of the values.

    Raises:
        ValueError: there is another number of weights.

    >>> fitting_weights("mse", [1.0, 2.0], (2, 5, 5)).shape
    (2, 1, 1)
    """
    weights = numbers(f"{who}, sample_weight", sample_weight)
    if weights.shape in (shape, ()):
        return weights
    if weights.shape[-1] == 1 and weights.ndim > 1:
        weights = weights[..., 0]
    if weights.shape != shape[: weights.ndim]:
        raise ValueError(
            f"{who}: sample_weight has shape {np.shape(sample_weight)}, but the values to be "
            f"weighted have {shape}. Give one weight per sample: ({shape[0] if shape else 1},)."
        )
    return weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
