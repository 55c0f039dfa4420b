"""Losses for numbers: how far the outputs are from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.losses.loss import Loss
from minicnn.pairing import paired

TINY = 1e-7  # what is divided by, or a logarithm taken of, is kept this far from 0


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Average the squared differences in each row: mean over k of (y_pred[n,k] - y_true[n,k])^2.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_squared_error([[1.0, 2.0]], Tensor([[1.0, 5.0]]))
    Tensor([4.5])
    """
    truth, y_pred = paired("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_pred - truth), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Average the absolute differences in each row: mean over k of |y_pred[n,k] - y_true[n,k]|.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_absolute_error([[1.0, 2.0]], Tensor([[1.0, 5.0]]))
    Tensor([1.5])
    """
    truth, y_pred = paired("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_pred - truth), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Average the differences in percent: 100 * mean over k of |y_pred - y_true| / |y_true|.

    Labels that are 0 count as 1e-7.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_absolute_percentage_error([[2.0]], Tensor([[3.0]]))
    Tensor([50.])
    """
    truth, y_pred = paired("mean_absolute_percentage_error", y_true, y_pred)
    share = ops.abs(y_pred - truth) / np.maximum(np.abs(truth), truth.dtype.type(TINY))
    return ops.mean(share, axis=-1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Compare orders of magnitude: mean over k of (log(1 + y_pred) - log(1 + y_true))^2.

    Numbers below 1e-7 count as 1e-7.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_squared_logarithmic_error([[0.0]], Tensor([[math.e - 1]])).numpy().round(4)
    array([1.], dtype=float32)
    """
    truth, y_pred = paired("mean_squared_logarithmic_error", y_true, y_pred)
    logs = np.log(np.maximum(truth, truth.dtype.type(TINY)) + 1)
    return ops.mean(ops.square(ops.log(ops.maximum(y_pred, TINY) + 1.0) - logs), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Square small differences, and take large ones as they are, so that outliers pull less.

        mean over k of   d^2 / 2                   where |d| <= delta,  d = y_pred - y_true
                         delta |d| - delta^2 / 2   elsewhere

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).
        delta: where large begins.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    Source: Huber 1964, doi:10.1214/aoms/1177703732.

    >>> huber([[0.0], [0.0]], Tensor([[0.5], [3.0]]))
    Tensor([0.125 2.5  ])
    """
    truth, y_pred = paired("huber", y_true, y_pred)
    d = y_pred - truth
    size = ops.abs(d)
    large = size * delta - 0.5 * delta**2
    return ops.mean(ops.where(size.data <= delta, ops.square(d) * 0.5, large), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Average log(cosh(y_pred - y_true)): about d^2 / 2 for small differences, |d| for large ones.

        log cosh d = d + softplus(-2 d) - log 2

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> log_cosh([[0.0]], Tensor([[0.0]])).numpy().round(4)
    array([0.], dtype=float32)
    """
    truth, y_pred = paired("log_cosh", y_true, y_pred)
    d = y_pred - truth
    return ops.mean(d + ops.softplus(d * -2.0) - math.log(2), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Compare directions: -1 for the same, 0 at a right angle, 1 for the opposite.

        - sum over k of  y_true[n,k] / |y_true[n]| * y_pred[n,k] / |y_pred[n]|

    Lengths below 1e-7 count as 1e-7.

    Args:
        y_true: the right vectors, (N, K).
        y_pred: the outputs, (N, K).
        axis: along which the numbers of a vector lie.

    Returns:
        One number per vector, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> cosine_similarity([[0.0, 2.0]], Tensor([[0.0, 5.0]]))
    Tensor([-1.])
    """
    truth, y_pred = paired("cosine_similarity", y_true, y_pred)
    length = np.sqrt((truth**2).sum(axis=axis, keepdims=True))
    truth = truth / np.maximum(length, truth.dtype.type(TINY))
    squares = ops.sum(ops.square(y_pred), axis=axis, keepdims=True)
    return -ops.sum(y_pred / ops.sqrt(ops.maximum(squares, TINY**2)) * truth, axis=axis)


class MeanSquaredError(Loss):
    """The mean of (y_pred - y_true)^2; see mean_squared_error.

    >>> MeanSquaredError()([[0.0]], Tensor([[3.0]]))
    Tensor(9.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean of |y_pred - y_true|; see mean_absolute_error.

    >>> MeanAbsoluteError()([[0.0]], Tensor([[3.0]]))
    Tensor(3.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_absolute_error(y_true, y_pred)


class MeanAbsolutePercentageError(Loss):
    """The mean difference in percent; see mean_absolute_percentage_error.

    >>> MeanAbsolutePercentageError()([[2.0]], Tensor([[3.0]]))
    Tensor(50.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_absolute_percentage_error(y_true, y_pred)


class MeanSquaredLogarithmicError(Loss):
    """The mean squared difference of logarithms; see mean_squared_logarithmic_error.

    >>> MeanSquaredLogarithmicError()([[1.0]], Tensor([[1.0]]))
    Tensor(0.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_squared_logarithmic_error(y_true, y_pred)


class LogCosh(Loss):
    """The mean logarithm of the hyperbolic cosine of the difference; see log_cosh.

    >>> round(LogCosh()([[0.0]], Tensor([[100.0]])).item(), 3)  # 100 - log 2
    99.307
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return log_cosh(y_true, y_pred)


class Huber(Loss):
    """Squares of small differences, and sizes of large ones; see huber.

    Args:
        delta: where large begins.
        name: by default "huber_loss".
        **common: reduction; see Loss.

    >>> Huber()([[0.0], [0.0]], Tensor([[0.5], [3.0]]))
    Tensor(1.3125)
    """

    def __init__(self, delta: float = 1.0, name: str | None = "huber_loss", **common: Any) -> None:
        super().__init__(name=name or "huber_loss", **common)
        self.delta = number("Huber: delta", delta)

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return huber(y_true, y_pred, self.delta)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"delta": self.delta}


class CosineSimilarity(Loss):
    """The cosine of the angle between label and output, with a minus; see cosine_similarity.

    Args:
        axis: along which the numbers of a vector lie.
        **common: name and reduction; see Loss.

    >>> CosineSimilarity()([[0.0, 2.0]], Tensor([[0.0, 5.0]]))
    Tensor(-1.0)
    """

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return cosine_similarity(y_true, y_pred, self.axis)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
