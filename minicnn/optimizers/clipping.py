"""Clipping: gradients that are too long are shortened before they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicnn.arguments import optional_number
from minicnn.backend import Array


class Clipping:
    """Shortens gradients in place, in one of three ways or not at all; 0 means not at all, too.

    Args:
        who: the optimizer, for messages.
        clipnorm: the gradient of each variable is shortened to this length, if it is longer.
        clipvalue: every element of a gradient is clipped to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are shortened to this length.

    Raises:
        TypeError: one of them is no number.
        ValueError: one of them is negative, or several are given.

    >>> g = np.array([3.0, 4.0])
    >>> Clipping("SGD", clipnorm=1.0).apply([g]); g
    array([0.6, 0.8])
    """

    def __init__(
        self,
        who: str,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.norm = optional_number(f"{who}: clipnorm", clipnorm)
        self.value = optional_number(f"{who}: clipvalue", clipvalue)
        self.global_norm = optional_number(f"{who}: global_clipnorm", global_clipnorm)
        if sum(x is not None for x in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{who}: only one of clipnorm, clipvalue and global_clipnorm can be set."
            )

    def apply(self, gradients: Sequence[Array]) -> None:
        """Shorten the gradients, each that of one variable."""
        if self.value:
            for g in gradients:
                g.clip(-self.value, self.value, out=g)
        if self.norm:
            for g in gradients:
                _shorten([g], self.norm)
        if self.global_norm:
            _shorten(gradients, self.global_norm)


def length(arrays: Sequence[Array]) -> float:
    """The root of the sum of all squares.

    >>> length([np.array([3.0]), np.array([4.0])])
    5.0
    """
    # float64, and not BLAS, whose result would depend on the number of threads
    return math.sqrt(sum(float((x.astype(np.float64) ** 2).sum()) for x in arrays))


def _shorten(gradients: Sequence[Array], limit: float) -> None:
    """Scale all gradients by one factor, so that together they are no longer than `limit`."""
    longer = length(gradients)
    if longer > limit:
        for g in gradients:
            g *= limit / longer
