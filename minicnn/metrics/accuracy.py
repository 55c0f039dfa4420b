"""Accuracies: how often the output says the right class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.metrics.metric import MeanMetric
from minicnn.pairing import class_numbers, one_hot_rows


class _Rate(MeanMetric):
    """A share of right answers."""

    direction = "max"


class Accuracy(_Rate):
    """How often outputs are equal to labels. For probabilities, see the other accuracies.

    Args:
        name: under which it is reported.

    >>> Accuracy()([1, 2, 3, 4], [1, 2, 3, 5])
    0.75
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self._paired(y_true, y_pred) == y_pred


class BinaryAccuracy(_Rate):
    """How often a probability is on the right side: above the threshold for 1, else for 0.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        threshold: where yes begins; the threshold itself is a no.

    >>> BinaryAccuracy()([1, 1, 0, 0], [0.9, 0.4, 0.1, 0.5])
    0.75
    """

    def __init__(self, name: str | None = None, dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = number("BinaryAccuracy: threshold", threshold, low=-math.inf)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self._paired(y_true, y_pred) == (y_pred > self.threshold)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"threshold": self.threshold}


class CategoricalAccuracy(_Rate):
    """How often the largest output is that of the true class; labels are one-hot.

    Args:
        name: under which it is reported.

    >>> CategoricalAccuracy()([[0, 1], [0, 1]], [[0.2, 0.8], [0.6, 0.4]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = one_hot_rows(self.name, y_true, y_pred.shape)
        return y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)


class SparseCategoricalAccuracy(_Rate):
    """How often the largest output is that of the true class; labels are class numbers.

    Args:
        name: under which it is reported.

    >>> SparseCategoricalAccuracy()([1, 1], [[0.2, 0.8], [0.6, 0.4]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return class_numbers(self.name, y_true, y_pred.shape) == y_pred.argmax(axis=-1)


class SparseTopKCategoricalAccuracy(_Rate):
    """How often the true class is among the k largest outputs; labels are class numbers.

    An output that ties with the one in place k counts as among them.

    Args:
        k: how many outputs count.
        name: under which it is reported.
        dtype: means nothing here.

    >>> SparseTopKCategoricalAccuracy(k=2)([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    0.5
    """

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name)
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"{type(self).__name__}: k must be an integer above 0, but is {k!r}.")
        self.k = int(k)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self._among_first(class_numbers(self.name, y_true, y_pred.shape), y_pred)

    def _among_first(self, labels: Array, y_pred: Array) -> Array:
        own = np.take_along_axis(y_pred, labels[..., None], axis=-1)
        larger = np.count_nonzero(y_pred > own, axis=-1)
        return (larger < self.k) & np.isfinite(own[..., 0])  # nothing is larger than NaN

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"k": self.k}


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the true class is among the k largest outputs; labels are one-hot.

    An output that ties with the one in place k counts as among them.

    Args:
        k: how many outputs count.
        name: under which it is reported.
        dtype: means nothing here.

    >>> TopKCategoricalAccuracy(k=2)([[1, 0, 0], [0, 0, 1]], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        labels = one_hot_rows(self.name, y_true, y_pred.shape).argmax(axis=-1)
        return self._among_first(labels, y_pred)
