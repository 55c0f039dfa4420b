"""Runs tests against a mutant: does anybody notice?

Every trial is a process of its own, made by fork from one that has NumPy, Numba and pytest in its
memory already. Its import system is told to take the mutant's text for the mutated file; nothing on
disk changes. What Numba compiles of a mutated kernel goes to a folder of its own.
"""

from __future__ import annotations

import importlib.machinery
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import h5py  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import numba  # noqa: F401
import numpy.testing  # noqa: F401
import pytest
from planting import Mutant

ROOT = Path(__file__).parents[2]
SILENT = ("-q", "-x", "-p", "no:cacheprovider")


def survivors(
    mutants: Iterable[Mutant], tests: Sequence[str], seconds: float, at_once: int = 2
) -> Iterator[tuple[Mutant, bool]]:
    """Try mutants, some at once; yields each with whether it has survived."""
    waiting, running = iter(mutants), {}
    while True:
        while len(running) < at_once and (mutant := next(waiting, None)):
            running[_begin(mutant, tests)] = mutant, time.monotonic() + seconds
        if not running:
            return
        for process, (mutant, end) in list(running.items()):
            status = _ended(process, time.monotonic() > end)
            if status is not None:
                del running[process]
                yield mutant, status == 0
        time.sleep(0.02)


def _begin(mutant: Mutant, tests: Sequence[str]) -> int:
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.setsid()  # so that it can be ended with all that it starts
            status = _run(mutant, tests)
        finally:
            os._exit(status)
    return process


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        if mutant.path.parent.name == "kernels":
            os.environ["MINICNN_HOME"] = folder
        _plant(mutant)
        return int(pytest.main([*SILENT, str(mutant.path), *tests]))


def _plant(mutant: Mutant) -> None:
    """Let the import of the mutated file find the mutant's text."""
    read = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> object:
        if Path(loader.path).resolve() == mutant.path.resolve():
            return compile(mutant.source, loader.path, "exec")
        return read(loader, name)

    assert not any(name.startswith("minicnn") for name in sys.modules), "imported too early"
    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]


def _ended(process: int, is_late: bool) -> int | None:
    """The exit code of a process, if it has ended; a late one is ended, and has failed."""
    if is_late:
        os.killpg(process, signal.SIGKILL)
    done, status = os.waitpid(process, 0 if is_late else os.WNOHANG)
    if not done:
        return None
    return 1 if is_late else os.waitstatus_to_exitcode(status)
