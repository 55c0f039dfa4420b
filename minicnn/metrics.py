"""Metrics: numbers that tell a person how good the outputs are, kept up batch by batch.

    metric.update_state(y_true, y_pred)    after each batch
    metric.result()                        over all batches so far
    metric.reset_state()                   before the next epoch

Metrics need no gradient, so they work on plain arrays. Names and defaults are Keras'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.arguments import by_name, number, resolve, saved_form, snake_case
from minicnn.backend import Array
from minicnn.pairing import (
    Shape,
    check_same_shape,
    class_numbers,
    fitting_weights,
    kind_of_labels,
    numbers,
    of_one_rank,
    one_hot_rows,
)


class Metric:
    """What all metrics share. A subclass writes `update_state`, `result` and `reset_state`.

    What it counts with is made in its own `__init__`.

    Args:
        name: under which it is reported; by default the class name in snake case.

    >>> Accuracy().name, Accuracy("right").name
    ('accuracy', 'right')
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: labels.
            y_pred: outputs.
            sample_weight: one weight per sample, (N,), or None.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update_state.")

    def result(self) -> float:
        """The value over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} defines no result.")

    def reset_state(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} defines no reset_state.")

    def __call__(self, *batch: Any, **settings: Any) -> float:
        """Take a batch into account, as update_state, and return the result so far."""
        self.update_state(*batch, **settings)
        return self.result()

    def state(self) -> dict[str, Any]:
        """What it counts with: the numbers and arrays among its attributes."""
        kinds = (int, float, np.number, np.ndarray)
        return {name: value for name, value in vars(self).items() if isinstance(value, kinds)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what state() has returned."""
        for name, value in state.items():
            setattr(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a metric like this one, without its state."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Make a metric from what get_config() has returned."""
        return cls(**config)


class _Total(Metric):
    """A metric that adds up values, and their weights, in float64."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        self.total = 0.0  # of value * weight
        self.count = 0.0  # of weight

    def add(self, values: Any, sample_weight: Any) -> None:
        values = np.asarray(numbers(self.name, values), np.float64)
        weights = np.ones(())
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, values.shape)
        weights = np.broadcast_to(weights, values.shape)
        self.total += float((values * weights).sum())
        self.count += float(weights.sum(dtype=np.float64))

    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0


class Mean(_Total):
    """The weighted mean of values: sum of weight * value / sum of weight.

    Args:
        name: under which it is reported.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0]); mean.update_state([5.0]); mean.result()
    3.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self.add(values, sample_weight)

    def result(self) -> float:
        return self.mean()


class Sum(_Total):
    """The weighted sum of values.

    Args:
        name: under which it is reported.

    >>> total = Sum()
    >>> total.update_state([1.0, 3.0]); total.update_state([5.0]); total.result()
    9.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self.add(values, sample_weight)

    def result(self) -> float:
        return self.total


class MeanMetric(_Total):
    """The weighted mean over all samples of something computed from labels and outputs.

    A subclass writes `values`.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """What is averaged: one number per sample, or more."""
        raise NotImplementedError(f"{type(self).__name__} defines no values(y_true, y_pred).")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = numbers(self.name, y_true), numbers(self.name, y_pred)
        self.add(self.values(y_true, y_pred), sample_weight)

    def result(self) -> float:
        return self.mean()

    def _paired(self, y_true: Array, y_pred: Array) -> Array:
        """Labels in the shape of the outputs."""
        y_true = of_one_rank(y_true, y_pred.shape)
        check_same_shape(self.name, y_true.shape, y_pred.shape)
        return y_true


class FunctionMetric(MeanMetric):
    """A metric made of a plain function of labels and outputs.

    Args:
        function: gives one number per sample, or a single one.
        name: by default the function's.

    >>> def off_by(y_true, y_pred):
    ...     return abs(y_true - y_pred)
    >>> metric = FunctionMetric(off_by)
    >>> metric.name, metric([1.0, 2.0], [1.0, 5.0])
    ('off_by', 1.5)
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None) -> None:
        super().__init__(name or getattr(function, "__name__", None))
        self.function = function

    def values(self, y_true: Array, y_pred: Array) -> Array:
        values = numbers(self.name, self.function(y_true, y_pred))
        if values.ndim or not len(y_pred):
            return values
        return np.broadcast_to(values, (len(y_pred),))  # a mean counts for all of its samples


class Accuracy(MeanMetric):
    """How often outputs are equal to labels. For probabilities, see the other accuracies.

    Args:
        name: under which it is reported.

    >>> Accuracy()([1, 2, 3, 4], [1, 2, 3, 5])
    0.75
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self._paired(y_true, y_pred) == y_pred


