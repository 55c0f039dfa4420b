"""Focal crossentropy: what the model is sure of hardly counts, so that rare classes are heard."""

from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.crossentropy import TINY, probabilities
from minicnn.losses.classification import Smoothed
from minicnn.pairing import numbers, one_hot_rows, outputs, paired


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Crossentropy, times alpha (1 - p)^gamma for the probability p of each class.

        - sum over k of  alpha * (1 - p[n,k])^gamma * y_true[n,k] * log p[n,k]

    Args:
        y_true: 1 for the true class and 0 for the others, or probabilities, (N, K).
        y_pred: probabilities, or logits, (N, K).
        alpha: a factor.
        gamma: how much less counts what is sure; 0 for plain crossentropy.
        from_logits: whether y_pred are logits, the numbers before the softmax.
        label_smoothing: s spreads a part of the certainty:  y (1 - s) + s / K.
        axis: along which the classes lie.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ, or y_pred is not what from_logits says.

    Source: Lin et al. 2017, arXiv:1708.02002.

    >>> loss = categorical_focal_crossentropy([[0.0, 1.0]], Tensor([[0.5, 0.5]]), alpha=1.0)
    >>> loss.numpy().round(4)  # log(2) / 4
    array([0.1733], dtype=float32)
    """
    who = "categorical_focal_crossentropy"
    y_pred = outputs(who, y_pred)
    truth = one_hot_rows(who, numbers(who, y_true), y_pred.shape).astype(y_pred.dtype)
    truth = truth * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    p = probabilities(who, y_pred, from_logits, "softmax", axis)
    p = ops.clip(p / ops.sum(p, axis=axis, keepdims=True), TINY, 1 - TINY)
    return -ops.sum((1.0 - p) ** gamma * ops.log(p) * (truth * alpha), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Crossentropy of yes-or-no answers, times (1 - q)^gamma for the probability q of the truth.

        mean over k of  -(1 - q)^gamma * log q,   q = y p + (1 - y) (1 - p)

    Args:
        y_true: 1 for yes and 0 for no, (N, K), or (N,) for outputs (N, 1).
        y_pred: probabilities, or logits, (N, K).
        apply_class_balancing: whether a yes counts alpha, and a no 1 - alpha.
        alpha: see there.
        gamma: how much less counts what is sure; 0 for plain crossentropy.
        from_logits: whether y_pred are logits, the numbers before the sigmoid.
        label_smoothing: s moves the labels towards 1/2:  y (1 - s) + s / 2.
        axis: along which the mean is taken.

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ, or y_pred is not what from_logits says.

    Source: Lin et al. 2017, arXiv:1708.02002.

    >>> binary_focal_crossentropy([[1.0]], Tensor([[0.5]])).numpy().round(4)  # log(2) / 4
    array([0.1733], dtype=float32)
    """
    who = "binary_focal_crossentropy"
    truth, y_pred = paired(who, y_true, y_pred)
    truth = truth * (1 - label_smoothing) + label_smoothing / 2
    p = probabilities(who, y_pred, from_logits, "sigmoid", axis)
    inside = ops.clip(p, TINY, 1 - TINY)
    losses = -(ops.log(inside) * truth + ops.log(1.0 - inside) * (1 - truth))
    q = p * truth + (1.0 - p) * (1 - truth)
    losses = losses * (1.0 - q) ** gamma
    if apply_class_balancing:
        losses = losses * (truth * alpha + (1 - truth) * (1 - alpha))
    return ops.mean(losses, axis=axis)


class CategoricalFocalCrossentropy(Smoothed):
    """Crossentropy in which sure answers count less; see categorical_focal_crossentropy.

    Args:
        alpha: a factor.
        gamma: how much less counts what is sure; 0 for plain crossentropy.
        **others: from_logits, label_smoothing and axis, as CategoricalCrossentropy; name and
            reduction, as Loss.

    >>> loss = CategoricalFocalCrossentropy(alpha=1.0)([[0.0, 1.0]], Tensor([[0.5, 0.5]]))
    >>> round(loss.item(), 4)  # log(2) / 4
    0.1733
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, **others: Any) -> None:
        super().__init__(**others)
        self.alpha = number("CategoricalFocalCrossentropy: alpha", alpha)
        self.gamma = number("CategoricalFocalCrossentropy: gamma", gamma)

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return categorical_focal_crossentropy(
            y_true,
            y_pred,
            self.alpha,
            self.gamma,
            self.from_logits,
            self.label_smoothing,
            self.axis,
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha, "gamma": self.gamma}


class BinaryFocalCrossentropy(Smoothed):
    """Crossentropy of yes-or-no answers in which sure ones count less.

    See binary_focal_crossentropy.

    Args:
        apply_class_balancing: whether a yes counts alpha, and a no 1 - alpha.
        alpha: see there.
        gamma: how much less counts what is sure; 0 for plain crossentropy.
        **others: from_logits, label_smoothing and axis, as BinaryCrossentropy; name and reduction,
            as Loss.

    >>> round(BinaryFocalCrossentropy()([[1.0]], Tensor([[0.5]])).item(), 4)  # log(2) / 4
    0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = number("BinaryFocalCrossentropy: alpha", alpha)
        self.gamma = number("BinaryFocalCrossentropy: gamma", gamma)

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return binary_focal_crossentropy(
            y_true,
            y_pred,
            self.apply_class_balancing,
            self.alpha,
            self.gamma,
            self.from_logits,
            self.label_smoothing,
            self.axis,
        )

    def get_config(self) -> dict[str, Any]:
        own = ("apply_class_balancing", "alpha", "gamma")
        return super().get_config() | {name: getattr(self, name) for name in own}
