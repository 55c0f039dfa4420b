"""What fit, evaluate and predict are given, as batches: which argument means what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from minicnn.models.batches import (
    BATCH_SIZE,
    ArrayBatches,
    Batch,
    Batches,
    StreamBatches,
    checked,
    is_stream,
    split,
)
from minicnn.models.checks import classes_only_in
from minicnn.notices import warn_user
from minicnn.random import new_generator

Given: TypeAlias = "tuple[Any, Any, Any]"  # x, y and sample_weight, as the user gave them


def _as_given(x: Any, y: Any, weight: Any) -> Given:
    return x, y, weight


def batches_of(given: Given, batch_size: int | None, who: str, labels: bool = True) -> Batches:
    """The batches of what was given as x, y and sample_weight, in their order.

    Raises:
        TypeError: x, y or sample_weight holds no numbers.
        ValueError: they do not fit together, or one is missing or too many.
    """
    x, y, sample_weight = given
    if x is None:
        raise ValueError(f"{who}: x is missing.")
    if not is_stream(x, y):
        if labels and y is None:
            raise ValueError(f"{who}: y is missing, the labels: {who}(x, y).")
        return ArrayBatches(checked(x, y, sample_weight, who), batch_size or BATCH_SIZE)
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"{who}: x yields batches, so {name} must be part of them: (x, y) or "
                f"(x, y, weight). Leave {name} out."
            )
    return StreamBatches(x, who, labels)


def training_batches(
    given: Given, batch_size: int | None, shuffle: bool, labels: bool = True
) -> Batches:
    """The batches to train with; arrays are shuffled anew for each epoch."""
    batches = batches_of(given, batch_size, "fit", labels)
    if shuffle and isinstance(batches, ArrayBatches):
        batches.order = new_generator()
    return batches


def validation_batches(
    data: Any, batch_size: int | None, arrange: Callable[[Any, Any, Any], Given] = _as_given
) -> Batches:
    """The batches of validation_data: (x, y), (x, y, weight) or what yields batches.

    Args:
        data: see above.
        batch_size: samples in a batch.
        arrange: brings x, y and weight into the form that the model wants.

    Raises:
        ValueError: it is none of these.
    """
    who = "fit: validation_data"
    if isinstance(data, tuple | list) and data and not isinstance(data[0], tuple):
        if len(data) not in (2, 3):
            raise ValueError(f"{who} must be (x, y) or (x, y, weight), but has {len(data)} parts.")
        x, y, *weight = data
        return batches_of(arrange(x, y, weight[0] if weight else None), batch_size, who)
    if not is_stream(data):
        raise ValueError(
            f"{who} must be (x, y), (x, y, weight), or something that yields batches, but is "
            f"{type(data).__name__}."
        )
    return batches_of((data, None, None), batch_size, who)


def split_off(batches: Batches, fraction: float, batch_size: int | None) -> Batches:
    """Take the last samples away from `batches`, and return them as batches for validation.

    Raises:
        ValueError: nothing can be cut off, or nothing would be left.
    """
    if isinstance(batches, StreamBatches):
        raise ValueError(
            "fit: validation_split can only cut arrays, but x yields batches. Give validation_data."
        )
    training, validation = split(batches.data, fraction)
    unseen = classes_only_in(validation.y, training.y)
    if unseen:
        warn_user(
            f"fit [MC034]: validation_split takes the last samples, and of the classes "
            f"{_listed(unseen)} there are samples only among them: nothing can be learned about "
            f"these. Shuffle x and y together first."
        )
    batches.use(training)
    return ArrayBatches(validation, batch_size or batches.batch_size)


def _listed(numbers: list[int], most: int = 10) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


def all_labels(batches: Batches, first: Batch) -> Any:
    """All labels, if they are known before the first step; else those of the first batch."""
    return batches.data.y if isinstance(batches, ArrayBatches) else first.y