class BinaryAccuracy(MeanMetric):
    """How often a probability is on the right side: above the threshold for 1, else for 0.

    Args:
        name: under which it is reported.
        threshold: where yes begins; the threshold itself is a no.

    >>> BinaryAccuracy()([1, 1, 0, 0], [0.9, 0.4, 0.1, 0.5])
    0.75
    """

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = number("BinaryAccuracy: threshold", threshold, low=-math.inf)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self._paired(y_true, y_pred) == (y_pred > self.threshold)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"threshold": self.threshold}


class CategoricalAccuracy(MeanMetric):
    """How often the largest output is that of the true class; labels are one-hot.

    Args:
        name: under which it is reported.

    >>> CategoricalAccuracy()([[0, 1], [0, 1]], [[0.2, 0.8], [0.6, 0.4]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = one_hot_rows(self.name, y_true, y_pred.shape)
        return y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest output is that of the true class; labels are class numbers.

    Args:
        name: under which it is reported.

    >>> SparseCategoricalAccuracy()([1, 1], [[0.2, 0.8], [0.6, 0.4]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return class_numbers(self.name, y_true, y_pred.shape) == y_pred.argmax(axis=-1)


class SparseTopKCategoricalAccuracy(MeanMetric):
    """How often the true class is among the k largest outputs; labels are class numbers.

    An output that ties with the one in place k counts as among them.

    Args:
        k: how many outputs count.
        name: under which it is reported.

    >>> SparseTopKCategoricalAccuracy(k=2)([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    0.5
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
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

    >>> TopKCategoricalAccuracy(k=2)([[1, 0, 0], [0, 0, 1]], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    0.5
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        labels = one_hot_rows(self.name, y_true, y_pred.shape).argmax(axis=-1)
        return self._among_first(labels, y_pred)


class MeanSquaredError(MeanMetric):
    """The mean of (y_pred - y_true)^2.

    Args:
        name: under which it is reported.

    >>> MeanSquaredError()([1.0, 2.0], [1.0, 4.0])
    2.0
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.square(np.subtract(y_pred, self._paired(y_true, y_pred), dtype=np.float64))


class MeanAbsoluteError(MeanMetric):
    """The mean of |y_pred - y_true|.

    Args:
        name: under which it is reported.

    >>> MeanAbsoluteError()([1.0, 2.0], [1.0, 4.0])
    1.0
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.abs(np.subtract(y_pred, self._paired(y_true, y_pred), dtype=np.float64))


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y_pred - y_true)^2, over all samples at once.

    Args:
        name: under which it is reported.

    >>> RootMeanSquaredError()([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0])
    2.0
    """

    def result(self) -> float:
        return math.sqrt(self.mean())


METRICS: dict[str, type[Metric]] = {
    **by_name(Mean, Sum, Accuracy, BinaryAccuracy, CategoricalAccuracy),
    **by_name(SparseCategoricalAccuracy, TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy),
    **by_name(MeanSquaredError, MeanAbsoluteError, RootMeanSquaredError),
    **{name: MeanSquaredError for name in ("mse", "MSE")},
    **{name: MeanAbsoluteError for name in ("mae", "MAE")},
}

ACCURACIES = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}


def get(identifier: Any) -> Metric:
    """Return the metric that `identifier` stands for.

    Args:
        identifier: a name in snake case or of a class, a metric, a function of labels and outputs,
            or a saved configuration.

    Raises:
        ValueError: no metric has this name.
        TypeError: identifier is none of these.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("acuracy")
    Traceback (most recent call last):
    ValueError: unknown metric 'acuracy'. Did you mean 'accuracy'? Known are: Accuracy, ...
    """
    if isinstance(identifier, Metric):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionMetric(identifier)
    if isinstance(identifier, dict) and "config" in identifier:
        config = {name: x for name, x in identifier["config"].items() if name != "dtype"}
        identifier = identifier | {"config": config}  # all metrics here count in float64
    return resolve("metric", Metric, METRICS, identifier)


def for_output(identifier: Any, y_true: Shape, y_pred: Shape) -> Metric:
    """Return the metric that `identifier` stands for when a model with these shapes is trained.

    "accuracy" and "acc" become the accuracy that fits the shapes, and a name is reported just as it
    was typed.

    Args:
        identifier: as for get().
        y_true: the shape of the labels; None will do for the batch.
        y_pred: the shape of the outputs, likewise.

    Raises:
        ValueError: no metric has this name.
        TypeError: identifier is none of what get() takes.

    >>> metric = for_output("acc", (None,), (None, 10))
    >>> type(metric).__name__, metric.name
    ('SparseCategoricalAccuracy', 'acc')
    """
    if not isinstance(identifier, str):
        return get(identifier)
    by_shape = identifier in ("accuracy", "acc")
    metric = ACCURACIES[kind_of_labels(y_true, y_pred)]() if by_shape else get(identifier)
    metric.name = identifier
    return metric


def serialize(metric: Metric) -> Any:
    """Describe a metric as it stands in files; one made of a function by the function's name."""
    return metric.name if isinstance(metric, FunctionMetric) else saved_form("metrics", metric)
