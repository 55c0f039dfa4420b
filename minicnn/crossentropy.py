"""Crossentropy: how surprised the predicted probabilities are by the truth. Formulas of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, array_module, kernels
from minicnn.ops.sigmoid import Sigmoid
from minicnn.ops.softmax import Softmax
from minicnn.pairing import class_numbers, kind_of_labels, numbers, one_hot_rows, outputs, paired

TINY = 1e-7  # probabilities are kept this far away from 0 and 1, so that their logarithm is finite
ROUNDING = 1e-5  # probabilities of a float32 network may be this far outside of [0, 1]


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Measure the surprise about yes-or-no answers, averaged in each row.

        loss = mean over k of  -(y log p + (1 - y) log(1 - p))
             = mean over k of  softplus(x) - x * y                    where p = sigmoid(x)

    The second form has no logarithm of a rounded p. It is used if y_pred are logits, or were
    computed by sigmoid in the step before. Other probabilities are clipped to [1e-7, 1 - 1e-7].

    Args:
        y_true: 1 for yes and 0 for no, (N, K), or (N,) for outputs (N, 1).
        y_pred: probabilities, or logits, (N, K).
        from_logits: whether y_pred are logits, the numbers before the sigmoid.
        label_smoothing: s moves the labels towards 1/2:  y (1 - s) + s / 2.
        axis: along which the mean is taken.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ, a label is outside of [0, 1], or y_pred is not what
            from_logits says.

    >>> binary_crossentropy([[1.0]], Tensor([[0.5]]))  # log 2
    Tensor([0.6931472])
    """
    who = "binary_crossentropy"
    truth, y_pred = paired(who, y_true, y_pred)
    looks = not kernels.graphs.is_capturing()
    if looks and truth.size and (truth.min() < 0 or truth.max() > 1):
        raise ValueError(
            f"{who} [MC012]: the labels reach from {truth.min():g} to {truth.max():g}, but must "
            f"lie between 0, for no, and 1, for yes."
        )
    truth = truth * (1 - label_smoothing) + label_smoothing / 2
    logits = _logits(who, y_pred, from_logits, Sigmoid())
    if logits is not None:
        return ops.mean(ops.softplus(logits) - logits * truth, axis=axis)
    _check_probabilities(who, y_pred, "sigmoid")
    p = ops.clip(y_pred, TINY, 1 - TINY)
    return ops.mean(-(ops.log(p) * truth + ops.log(1 - p) * (1 - truth)), axis=axis)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Measure the surprise about the true class, given as one-hot rows: -sum of y[k] * log p[k].

    If y_pred are logits, or were computed by softmax in the step before, both are one stable op;
    see ops.softmax_cross_entropy. Other probabilities are divided by their sum and clipped to
    [1e-7, 1 - 1e-7], beyond which there is no gradient.

    Args:
        y_true: 1 for the true class and 0 for the others, or probabilities, (N, K).
        y_pred: probabilities, or logits, (N, K).
        from_logits: whether y_pred are logits, the numbers before the softmax.
        label_smoothing: s spreads a part of the certainty:  y (1 - s) + s / K.
        axis: along which the classes lie.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ, the labels are class numbers, or y_pred is not what
            from_logits says.

    >>> categorical_crossentropy([[0.0, 1.0]], Tensor([[0.5, 0.5]]))  # log 2
    Tensor([0.6931472])
    """
    who = "categorical_crossentropy"
    y_pred = outputs(who, y_pred)
    y_pred, y_true = _last(y_pred, axis), np.moveaxis(numbers(who, y_true), axis, -1)
    truth = one_hot_rows(who, y_true, y_pred.shape).astype(y_pred.dtype)
    K = y_pred.shape[-1]
    truth = truth * (1 - label_smoothing) + label_smoothing / K
    return _cross_entropy(who, truth, y_pred, from_logits)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Measure the surprise about the true class, given by its number: -log p[n, y[n]].

    It gives the same as categorical_crossentropy with one-hot labels; see there.

    Args:
        y_true: class numbers from 0 to K - 1, (N,) or (N, 1).
        y_pred: probabilities, or logits, (N, K).
        from_logits: whether y_pred are logits, the numbers before the softmax.
        ignore_class: a label whose loss is 0, or None.
        axis: along which the classes lie.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes do not fit, a label is not one of the K classes, or y_pred is not
            what from_logits says.

    >>> sparse_categorical_crossentropy([1], Tensor([[0.5, 0.5]]))  # log 2
    Tensor([0.6931472])
    """
    who = "sparse_categorical_crossentropy"
    y_pred, y_true = _last(outputs(who, y_pred), axis), numbers(who, y_true)
    if y_true.ndim == y_pred.ndim and axis != -1:
        y_true = np.moveaxis(y_true, axis, -1)
    ignored = None if ignore_class is None else y_true == ignore_class
    known = y_true if ignored is None else np.where(ignored, 0, y_true)
    labels = class_numbers(who, known, y_pred.shape)
    classes = array_module(labels).arange(y_pred.shape[-1])
    truth = (labels[..., None] == classes).astype(y_pred.dtype)
    if ignored is not None:
        truth[ignored.reshape(labels.shape)] = 0
    return _cross_entropy(who, truth, y_pred, from_logits)


