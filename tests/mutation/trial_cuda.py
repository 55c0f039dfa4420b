"""Runs tests against mutants of .cu files: the emulator compiles them as if they were the kernels.

As in trial.py there is a process for each mutant, which runs only tests that launch its kernel. It
compiles its one file anew, in a folder that is thrown away; all other kernels are there already.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calls import Calls
from planting import Mutant
from planting_cuda import kernel_lines
from trial import NO_PROGRAM, Quick, must_be_this_checkout


class Launches(Calls):
    """The kernels that have been launched since the last question.

    A function that is no kernel stands at line 0 of its file: who launches any kernel, asks it.
    """

    def listen(self) -> None:
        from minicnn.kernels import cuda

        self._lines: dict[str, dict[str, int]] = {}
        self._launch = cuda.launch

        def launch(family: str, function: str, *args: Any, **settings: Any) -> None:
            path = cuda.FOLDER / f"{family}.cu"
            self._called |= {(str(path), 0), (str(path), self._line(path, function))}
            self._launch(family, function, *args, **settings)

        cuda.launch = launch

    def stop(self) -> None:
        from minicnn.kernels import cuda

        cuda.launch = self._launch

    def _line(self, path: Path, function: str) -> int:
        if path.stem not in self._lines:
            self._lines[path.stem] = kernel_lines(path) if path.exists() else {}
        return self._lines[path.stem].get(function, 0)


class OnEmulator(Quick):
    """The trials of mutants of .cu files."""

    def _listener(self, folder: Path) -> Calls:
        return Launches(folder)

    def _prepare(self) -> None:
        """Little: a child of this process that has measured the tests has compiled all kernels."""
        from minicnn.kernels import cuda

        must_be_this_checkout(cuda.FOLDER, self._folder)

    def _plant(self, mutant: Mutant) -> None:
        from minicnn.kernels import cuda
        from minicnn.kernels.emulator import compiler, module

        source, compiled = cuda.source, compiler.compiled
        planted = source(mutant.path.stem).replace(mutant.path.read_text(), mutant.source)

        def wrong_source(family: str) -> str:
            return planted if family == mutant.path.stem else source(family)

        def compiled_apart(code: str, options: Sequence[str]) -> Path:
            if code != planted or mutant.is_honest:
                return compiled(code, options)
            home = os.environ.get("MINICNN_HOME")
            os.environ["MINICNN_HOME"] = tempfile.mkdtemp(dir=self._rubbish)
            try:
                return compiled(code, options)
            except compiler.EmulatorError:
                os._exit(NO_PROGRAM)
            finally:
                _set("MINICNN_HOME", home)

        cuda.source, module.compiled = wrong_source, compiled_apart

    def run(self, tests: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory() as self._rubbish:
            super().run(tests)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
