"""MC044: why fit and evaluate report another accuracy for the same data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from minicnn.layers import BatchNormalization, Layer
from minicnn.layers.augmentation import ImageAugmentation
from minicnn.layers.nesting import parts_of
from minicnn.notices import warn_once

if TYPE_CHECKING:
    from minicnn.models.steps import Steps

APART = 0.05  # a difference that somebody would wonder about
DEVIATIONS = 4  # of an accuracy, as it varies by chance with that many samples

_fitted: WeakKeyDictionary[Any, ReferenceType[Any]] = WeakKeyDictionary()  # x of the last fit


def remember_data(model: Steps, x: Any) -> None:
    """Keep in mind, without keeping it alive, what a model is trained with: an array, or None."""
    _fitted.pop(model, None)
    if isinstance(x, np.ndarray):
        _fitted[model] = ref(x)


def note_accuracy_gap(model: Steps, x: Any, logs: dict[str, Any]) -> None:
    """Compare the accuracy of evaluate with that of the last epoch, if the data is the same."""
    same = isinstance(x, np.ndarray) and model in _fitted and _fitted[model]() is x
    history = model.history.history if same and model.history is not None else {}
    if not history.get("accuracy") or "accuracy" not in logs:
        return
    then, now = history["accuracy"][-1], logs["accuracy"]
    if abs(then - now) <= max(APART, DEVIATIONS * math.sqrt(0.25 / len(x))):
        return
    causes = _causes(model)
    because = (
        f"only while it learns, the model uses {', '.join(causes)}; besides, " if causes else ""
    )
    warn_once(
        model,
        "evaluate",
        "MC044",
        f"note: for the same data, the accuracy is {now:.4f}, but it was {then:.4f} in the last "
        f"epoch of fit: {because}the number of fit is a mean over the epoch, whose first steps "
        f"were made with older weights.",
    )


def _causes(layer: Layer) -> list[str]:
    """The layers in a model that work differently in training, as "Dropout 'dropout_1'"."""
    differs = "training" in layer.call_arguments and not parts_of(layer)
    kinds = (ImageAugmentation, BatchNormalization)
    found = [f"{type(layer).__name__} {layer.name!r}"] * (differs or isinstance(layer, kinds))
    for part in parts_of(layer):
        found += _causes(part)
    return found
