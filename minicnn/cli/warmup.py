"""Compile all kernels ahead, so that the first training starts at once.

Otherwise each kernel is compiled when it is first needed. The machine code is kept on disk: on one
machine, and for one version of minicnn, this has to be done once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from minicnn.backend import kernels
from minicnn.cli.problems import UserError

SUMMARY = "compile all kernels ahead"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="the numbers that networks are to compute with (default: float32)",
    )


def run(settings: argparse.Namespace) -> int:
    """Compile; return the exit code."""
    import numba

    if numba.config.DISABLE_JIT:
        raise UserError("Numba's compiler is switched off: unset NUMBA_DISABLE_JIT.")
    warmup = importlib.import_module(".warmup", kernels.__name__)
    compiling = importlib.import_module(".compiling", kernels.__name__)
    start, before = time.perf_counter(), compiling.notice.count
    compiling.notice.quiet = True
    try:
        warmup.compile_all(settings.dtype, _report)
    finally:
        compiling.notice.quiet = False
        _end_line()
    seconds = time.perf_counter() - start
    count, folder = compiling.notice.count - before, compiling.cache_folder()
    print(f"{count} functions compiled for {settings.dtype} in {seconds:.1f} s{_kept(folder)}")
    return 0


def _report(number: int, count: int, family: str) -> None:
    """Say how far we are: on a terminal in one line, which is written anew each time."""
    line = f"compiling kernels {number} of {count}: {family}"
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line}", end="", flush=True)
    else:
        print(line, flush=True)


def _end_line() -> None:
    if sys.stdout.isatty():
        print()


def _kept(folder: Path | None) -> str:
    return f", kept in {folder}" if folder else "; but no folder can be written to keep them"
