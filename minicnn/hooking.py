"""Functions of the user's that are called when something happens, until they are taken away."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

Hook: TypeAlias = Callable[..., Any]

_numbers = itertools.count()


class Handle:
    """Takes a hook away again: by remove(), or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Hook], number: int, forget: Callable[[], None]) -> None:
        self._hooks, self._number, self._forget = hooks, number, forget

    def remove(self) -> None:
        """Take the hook away; it does no harm to do that twice."""
        self._hooks.pop(self._number, None)
        self._forget()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register(hooks: dict[int, Hook], hook: Hook, forget: Callable[[], None]) -> Handle:
    """Put a hook behind those that are there; forget() is called whenever it is taken away.

    >>> hooks = {}
    >>> with register(hooks, print, lambda: None):
    ...     len(hooks)
    1
    >>> hooks
    {}
    """
    number = next(_numbers)
    hooks[number] = hook
    return Handle(hooks, number, forget)
