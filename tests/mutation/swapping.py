"""Puts a mistake into functions that live already: only their code is swapped.

So a trial need not import anything again. What has been computed with the right function before,
while modules were imported, stays right; trial.py says what is done about that.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from calls import place
from planting import Mutant


class Functions:
    """All functions that are alive when this is made, and whose code is in a folder.

    They are looked for once, before the trials: each trial would look at every object there is, and
    get a copy of its own of all memory. What trials make anew is made by the swapped code.
    """

    def __init__(self, folder: Path) -> None:
        self._of_file: dict[str, list[FunctionType]] = {}
        self._remembering: list[Any] = []
        for thing in gc.get_objects():  # no isinstance: it would ask some of them for their class
            if type(thing) is FunctionType:
                self._of_file.setdefault(thing.__code__.co_filename, []).append(thing)
            elif type(thing) is functools._lru_cache_wrapper:
                self._remembering.append(thing)
        inside = str(folder)
        self._of_file = {k: v for k, v in self._of_file.items() if k.startswith(inside)}

    def swap(self, mutant: Mutant) -> None:
        """Let every function of the mutated file run the mutant's code.

        Raises:
            ValueError: a function cannot take it, as the mistake has changed its closure; or none
                that is alive has this code.
        """
        wrong = dict(_codes(compile(mutant.source, str(mutant.path), "exec")))
        planted = mutant.is_honest
        for function in self._of_file.get(str(mutant.path), []):
            same = wrong.get(_key(function.__code__))
            if same is not None and function.__code__ != same:
                function.__code__ = same
                planted = True
        if not planted:
            raise ValueError(f"No function runs {mutant}.")
        for remembering in self._remembering:
            remembering.cache_clear()


def _codes(code: CodeType) -> Iterator[tuple[object, CodeType]]:
    yield _key(code), code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _key(code: CodeType) -> object:
    """What a function has in common with its mutant: all lines above the mistake are the same."""
    return place(code), code.co_name
