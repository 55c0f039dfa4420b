"""A limit for the memory that layers may take while a model is made from a file.

A file can describe a layer of any size in a few letters. Where the file that holds its weights is
known, there cannot be more weights than that file has bytes; so what claims to be larger is refused
before it takes any memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

LARGEST_TRIAL = 2**26  # numbers, in an input of zeros that is sent through a layer


class _Limit:
    def __init__(self, numbers: int) -> None:
        self.all = self.left = numbers


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limited_weights(numbers: int) -> Iterator[None]:
    """Open a block in which layers can make weights of so many numbers, and no more.

    >>> with limited_weights(10):
    ...     count_weight("layer 'dense'", (3, 4))
    Traceback (most recent call last):
    ValueError: layer 'dense': wants weights of the shape (3, 4), but the file has no more than ...
    """
    token = _limit.set(_Limit(numbers))
    try:
        yield
    finally:
        _limit.reset(token)


def count_weight(who: str, shape: Sequence[int]) -> None:
    """Note that a weight is going to be made.

    Raises:
        ValueError: there is a limit, and this is beyond it.
    """
    limit = _limit.get()
    if limit is None:
        return
    limit.left -= math.prod(shape)
    if limit.left < 0:
        raise ValueError(
            f"{who}: wants weights of the shape {tuple(shape)}, but the file has no more than "
            f"{limit.all} bytes for all weights. It is broken, or made to fill the memory."
        )


def check_trial(who: str, shape: Sequence[int]) -> None:
    """Raise a ValueError if there is a limit, and an input of this shape is too large to try."""
    if _limit.get() is not None and math.prod(shape) > LARGEST_TRIAL:
        raise ValueError(
            f"{who}: is said to get an input of the shape {tuple(shape)}, which is too large to "
            f"try. The file is broken, or made to fill the memory."
        )
