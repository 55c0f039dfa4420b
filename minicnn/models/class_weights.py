"""Weights of classes: to make rare ones count more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.backend import Array, floatx
from minicnn.layers.structure import leaves
from minicnn.models.batches import Batch


class ClassWeights:
    """Turns weights of classes into weights of samples.

    Args:
        table: {class number: weight}; a class that is missing has weight 1.

    Raises:
        TypeError: table is no such dict.
        ValueError: a class number or a weight is negative.

    >>> ClassWeights({0: 0.5, 2: 3.0}).of_samples(np.array([0, 1, 2]))
    array([0.5, 1. , 3. ], dtype=float32)
    """

    def __init__(self, table: Mapping[int, float]) -> None:
        if not isinstance(table, Mapping):
            raise TypeError(
                f"fit: class_weight must be a dict, {{class number: weight}}, but is {table!r}."
            )
        for label, weight in table.items():
            if not isinstance(label, int | np.integer) or label < 0 or not 0 <= weight < np.inf:
                raise ValueError(
                    f"fit: class_weight wants {{class number: weight}} with numbers that are not "
                    f"negative, but has {label!r}: {weight!r}."
                )
        self._weights = np.ones(max(table, default=0) + 2, floatx())
        self._weights[list(table)] = list(table.values())

    def applied_to(self, batch: Batch) -> Batch:
        """The batch with the weights that the classes of its labels have."""
        if batch.weight is not None:
            raise ValueError(
                "fit: class_weight cannot be used for batches that bring weights of their own."
            )
        labels = leaves(batch.y)
        if len(labels) > 1:
            raise ValueError(
                f"fit: class_weight is for models of one output, but there are labels for "
                f"{len(labels)}. Give sample_weight, one array for each output."
            )
        return batch._replace(weight=self.of_samples(labels[0]))

    def of_samples(self, y: Array) -> Array:
        """The weights for labels: class numbers (N,) or (N, 1), or one-hot rows (N, K)."""
        if y.size == len(y):
            labels = y.reshape(-1).astype(np.intp)
        else:
            labels = y.argmax(axis=-1)
        if labels.ndim != 1:
            raise ValueError(
                f"fit: class_weight wants one label per sample, but y has shape {y.shape}."
            )
        return self._weights[np.minimum(labels, len(self._weights) - 1)]  # the last is for others


def class_weights(
    table: Mapping[int, float] | None, sample_weight: Any, who: str
) -> ClassWeights | None:
    """What the argument class_weight stands for; None for None.

    Raises:
        ValueError: there are sample weights too, or a weight is negative.
        TypeError: table is no dict.
    """
    if table is None:
        return None
    if sample_weight is not None:
        raise ValueError(
            f"{who}: class_weight and sample_weight cannot be given together. Multiply the sample "
            f"weights by those of the classes."
        )
    return ClassWeights(table)
