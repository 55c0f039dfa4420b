"""MC043: one initializer object, given to several layers, makes equal kernels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.initializers import Initializer
from minicnn.layers import Layer
from minicnn.layers.nesting import parts_of
from minicnn.notices import warn_once

if TYPE_CHECKING:
    from minicnn.models.steps import Steps


def warn_of_equal_kernels(model: Steps) -> None:
    """Say that layers which share an initializer have started with equal kernels."""
    if model.optimizer is None or model.optimizer.iterations:
        return
    for one, other in combinations(list(_kernels(model)), 2):
        if one.initializer is other.initializer and one.is_like(other):
            warn_once(
                model,
                "fit",
                "MC043",
                f"{one.layer.name!r} and {other.layer.name!r} have started equal, because they "
                f"share an initializer object, which makes the same numbers each time. Give a "
                f"name, as 'he_normal', or an object of its own to each layer.",
            )
            return


class _Kernel:
    def __init__(self, layer: Layer, initializer: Initializer, numbers: Any) -> None:
        self.layer, self.initializer, self.numbers = layer, initializer, numbers

    def is_like(self, other: _Kernel) -> bool:
        """Whether both are equal, and not by being one number all over."""
        first, second = self.numbers, other.numbers
        if first is second or first.shape != second.shape or (first == first.flat[0]).all():
            return False
        return bool(np.array_equal(first, second))


def _kernels(layer: Layer) -> Iterator[_Kernel]:
    """The kernels in a layer and in its parts that an initializer object has made."""
    initializer = getattr(layer, "kernel_initializer", None)
    kernel = getattr(layer, "kernel", None)
    if isinstance(initializer, Initializer) and kernel is not None:
        yield _Kernel(layer, initializer, kernel.numpy())
    for part in parts_of(layer):
        yield from _kernels(part)
