"""Puts a mistake into functions that live already: only their code is swapped.

So a trial need not import anything again. What has been computed with the right function before,
while modules were imported, stays right; trial.py says what is done about that.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from types import CodeType, FunctionType

from calls import place
from planting import Mutant


def swap(mutant: Mutant) -> None:
    """Let every function object of the mutated file run the mutant's code.

    Raises:
        ValueError: a function object cannot take it, as the mistake has changed its closure.
    """
    wrong = dict(_codes(compile(mutant.source, str(mutant.path), "exec")))
    for thing in gc.get_objects():  # no isinstance: it would ask some of them for their class
        if type(thing) is FunctionType and thing.__code__.co_filename == str(mutant.path):
            same = wrong.get(_key(thing.__code__))
            if same is not None and thing.__code__ != same:
                thing.__code__ = same
        elif type(thing) is functools._lru_cache_wrapper:
            thing.cache_clear()


def _codes(code: CodeType) -> Iterator[tuple[object, CodeType]]:
    yield _key(code), code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _key(code: CodeType) -> object:
    """What a function has in common with its mutant: all lines above the mistake are the same."""
    return place(code), code.co_name