def crossentropy(y_true: Any, y_pred: Any) -> Tensor:
    """Choose between binary, sparse and categorical crossentropy by the shapes.

    >>> crossentropy([1], Tensor([[0.5, 0.5]])), crossentropy([1], Tensor([[0.5]]))
    (Tensor([0.6931472]), Tensor([0.6931472]))
    """
    y_true, y_pred = numbers("crossentropy", y_true), outputs("crossentropy", y_pred)
    return CROSSENTROPIES[kind_of_labels(y_true.shape, y_pred.shape)](y_true, y_pred)


CROSSENTROPIES: dict[str, Callable[..., Tensor]] = {
    "binary": binary_crossentropy,
    "sparse": sparse_categorical_crossentropy,
    "categorical": categorical_crossentropy,
}


def probabilities(
    who: str, y_pred: Tensor, from_logits: bool, activation: str, axis: int = -1
) -> Tensor:
    """Outputs as probabilities.

    Args:
        who: a loss, for messages.
        y_pred: probabilities, or logits.
        from_logits: whether they are logits.
        activation: "softmax" or "sigmoid", which makes probabilities of logits.
        axis: along which the classes lie.

    Raises:
        ValueError: y_pred is not what from_logits says.

    >>> probabilities("loss", Tensor([[0.0, 0.0]]), True, "softmax")
    Tensor([[0.5 0.5]])
    """
    if not from_logits:
        _check_probabilities(who, y_pred, activation, axis)
        return y_pred
    _refuse_second_activation(who, y_pred)
    return ops.sigmoid(y_pred) if activation == "sigmoid" else ops.softmax(y_pred, axis=axis)


def _last(y_pred: Tensor, axis: int) -> Tensor:
    """The outputs with the axis of the classes at the end."""
    if axis in (-1, y_pred.ndim - 1):
        return y_pred
    order = [k for k in range(y_pred.ndim) if k != axis % y_pred.ndim]
    return ops.transpose(y_pred, (*order, axis % y_pred.ndim))


def _refuse_second_activation(who: str, y_pred: Tensor) -> None:
    if y_pred.logits is not None:
        raise ValueError(
            f"{who} [MC021]: from_logits=True, but the outputs come from a softmax or sigmoid, "
            f"which would be applied twice. Drop that activation, or from_logits."
        )


def _cross_entropy(who: str, truth: Array, y_pred: Tensor, from_logits: bool) -> Tensor:
    """-sum over k of truth[n,k] * log p[n,k], for any number of axes in the place of n."""
    K = y_pred.shape[-1]
    logits = _logits(who, y_pred, from_logits, Softmax(y_pred.ndim - 1))
    if logits is None:
        _check_probabilities(who, y_pred, "softmax")
        p = y_pred / ops.sum(y_pred, axis=-1, keepdims=True)
        return -ops.sum(ops.log(ops.clip(p, TINY, 1 - TINY)) * truth, axis=-1)
    if logits.ndim == 2:
        return ops.softmax_cross_entropy(logits, truth)
    losses = ops.softmax_cross_entropy(ops.reshape(logits, (-1, K)), truth.reshape(-1, K))
    return ops.reshape(losses, y_pred.shape[:-1])


def _logits(who: str, y_pred: Tensor, from_logits: bool, activation: Op) -> Tensor | None:
    """The numbers that `activation` has made y_pred from, or None if something else made it."""
    if from_logits:
        _refuse_second_activation(who, y_pred)
        return y_pred
    if y_pred.logits is None:
        return None
    # softmax and sigmoid both leave their logits
    if isinstance(y_pred.op, Softmax | Sigmoid):
        return y_pred.logits if isinstance(y_pred.op, type(activation)) else None
    # without an op to ask, the first row tells which of them it was
    first = activation.forward(y_pred.logits.data[:1])
    same = bool((np.abs(first - y_pred.data[:1]) < ROUNDING).all())
    return y_pred.logits if same else None


def _check_probabilities(who: str, y_pred: Tensor, activation: str, axis: int = -1) -> None:
    p = y_pred.data
    if not p.size or _has_made(y_pred.op, activation, axis % y_pred.ndim):
        return
    sums = p.sum(axis=axis)
    outside = p.min() < -ROUNDING or p.max() > 1 + ROUNDING
    if outside or (activation == "softmax" and sums.min() <= 0):
        raise ValueError(
            f"{who} [MC020]: the outputs are not probabilities: they reach from {p.min():.4g} to "
            f"{p.max():.4g}, and the sums of rows from {sums.min():.4g} to {sums.max():.4g}. Add "
            f"activation={activation!r} to the last layer, or from_logits=True to the loss."
        )


def _has_made(op: Op | None, activation: str, axis: int) -> bool:
    """Whether what `op` returns are probabilities without a look at them.

    A look takes time, and in a captured step there is nothing to see; see kernels/graphs.py.
    """
    if activation == "sigmoid":
        return isinstance(op, Sigmoid)
    return isinstance(op, Softmax) and op.axis == axis
