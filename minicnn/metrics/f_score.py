"""F scores: one number for precision and recall together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.arguments import number, optional_number
from minicnn.backend import Array
from minicnn.metrics.metric import Metric
from minicnn.pairing import fitting_weights, numbers

TINY = 1e-7
AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """The harmonic mean of precision and recall, in which recall weighs beta times as much.

        (1 + beta^2) * precision * recall / (beta^2 * precision + recall)

    Args:
        average: None for one number per class; "macro" for their mean; "weighted" for their mean by
            the number of labels of each class; "micro" for all classes counted together.
        beta: how much recall weighs, above 0.
        threshold: where a yes begins; None: the largest output of each row is the only yes.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: an argument has a bad value.
        TypeError: a number was expected and something else came.

    >>> FBetaScore()([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]]).round(4)
    array([0.    , 0.6667])
    """

    direction = "max"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name)
        kind = type(self).__name__
        if average not in AVERAGES:
            raise ValueError(
                f"{kind}: average must be None, 'micro', 'macro' or 'weighted', but is {average!r}."
            )
        self.average = average
        self.beta = number(f"{kind}: beta", beta)
        self.threshold = optional_number(f"{kind}: threshold", threshold, high=1)
        if self.beta == 0 or self.threshold == 0:
            raise ValueError(f"{kind}: beta and threshold must be above 0.")
        self.reset_state()

    def reset_state(self) -> None:
        self.tp: Any = 0.0  # for each class; with average="micro", for all of them
        self.fp: Any = 0.0
        self.fn: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true = numbers(self.name, y_true).astype(np.float64)
        y_pred = numbers(self.name, y_pred).astype(np.float32)
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: wants one-hot labels and outputs of one shape, (N, classes), but "
                f"got {y_true.shape} and {y_pred.shape}. Class numbers: "
                f"utils.to_categorical(y, classes)."
            )
        answer = self._answers(y_pred).astype(np.float64)
        weights = np.ones(())
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, y_true.shape)
        axis = None if self.average == "micro" else 0
        self.tp = self.tp + (answer * y_true * weights).sum(axis=axis)
        self.fp = self.fp + (answer * (1 - y_true) * weights).sum(axis=axis)
        self.fn = self.fn + ((1 - answer) * y_true * weights).sum(axis=axis)

    def _answers(self, y_pred: Array) -> Array:
        if self.threshold is not None:
            return y_pred > np.float32(self.threshold)
        return (y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)

    def result(self) -> Any:
        precision = self.tp / (self.tp + self.fp + TINY)
        recall = self.tp / (self.tp + self.fn + TINY)
        square = self.beta**2
        scores = (1 + square) * precision * recall / (square * precision + recall + TINY)
        if self.average == "weighted":
            labels = self.tp + self.fn
            return float(np.sum(scores * labels / (np.sum(labels) + TINY)))
        return scores if self.average is None else float(np.mean(scores))

    def get_config(self) -> dict[str, Any]:
        own = ("average", "beta", "threshold")
        return super().get_config() | {name: getattr(self, name) for name in own}


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: 2 * precision * recall / (precision + recall).

    Args:
        average: None for one number per class; "macro" for their mean; "weighted" for their mean by
            the number of labels of each class; "micro" for all classes counted together.
        threshold: where a yes begins; None: the largest output of each row is the only yes.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: an argument has a bad value.
        TypeError: a number was expected and something else came.

    >>> round(F1Score("macro")([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]]), 4)
    0.3333
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
