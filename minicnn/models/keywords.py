"""Misspelt keyword arguments get a hint, as misspelt names do."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from minicnn.suggest import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def hints_at_misspelt_keywords(method: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method: an unknown keyword raises a TypeError that names the nearest known one.

    >>> class Model:
    ...     @hints_at_misspelt_keywords
    ...     def fit(self, x, epochs=1): ...
    >>> Model().fit([1], epoch=3)
    Traceback (most recent call last):
    TypeError: fit [MC050]: has no argument 'epoch'. Did you mean 'epochs'? It has: x, epochs.
    """
    known = list(inspect.signature(method).parameters)[1:]  # without self

    @functools.wraps(method)
    def checked(*arguments: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                raise TypeError(
                    f"{method.__name__} [MC050]: has no argument {name!r}."
                    f"{did_you_mean(name, known)} It has: {', '.join(known)}."
                )
        return method(*arguments, **keywords)

    return checked
