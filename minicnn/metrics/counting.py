"""Metrics that count right and wrong answers beyond thresholds: precision, recall and the like.

A number above the threshold is a yes. Together with the label, that makes four kinds of answers:

    tp  true positive     label yes, answer yes        fp  false positive    label no, answer yes
    fn  false negative    label yes, answer no         tn  true negative     label no, answer no
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.metrics.metric import Metric
from minicnn.pairing import check_same_shape, fitting_weights, numbers, of_one_rank

NEVER = -1e10  # the score of an answer that is not among the first top_k
TINY = 1e-7


class CountingMetric(Metric):
    """Counts the four kinds of answers for each of its thresholds.

    Args:
        thresholds: in rising order, where that matters.
        top_k: how many of the outputs of a sample may be a yes, the largest; None for all.
        class_id: the only class that counts; None for all.
        by_label: whether to count each column of the outputs on its own.
        name: under which it is reported.
    """

    direction: str | None = "max"

    def __init__(
        self,
        thresholds: Iterable[float],
        top_k: int | None = None,
        class_id: int | None = None,
        by_label: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._limits = np.array(list(thresholds), np.float32)
        self._evenly = is_even(self._limits)
        self.top_k = top_k
        self.class_id = class_id
        self._by_label = by_label
        self.reset_state()

    def reset_state(self) -> None:
        # for each threshold; with by_label, for each threshold and label
        self.tp: Any = np.zeros(len(self._limits))
        self.fp: Any = self.tp.copy()
        self.yes: Any = 0.0  # labels that are a yes
        self.no: Any = 0.0

    @property
    def fn(self) -> Array:
        """False negatives."""
        return self.yes - self.tp

    @property
    def tn(self) -> Array:
        """True negatives."""
        return self.no - self.fp

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = self._chosen(numbers(self.name, y_true), numbers(self.name, y_pred))
        weights = np.ones(())
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, y_pred.shape)
        weights = np.broadcast_to(self.weigh(weights.astype(np.float64), y_pred), y_pred.shape)
        labels = y_true.astype(bool)
        if not self._by_label:
            self._add(*self._counts(labels.ravel(), y_pred.ravel(), weights.ravel()))
            return
        columns = zip(labels.T, self._columns(y_pred), weights.T, strict=True)
        found = [self._counts(*column) for column in columns]
        tp, fp, yes, no = (np.array(values) for values in zip(*found, strict=True))
        self._add(tp.T, fp.T, yes, no)

    def weigh(self, weights: Array, y_pred: Array) -> Array:
        """The weights of answers, from those of samples."""
        return weights

    def _columns(self, y_pred: Array) -> Array:
        if y_pred.ndim != 2:
            raise ValueError(
                f"{self.name}: multi_label=True wants outputs of shape (N, labels), but got "
                f"{y_pred.shape}."
            )
        return y_pred.T

    def _chosen(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Labels and scores of what counts."""
        y_pred = np.asarray(y_pred, np.float32)
        y_true = of_one_rank(y_true, y_pred.shape)
        check_same_shape(self.name, y_true.shape, y_pred.shape)
        if self.top_k is not None:
            y_pred = _only_first(y_pred, self.top_k)
        if self.class_id is None:
            return y_true, y_pred
        if y_pred.ndim < 2 or not 0 <= self.class_id < y_pred.shape[-1]:
            raise ValueError(
                f"{self.name}: there is no class {self.class_id} in outputs of shape "
                f"{y_pred.shape}."
            )
        return y_true[..., self.class_id, None], y_pred[..., self.class_id, None]

    def _add(self, tp: Array, fp: Array, yes: Any, no: Any) -> None:
        if self.tp.shape != tp.shape:  # the number of labels is known now
            self.tp, self.fp = np.zeros(tp.shape), np.zeros(tp.shape)
        self.tp = self.tp + tp
        self.fp = self.fp + fp
        self.yes = self.yes + yes
        self.no = self.no + no

    def _counts(
        self, labels: Array, scores: Array, weights: Array
    ) -> tuple[Array, Array, float, float]:
        """Tp and fp for each threshold, and the sums of the weights of yes and no."""
        yes, no = weights * labels, weights * ~labels
        if self._evenly:
            tp, fp = self._by_buckets(scores, yes), self._by_buckets(scores, no)
        else:
            tp, fp = (
                np.array([part[scores > limit].sum() for limit in self._limits])
                for part in (yes, no)
            )
        return tp, fp, yes.sum(), no.sum()

    def _by_buckets(self, scores: Array, weights: Array) -> Array:
        """How much lies above each of evenly spaced thresholds, at once for all of them.

        A score in (k / (T - 1), (k + 1) / (T - 1)] is above the thresholds 0 to k. As in Keras,
        scores beyond 0 and 1 count as 0 and 1.
        """
        T = len(self._limits)
        places = np.ceil(scores.clip(0, 1) * np.float32(T - 1)).astype(np.intp) - 1
        if self._limits[0] < 0:
            places = np.maximum(places, 0)
        inside = places >= 0
        counts = np.bincount(places[inside], weights[inside], minlength=T)
        return counts[::-1].cumsum()[::-1]


