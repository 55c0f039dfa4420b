"""Errors: how far the outputs are from the right numbers, and losses as metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import losses
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.metrics.metric import MeanMetric, Metric
from minicnn.pairing import fitting_weights, numbers, of_one_rank


class MeanSquaredError(MeanMetric):
    """The mean of (y_pred - y_true)^2.

    Args:
        name: under which it is reported.

    >>> MeanSquaredError()([1.0, 2.0], [1.0, 4.0])
    2.0
    """

    direction = "min"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return np.square(np.subtract(y_pred, self._paired(y_true, y_pred), dtype=np.float64))


class MeanAbsoluteError(MeanMetric):
    """The mean of |y_pred - y_true|.

    Args:
        name: under which it is reported.

    >>> MeanAbsoluteError()([1.0, 2.0], [1.0, 4.0])
    1.0
    """

    direction = "min"

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


class LossMetric(MeanMetric):
    """The weighted mean over all samples of what a function of minicnn.losses gives.

    A subclass names the function, and its arguments among its own.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        **settings: arguments of the function.
    """

    direction: str | None = "min"
    function: Callable[..., Tensor]

    def __init__(self, name: str | None = None, dtype: Any = None, **settings: Any) -> None:
        super().__init__(name)
        self.settings = settings

    def values(self, y_true: Array, y_pred: Array) -> Array:
        scores = Tensor(np.asarray(y_pred, np.float32))
        return type(self).function(y_true, scores, **self.settings).numpy()

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self.settings


class MeanAbsolutePercentageError(LossMetric):
    """The mean of |y_pred - y_true| / |y_true|, in percent.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> MeanAbsolutePercentageError()([2.0, 4.0], [3.0, 4.0])
    25.0
    """

    function = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(LossMetric):
    """The mean of (log(1 + y_pred) - log(1 + y_true))^2.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> MeanSquaredLogarithmicError()([1.0], [1.0])
    0.0
    """

    function = staticmethod(losses.mean_squared_logarithmic_error)


class LogCoshError(LossMetric):
    """The mean of log(cosh(y_pred - y_true)).

    Args:
        name: by default "logcosh".
        dtype: means nothing here.

    >>> LogCoshError().name
    'logcosh'
    """

    function = staticmethod(losses.log_cosh)

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(name or "logcosh")


class CosineSimilarity(LossMetric):
    """The mean cosine of the angle between labels and outputs: 1 for the same direction.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        axis: along which the numbers of a vector lie.

    >>> CosineSimilarity()([[0.0, 2.0]], [[0.0, 5.0]])
    1.0
    """

    direction = "max"
    function = staticmethod(losses.cosine_similarity)

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, axis=axis)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return -super().values(y_true, y_pred)


class KLDivergence(LossMetric):
    """The mean of what is lost by taking y_pred for y_true; see losses.kl_divergence.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]])
    0.0
    """

    function = staticmethod(losses.kl_divergence)


class Poisson(LossMetric):
    """How badly counts fit expected counts; see losses.poisson.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> round(Poisson()([[3.0]], [[1.0]]), 4)
    1.0
    """

    function = staticmethod(losses.poisson)


class Hinge(LossMetric):
    """What is missing to the margin; see losses.hinge.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> Hinge()([[1.0]], [[0.25]])
    0.75
    """

    function = staticmethod(losses.hinge)


class SquaredHinge(LossMetric):
    """The square of what is missing to the margin; see losses.squared_hinge.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> SquaredHinge()([[1.0]], [[0.5]])
    0.25
    """

    function = staticmethod(losses.squared_hinge)


class CategoricalHinge(LossMetric):
    """What the true class lacks to win by a margin; see losses.categorical_hinge.

    Args:
        name: under which it is reported.
        dtype: means nothing here.

    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]])
    0.5
    """

    function = staticmethod(losses.categorical_hinge)


class BinaryCrossentropy(LossMetric):
    """The surprise about yes-or-no answers; see losses.binary_crossentropy.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        from_logits: whether the outputs are logits.
        label_smoothing: how far the labels move towards 1/2.

    >>> round(BinaryCrossentropy()([[1.0]], [[0.5]]), 4)
    0.6931
    """

    function = staticmethod(losses.binary_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(LossMetric):
    """The surprise about the true class, given one-hot; see losses.categorical_crossentropy.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        from_logits: whether the outputs are logits.
        label_smoothing: the part of the certainty that is spread over all classes.
        axis: along which the classes lie.

    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    function = staticmethod(losses.categorical_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(LossMetric):
    """The surprise about the true class, given by its number.

    See losses.sparse_categorical_crossentropy.

    Args:
        name: under which it is reported.
        dtype: means nothing here.
        from_logits: whether the outputs are logits.
        ignore_class: a label that costs nothing, or None.
        axis: along which the classes lie.

    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    function = staticmethod(losses.sparse_categorical_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, from_logits=from_logits, ignore_class=ignore_class, axis=axis)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        ignored = self.settings["ignore_class"]
        if ignored is not None and sample_weight is not None:
            # as in Keras, only with weights do such places not count in the mean, too
            counted = (numbers(self.name, y_true) != ignored).reshape(np.shape(y_pred)[:-1])
            sample_weight = counted * fitting_weights(self.name, sample_weight, counted.shape)
        super().update_state(y_true, y_pred, sample_weight)


class R2Score(Metric):
    """How much of the variance of the labels the outputs explain: 1 for all, 0 for the mean's part.

        1 - sum of (y_true - y_pred)^2 / sum of (y_true - mean of y_true)^2

    Args:
        class_aggregation: "uniform_average" for the mean over all columns,
            "variance_weighted_average" by their variances, None for one number per column.
        num_regressors: how many inputs the model has, for the adjusted score; 0 for the plain one.
        name: under which it is reported.
        dtype: means nothing here.

    Raises:
        ValueError: an argument has a bad value, or labels are not (N, K).

    >>> R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [2.0]])
    0.5
    """

    direction = "max"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name or "r2_score")
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known or num_regressors < 0:
            raise ValueError(
                f"R2Score: class_aggregation must be one of {known} and num_regressors at least 0, "
                f"but they are {class_aggregation!r} and {num_regressors!r}."
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.reset_state()

    def reset_state(self) -> None:
        self.sum: Any = 0.0
        self.squares: Any = 0.0
        self.missed: Any = 0.0
        self.weight: Any = 0.0
        self.values_seen = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = numbers(self.name, y_pred).astype(np.float64)
        y_true = of_one_rank(numbers(self.name, y_true), y_pred.shape).astype(np.float64)
        if y_true.shape != y_pred.shape or y_pred.ndim != 2:
            raise ValueError(
                f"{self.name}: wants labels and outputs of one shape (N, K), but got "
                f"{y_true.shape} and {y_pred.shape}."
            )
        weights = np.ones(())
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, y_true.shape)
        weights = np.broadcast_to(weights, y_true.shape)
        self.sum = self.sum + (y_true * weights).sum(axis=0)
        self.squares = self.squares + (y_true**2 * weights).sum(axis=0)
        self.missed = self.missed + ((y_true - y_pred) ** 2 * weights).sum(axis=0)
        self.weight = self.weight + weights.sum(axis=0, dtype=np.float64)
        self.values_seen += y_true.size

    def result(self) -> Any:
        if not self.values_seen:
            return 0.0
        total = self.squares - self.sum**2 / self.weight
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1 - self.missed / total
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        free = self.values_seen - self.num_regressors - 1
        if self.num_regressors and free > 0:
            scores = 1 - (1 - scores) * (self.values_seen - 1) / free
        return scores if np.ndim(scores) else float(scores)

    def get_config(self) -> dict[str, Any]:
        own = ("class_aggregation", "num_regressors")
        return super().get_config() | {name: getattr(self, name) for name in own}
