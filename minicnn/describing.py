"""What a tensor says of itself: all its numbers, or if these are many, what they are like."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.backend import Array, on_cpu

MOST = 20  # numbers that are written down one by one


def described(x: Array, requires_grad: bool) -> str:
    """A tensor as print() and the console show it.

    Up to 20 numbers are shown as they are. More are told in one line: smallest, mean, largest and
    standard deviation of those that are finite, sums being made in float64; then how many are not.
    They are copied from a GPU once.

    Args:
        x: the numbers, on any device and of any dtype.
        requires_grad: whether the tensor wants a gradient; the line says so if it does.

    >>> described(np.array([1.0, 2.0]), True)
    'Tensor([1. 2.])'
    >>> described(np.arange(24).reshape(4, 6), False)
    'Tensor(shape=(4, 6), int64, min 0, mean 11.5, max 23, std 6.922)'
    >>> described(np.full((5, 5), np.nan), True)
    'Tensor(shape=(5, 5), float64, 25 NaN, requires_grad=True)'
    """
    if x.size <= MOST:
        return f"Tensor({x})"
    with np.errstate(all="ignore"):  # numbers that are too large to be added up
        parts = [f"shape={x.shape}", str(x.dtype), *_statistics(on_cpu(x))]
    return f"Tensor({', '.join([*parts, *['requires_grad=True'] * requires_grad])})"


def _statistics(x: Array) -> Iterator[str]:
    """What is to be said of the numbers; nothing, if they are no real numbers."""
    if x.dtype.kind == "b":
        yield f"{np.count_nonzero(x)} True"
    elif x.dtype.kind in "iu":
        yield _range(x)
    elif x.dtype.kind == "f":
        finite = np.isfinite(x)
        if finite.all():
            yield _range(x)
            return
        if finite.any():
            yield _range(x[finite])
        counts = {"NaN": np.count_nonzero(np.isnan(x)), "inf": np.count_nonzero(np.isinf(x))}
        yield from (f"{count} {what}" for what, count in counts.items() if count)


def _range(x: Array) -> str:
    mean, std = x.mean(dtype=np.float64), x.std(dtype=np.float64)
    return f"min {_number(x.min())}, mean {_number(mean)}, max {_number(x.max())}, std {std:.4g}"


def _number(value: np.generic) -> str:
    return f"{value:.4g}" if value.dtype.kind == "f" else str(value)
