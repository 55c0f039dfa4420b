"""Metrics: numbers that tell a person how good the outputs are, kept up batch by batch.

    metric.update_state(y_true, y_pred)    after each batch
    metric.result()                        over all batches so far
    metric.reset_state()                   before the next epoch

Metrics need no gradient, so they work on plain arrays. Names and defaults are Keras'.
"""

from __future__ import annotations

from typing import Any

from minicnn.arguments import by_name, resolve, saved_form
from minicnn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from minicnn.metrics.confusion import (
    BinaryIoU,
    ConfusionMatrix,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    PerClassAccuracy,
)
from minicnn.metrics.counting import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from minicnn.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from minicnn.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from minicnn.metrics.f_score import (
    F1Score,
    FBetaScore,
)
from minicnn.metrics.metric import (
    FunctionMetric,
    Mean,
    MeanMetric,
    Metric,
    Sum,
)
from minicnn.pairing import Shape, kind_of_labels

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "FunctionMetric",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetric",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PerClassAccuracy",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "deserialize",
    "for_output",
    "get",
    "serialize",
]

SHORT: dict[str, type[Metric]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "rmse": RootMeanSquaredError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}
METRICS: dict[str, type[Metric]] = {
    **by_name(
        AUC,
        Accuracy,
        BinaryAccuracy,
        BinaryCrossentropy,
        BinaryIoU,
        CategoricalAccuracy,
        CategoricalCrossentropy,
        CategoricalHinge,
        ConfusionMatrix,
        CosineSimilarity,
        F1Score,
        FBetaScore,
        FalseNegatives,
        FalsePositives,
        Hinge,
        IoU,
        KLDivergence,
        LogCoshError,
        Mean,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanIoU,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        OneHotIoU,
        OneHotMeanIoU,
        PerClassAccuracy,
        Poisson,
        Precision,
        PrecisionAtRecall,
        R2Score,
        Recall,
        RecallAtPrecision,
        RootMeanSquaredError,
        SensitivityAtSpecificity,
        SparseCategoricalAccuracy,
        SparseCategoricalCrossentropy,
        SparseTopKCategoricalAccuracy,
        SpecificityAtSensitivity,
        SquaredHinge,
        Sum,
        TopKCategoricalAccuracy,
        TrueNegatives,
        TruePositives,
    ),
    **SHORT,
    **{name.upper(): cls for name, cls in SHORT.items()},
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
    ValueError: [MC050] unknown metric 'acuracy'. Did you mean 'accuracy'? Known are: AUC, ...
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


deserialize = get
