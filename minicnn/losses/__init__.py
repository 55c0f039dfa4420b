"""Losses: one number that says how wrong the outputs are. Formulas and defaults are Keras'.

A function, as mean_squared_error, gives one number per row. A class, as MeanSquaredError, holds the
settings and makes a single number of these.
"""

from __future__ import annotations

from typing import Any

from minicnn.arguments import by_name, resolve, saved_form
from minicnn.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    crossentropy,
    sparse_categorical_crossentropy,
)
from minicnn.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
)
from minicnn.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
)
from minicnn.losses.loss import FunctionLoss, Loss
from minicnn.losses.probabilistic import (
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SquaredHinge,
    categorical_hinge,
    hinge,
    kl_divergence,
    poisson,
    squared_hinge,
)
from minicnn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Crossentropy",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "crossentropy",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence

SHORT: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}
LOSSES: dict[str, type[Loss]] = {
    **by_name(MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError),
    **by_name(MeanSquaredLogarithmicError, Huber, LogCosh, CosineSimilarity),
    **by_name(KLDivergence, Poisson, Hinge, SquaredHinge, CategoricalHinge),
    **by_name(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy),
    **by_name(BinaryFocalCrossentropy, CategoricalFocalCrossentropy),
    **SHORT,
    **{name.upper(): cls for name, cls in SHORT.items()},
    **by_name(Crossentropy),
    "ce": Crossentropy,
}


def get(identifier: Any) -> Loss | None:
    """Return the loss that `identifier` stands for; None for None.

    Unlike in Keras, a name gives a Loss too, and not a function.

    Args:
        identifier: a name of a function or class, a loss, a function of labels and outputs, or a
            saved configuration.

    Raises:
        ValueError: no loss has this name.
        TypeError: identifier is none of these.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("sparse_categorical_crossentrpy")
    Traceback (most recent call last):
    ValueError: [MC050] unknown loss 'sparse_categorical_crossentrpy'. Did you mean 'sparse_categ...
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(identifier)
    return resolve("loss", Loss, LOSSES, identifier)


def serialize(loss: Loss | None) -> Any:
    """Describe a loss as it stands in files; one made of a function by the function's name."""
    if loss is None:
        return None
    return loss.name if isinstance(loss, FunctionLoss) else saved_form("losses", loss)


deserialize = get
