"""MC035: samples that are in the training data and in the validation data."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.models.batches import ArrayBatches, Batches
from minicnn.notices import warn_once

LARGE = 16  # numbers in a sample; smaller ones, as in a table, can well be equal by chance
LOOKED_AT = 16  # numbers of a sample that are compared first
FEW = 0.01  # of the validation data may be in both: collections of images have a few doubles


def warn_of_shared_rows(model: Any, training: Batches, validation: Batches) -> None:
    """Say how many samples of the validation data are trained with, if many are."""
    if not (isinstance(training, ArrayBatches) and isinstance(validation, ArrayBatches)):
        return
    trained, held_out = training.data.x, validation.data.x
    if not (isinstance(trained, np.ndarray) and isinstance(held_out, np.ndarray)):
        return
    count = count_shared(trained, held_out)
    if count > FEW * len(held_out):
        warn_once(
            model,
            "fit",
            "MC035",
            f"{count} of the {len(held_out)} samples for validation are also trained with, so "
            f"that val_loss says little about new ones. Keep the two apart.",
        )


def count_shared(trained: Array, held_out: Array) -> int:
    """How many rows of `held_out` are among those of `trained`, but for rows of one number only.

    A few numbers of each row are compared first, so that only rows which are equal in these have
    to be read.

    >>> x = np.arange(64.0).reshape(4, 16)
    >>> count_shared(x, np.concatenate([x[2:], -x]))
    2
    """
    if trained.shape[1:] != held_out.shape[1:] or trained[0].size < LARGE:
        return 0
    first, second = (array.reshape(len(array), -1) for array in (trained, held_out))
    second = second.astype(first.dtype, copy=False)
    places = np.linspace(0, first.shape[1] - 1, LOOKED_AT).astype(int)
    known, asked = _bytes_of(first[:, places]), _bytes_of(second[:, places])
    alike = set(known) & set(asked)
    rows = {first[k].tobytes() for k, some in enumerate(known) if some in alike}
    candidates = (second[k] for k, some in enumerate(asked) if some in alike)
    return sum(row.tobytes() in rows for row in candidates if row.min() < row.max())


def _bytes_of(rows: Array) -> list[bytes]:
    return [row.tobytes() for row in rows]
