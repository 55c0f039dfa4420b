"""Losses from probability and from margins: KL divergence, Poisson, and the hinge family."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.losses.loss import Loss
from minicnn.pairing import paired

TINY = 1e-7  # what a logarithm is taken of is kept this far from 0


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Measure what is lost by taking one distribution for another.

        sum over k of  y_true[n,k] * log(y_true[n,k] / y_pred[n,k])

    Both are clipped to [1e-7, 1].

    Args:
        y_true: the true probabilities, (N, K).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    Source: Kullback and Leibler 1951, doi:10.1214/aoms/1177729694.

    >>> kl_divergence([[0.5, 0.5]], Tensor([[0.5, 0.5]]))
    Tensor([0.])
    """
    truth, y_pred = paired("kl_divergence", y_true, y_pred)
    truth = truth.clip(TINY, 1)
    logs = ops.log(ops.clip(y_pred, TINY, 1.0))
    return ops.sum((logs - np.log(truth)) * -truth, axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Measure how badly counts fit expected counts: mean over k of y_pred - y_true log(y_pred).

    Args:
        y_true: counts, (N, K).
        y_pred: expected counts, above 0, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> poisson([[3.0]], Tensor([[1.0]])).numpy().round(4)
    array([1.], dtype=float32)
    """
    truth, y_pred = paired("poisson", y_true, y_pred)
    return ops.mean(y_pred - ops.log(y_pred + TINY) * truth, axis=-1)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Want outputs beyond the margin on their side: mean over k of max(1 - y_true * y_pred, 0).

    Args:
        y_true: -1 or 1, (N, K). If all labels are 0 or 1, 0 stands for -1.
        y_pred: any numbers, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> hinge([[1.0], [0.0]], Tensor([[0.25], [-3.0]]))
    Tensor([0.75 0.  ])
    """
    truth, y_pred = paired("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - y_pred * _signs(truth), 0.0), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Square what is missing to the margin: mean over k of max(1 - y_true * y_pred, 0)^2.

    Args:
        y_true: -1 or 1, (N, K). If all labels are 0 or 1, 0 stands for -1.
        y_pred: any numbers, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> squared_hinge([[1.0], [0.0]], Tensor([[0.5], [-3.0]]))
    Tensor([0.25 0.  ])
    """
    truth, y_pred = paired("squared_hinge", y_true, y_pred)
    missing = ops.maximum(1.0 - y_pred * _signs(truth), 0.0)
    return ops.mean(ops.square(missing), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Want the true class to win by a margin of 1: max(0, 1 + best of the others - its own).

    As in Keras, "best of the others" is the maximum of (1 - y_true) * y_pred, hence at least 0.

    Args:
        y_true: 1 for the true class and 0 for the others, (N, K).
        y_pred: any numbers, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> categorical_hinge([[0.0, 1.0]], Tensor([[0.5, 1.0]]))
    Tensor([0.5])
    """
    truth, y_pred = paired("categorical_hinge", y_true, y_pred)
    own = ops.sum(y_pred * truth, axis=-1)
    others = ops.max(y_pred * (1 - truth), axis=-1)
    return ops.maximum(others - own + 1.0, 0.0)


def _signs(truth: Array) -> Array:
    """Labels 0 and 1 as -1 and 1; others as they are."""
    zeros_and_ones = ((truth == 0) | (truth == 1)).all()
    return np.where(zeros_and_ones, 2 * truth - 1, truth)  # no `if`: a GPU need not be waited for


class KLDivergence(Loss):
    """What is lost by taking one distribution for another; see kl_divergence.

    >>> KLDivergence()([[0.5, 0.5]], Tensor([[0.5, 0.5]]))
    Tensor(0.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return kl_divergence(y_true, y_pred)


class Poisson(Loss):
    """How badly counts fit expected counts; see poisson.

    >>> round(Poisson()([[3.0]], Tensor([[1.0]])).item(), 4)
    1.0
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return poisson(y_true, y_pred)


class Hinge(Loss):
    """What is missing to the margin; see hinge.

    >>> Hinge()([[1.0]], Tensor([[0.25]]))
    Tensor(0.75)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return hinge(y_true, y_pred)


class SquaredHinge(Loss):
    """The square of what is missing to the margin; see squared_hinge.

    >>> SquaredHinge()([[1.0]], Tensor([[0.5]]))
    Tensor(0.25)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return squared_hinge(y_true, y_pred)


class CategoricalHinge(Loss):
    """What the true class lacks to win by a margin; see categorical_hinge.

    >>> CategoricalHinge()([[0.0, 1.0]], Tensor([[0.5, 1.0]]))
    Tensor(0.5)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return categorical_hinge(y_true, y_pred)