def is_even(limits: Array) -> bool:
    """Whether there are three thresholds or more, evenly spaced from 0 to 1.

    >>> is_even(np.array([0, 0.5, 1])), is_even(np.array([0.2, 0.5]))
    (True, False)
    """
    T = len(limits)
    return T > 2 and bool(np.isclose(limits, np.arange(T) / (T - 1), atol=TINY).all())


def ratio(part: Array, whole: Array) -> Array:
    """Part / whole, and 0 where whole is 0.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole != 0)


def _only_first(y_pred: Array, top_k: int) -> Array:
    """The scores, but NEVER for all but the largest top_k of each row."""
    first = np.argsort(-y_pred, axis=-1, kind="stable")[..., :top_k]
    kept = np.full_like(y_pred, NEVER)
    np.put_along_axis(kept, first, np.take_along_axis(y_pred, first, axis=-1), axis=-1)
    return kept


class _WithThresholds(CountingMetric):
    """A metric for one threshold or several; of several, it gives one number each.

    Args:
        thresholds: from 0 to 1, a number or a list; None for 0.5.
        top_k: how many of the outputs of a sample may be a yes, the largest; None for all. Without
            thresholds, all of them are a yes.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: a threshold is outside of [0, 1].
    """

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.thresholds = thresholds
        kind = type(self).__name__
        given = thresholds if isinstance(thresholds, list | tuple) else [thresholds]
        if thresholds is None:
            given = [0.5 if top_k is None else NEVER]
        else:
            given = [number(f"{kind}: thresholds", limit, high=1) for limit in given]
        super().__init__(given, top_k, class_id, name=name)

    def values(self) -> Array:
        """One number for each threshold."""
        raise NotImplementedError(f"{type(self).__name__} defines no values.")

    def result(self) -> Any:
        values = self.values()
        return float(values[0]) if len(values) == 1 else values

    def get_config(self) -> dict[str, Any]:
        own = ("thresholds", "top_k", "class_id")
        return super().get_config() | {name: getattr(self, name) for name in own}


class Precision(_WithThresholds):
    """Of what was called a yes, the share that is one: tp / (tp + fp).

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        top_k: how many of the outputs of a sample may be a yes, the largest; None for all.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: a threshold is outside of [0, 1].

    >>> Precision()([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7]).__round__(4)
    0.6667
    """

    def values(self) -> Array:
        return ratio(self.tp, self.tp + self.fp)


class Recall(_WithThresholds):
    """Of what is a yes, the share that was found: tp / (tp + fn).

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        top_k: how many of the outputs of a sample may be a yes, the largest; None for all.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: a threshold is outside of [0, 1].

    >>> Recall()([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7]).__round__(4)
    0.6667
    """

    def values(self) -> Array:
        return ratio(self.tp, self.tp + self.fn)


class _Count(_WithThresholds):
    """The number of one kind of answers."""

    direction = None

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "thresholds": self.thresholds}


class TruePositives(_Count):
    """How many answers yes were right.

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        name: under which it is reported.
        dtype: means nothing here.

    >>> TruePositives()([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7])
    2.0
    """

    def values(self) -> Array:
        return self.tp


class TrueNegatives(_Count):
    """How many answers no were right.

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        name: under which it is reported.
        dtype: means nothing here.

    >>> TrueNegatives()([0, 0, 1, 1], [0.9, 0.1, 0.8, 0.7])
    1.0
    """

    def values(self) -> Array:
        return self.tn


class FalsePositives(_Count):
    """How many answers yes were wrong.

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        name: under which it is reported.
        dtype: means nothing here.

    >>> FalsePositives()([0, 0, 1, 1], [0.9, 0.1, 0.8, 0.7])
    1.0
    """

    def values(self) -> Array:
        return self.fp


class FalseNegatives(_Count):
    """How many answers no were wrong.

    Args:
        thresholds: where a yes begins, from 0 to 1; of a list, one result each; None for 0.5.
        name: under which it is reported.
        dtype: means nothing here.

    >>> FalseNegatives()([0, 0, 1, 1], [0.9, 0.1, 0.8, 0.2])
    1.0
    """

    def values(self) -> Array:
        return self.fn
