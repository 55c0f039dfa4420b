"""Metrics of curves over all thresholds: the area below, and points on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.metrics.counting import CountingMetric, is_even, ratio
from minicnn.pairing import outputs
from minicnn.suggest import lookup

CURVES = {"roc": "ROC", "pr": "PR", "prgain": "PRGAIN"}
OWN = (  # arguments of AUC that configurations always have
    "num_thresholds",
    "curve",
    "summation_method",
    "multi_label",
    "num_labels",
    "label_weights",
    "from_logits",
)
HEIGHTS = {"interpolation": None, "minoring": np.minimum, "majoring": np.maximum}


class AUC(CountingMetric):
    """The area under a curve that all thresholds make together.

        ROC     x: share of the no that were called yes,   y: share of the yes that were
        PR      x: recall,                                 y: precision
        PRGAIN  x: recall gain,                            y: precision gain

    Under ROC it is the probability that a yes has a higher score than a no. The curve is drawn
    through num_thresholds points.

    Args:
        num_thresholds: how many, evenly spaced from 0 to 1; at least 2.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: what stands between two points: "interpolation", "minoring" for the lower
            of both, or "majoring" for the higher one.
        name: under which it is reported.
        dtype: means nothing here.
        thresholds: other thresholds than evenly spaced ones, between 0 and 1.
        multi_label: whether each column of the outputs has a curve of its own; the result is the
            mean of their areas.
        num_labels: means nothing here, as the number of columns is seen.
        label_weights: how much each column counts.
        from_logits: whether the outputs are logits, the numbers before the sigmoid.

    Raises:
        ValueError: an argument has a bad value.

    Source: interpolation of PR: Davis and Goadrich 2006, doi:10.1145/1143844.1143874; PRGAIN: Flach
        and Kull 2015, "Precision-recall-gain curves".

    >>> round(AUC()([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]), 3)
    0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if thresholds is None and num_thresholds < 2:
            raise ValueError(f"AUC: num_thresholds must be at least 2, but is {num_thresholds!r}.")
        if num_labels and not multi_label:
            raise ValueError("AUC: num_labels is only for multi_label=True.")
        inner = _inner(num_thresholds) if thresholds is None else _checked("AUC", thresholds)
        super().__init__([-math.inf, *inner, math.inf], by_label=multi_label, name=name)
        self._evenly = is_even(np.array([0.0, *inner, 1.0], np.float32))
        self.num_thresholds = len(inner) + 2
        self.thresholds = None if thresholds is None else inner
        self.curve = lookup("curve", curve.lower(), CURVES)
        lookup("summation_method", summation_method.lower(), HEIGHTS)
        self.summation_method = summation_method.lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else list(label_weights)
        self.from_logits = from_logits

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.from_logits:
            y_pred = ops.sigmoid(outputs(self.name, y_pred))
        super().update_state(y_true, y_pred, sample_weight)

    def weigh(self, weights: Array, y_pred: Array) -> Array:
        if self.multi_label or self.label_weights is None:
            return weights
        return weights * np.broadcast_to(np.array(self.label_weights), y_pred.shape)

    def result(self) -> float:
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated_precision()
        else:
            x, y = self._points()
            method = HEIGHTS[self.summation_method]
            heights = (y[:-1] + y[1:]) / 2 if method is None else method(y[:-1], y[1:])
            areas = ((x[:-1] - x[1:]) * heights).sum(axis=0)
        if not self.multi_label or np.ndim(areas) == 0:
            return float(areas)
        if self.label_weights is None:
            return float(areas.mean())
        return float(ratio((areas * self.label_weights).sum(), np.sum(self.label_weights)))

    def _points(self) -> tuple[Array, Array]:
        recall = ratio(self.tp, self.tp + self.fn)
        if self.curve == "ROC":
            return ratio(self.fp, self.fp + self.tn), recall
        if self.curve == "PR":
            return recall, ratio(self.tp, self.tp + self.fp)
        scale = ratio(self.tp + self.fn, self.tn + self.fp)
        found = self.tp != 0
        x = np.where(found, 1 - scale * ratio(self.fn, self.tp), 0.0)
        y = np.where(found, 1 - scale * ratio(self.fp, self.tp), 1.0)
        return np.maximum(x, 0.0), y

    def _interpolated_precision(self) -> Array:
        """The area under precision over recall, where between two points tp grows with tp + fp.

        With p = tp + fp, a the slope and b the intercept of tp there, the area is

            a * (tp1 - tp0 + b * log(p1 / p0)) / (number of yes)
        """
        tp, p = self.tp, self.tp + self.fp
        rise, step = tp[:-1] - tp[1:], p[:-1] - p[1:]
        a = ratio(rise, step)
        b = tp[1:] - a * p[1:]
        growth = np.where(p[1:] > 0, ratio(p[:-1], p[1:]), 1.0)
        return ratio(a * (rise + b * np.log(growth)), (tp + self.fn)[1:]).sum(axis=0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {name: getattr(self, name) for name in OWN}
        return config if self.thresholds is None else config | {"thresholds": self.thresholds}


class _PointOfCurve(CountingMetric):
    """The best value of one thing where another is good enough.

    Args:
        wanted: what the other must reach, from 0 to 1.
        num_thresholds: how many, evenly spaced from 0 to 1.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
    """

    argument: str  # the name of what is wanted

    def __init__(
        self, wanted: float, num_thresholds: int, class_id: int | None, name: str | None
    ) -> None:
        kind = type(self).__name__
        setattr(self, self.argument, number(f"{kind}: {self.argument}", wanted, high=1))
        if num_thresholds < 1:
            raise ValueError(
                f"{kind}: num_thresholds must be at least 1, but is {num_thresholds!r}."
            )
        self.num_thresholds = num_thresholds
        limits = [0.5] if num_thresholds == 1 else [0.0, *_inner(num_thresholds), 1.0]
        super().__init__(limits, class_id=class_id, name=name)

    def pair(self) -> tuple[Array, Array]:
        """What must be good enough, and what is reported."""
        raise NotImplementedError(f"{type(self).__name__} defines no pair.")

    def result(self) -> float:
        other, value = self.pair()
        return float(value[other >= getattr(self, self.argument)].max(initial=0.0))

    @property
    def _recall(self) -> Array:
        return ratio(self.tp, self.tp + self.fn)

    @property
    def _specificity(self) -> Array:
        return ratio(self.tn, self.tn + self.fp)

    @property
    def _precision(self) -> Array:
        return ratio(self.tp, self.tp + self.fp)

    def get_config(self) -> dict[str, Any]:
        own = ("num_thresholds", "class_id", self.argument)
        return super().get_config() | {name: getattr(self, name) for name in own}


class SensitivityAtSpecificity(_PointOfCurve):
    """The best share of the yes that is found, where enough of the no are called no.

    Args:
        specificity: the share of the no that must be called no, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    argument = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name)

    def pair(self) -> tuple[Array, Array]:
        return self._specificity, self._recall


class SpecificityAtSensitivity(_PointOfCurve):
    """The best share of the no that is called no, where enough of the yes are found.

    Args:
        sensitivity: the share of the yes that must be found, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]), 4)
    0.6667
    """

    argument = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name)

    def pair(self) -> tuple[Array, Array]:
        return self._recall, self._specificity


class PrecisionAtRecall(_PointOfCurve):
    """The best precision where enough of the yes are found.

    Args:
        recall: the share of the yes that must be found, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    argument = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name)

    def pair(self) -> tuple[Array, Array]:
        return self._recall, self._precision


class RecallAtPrecision(_PointOfCurve):
    """The best recall where precision is good enough.

    Args:
        precision: what it must reach, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1.
        class_id: the only class that counts; None for all.
        name: under which it is reported.
        dtype: means nothing here.

    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.5
    """

    argument = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name)

    def pair(self) -> tuple[Array, Array]:
        return self._precision, self._recall


def _inner(num_thresholds: int) -> list[float]:
    """Evenly spaced thresholds without 0 and 1."""
    return [(k + 1) / (num_thresholds - 1) for k in range(num_thresholds - 2)]


def _checked(kind: str, thresholds: Sequence[float]) -> list[float]:
    return sorted(number(f"{kind}: thresholds", limit, high=1) for limit in thresholds)
