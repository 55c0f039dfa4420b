"""How kernels are compiled: once per machine, kept on disk, and not behind the user's back.

Numba compiles a function when it is first called, which takes a second or so each. The machine
code is kept in a folder of the user, so that the next process only loads it. Three traps are
closed here:

* Numba looks only at a function's own file to see whether its copy on disk is out of date. Our
  kernels call functions of other files, so the folder is named after the text of all of them.
* A copy beside the source would outlive `pip uninstall` and hide a later installation.
* Two processes that compile at the same time would give their files the same names.
"""

import functools
import hashlib
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature

from .part_compiler import PartCompiler
from .threads import follow_openmp

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = __name__.rpartition(".")[0]
PROCESS = uuid.uuid4().hex[:8]  # a name for this one
REWRITE = "\r\x1b[K"  # back to the beginning of the line, and clear it


def compiled(function: Function) -> Function:
    """Compile for one thread. Runs without the GIL, so that it can work in the background."""
    return cast(Function, _njit(function))


def compiled_parallel(function: Function) -> Function:
    """Compile for all threads: the steps of a `prange` loop are shared among them.

    Only the main thread may call such a function: Numba's simplest thread layer ends the process
    when two Python threads enter parallel code at once.
    """
    return cast(Function, _njit(function, parallel=True))


def compiled_part(function: Function) -> Function:
    """Compile into the kernels that call it. Called from Python, it runs as Python.

    It has no machine code of its own, see part_compiler.py, nor what Python needs to call that.
    """
    if numba.config.DISABLE_JIT:
        return function
    return cast(Function, functools.wraps(function)(_Part(function)))


class _Part:
    """A function that has machine code only within others."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        self.dispatcher = _njit(function, pipeline_class=PartCompiler, **wrappers)
        self._numba_type_ = numba.types.Dispatcher(self.dispatcher)  # what compiled code sees

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def compiled_for_address(
    signature: Any, function: Callable[..., Any], parallel: bool = False
) -> Any:
    """Compile for a fixed signature of C types; the result has an `.address` to call it by."""
    with _our_cache() as cache:
        compiled = CFunc(function, normalize_signature(signature), {}, {"parallel": parallel})
        if cache:
            compiled.enable_caching()
            _name_apart(compiled)
    compiled.compile()
    return compiled


def _njit(function: Any, **options: Any) -> Any:
    with _our_cache() as cache:
        # "numpy": x / 0 is infinite; to look out for it would keep loops from being vectorised
        compiled = numba.njit(cache=cache, nogil=True, error_model="numpy", **options)(function)
        if cache and not numba.config.DISABLE_JIT:
            _name_apart(compiled)
        return compiled


def _name_apart(compiled: Any) -> None:
    """Let this process write files of other names than every other process.

    Numba counts them. If two processes compile at the same time, both may take the same number, and
    what one of them has compiled would later be run in place of what the other has.
    """
    files = compiled._cache._cache_file
    files._data_name_pattern = files._data_name_pattern.replace("{number", f"{PROCESS}.{{number")


@contextmanager
def _our_cache() -> Iterator[bool]:
    """Point Numba to our folder while it is told to keep one of our functions, and only then.

    Yields whether there is such a folder.
    """
    before = numba.config.CACHE_DIR
    folder = cache_folder()
    if folder:
        numba.config.CACHE_DIR = str(folder)
    try:
        yield folder is not None
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def cache_folder() -> Path | None:
    """The folder for machine code: $NUMBA_CACHE_DIR, or numba/ in minicnn's own; None: unwritable.

    minicnn's own folder is $MINICNN_HOME, or ~/.minicnn.
    """
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR)
    home = Path(os.environ.get("MINICNN_HOME") or Path.home() / ".minicnn")
    folder = home / "numba" / fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def fingerprint() -> str:
    """A name for the text of all kernels together."""
    text = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(text).hexdigest()[:16]


class _Notice(event.Listener):  # type: ignore[misc]
    """Says on the error stream that kernels are being compiled, and when that is over.

    A terminal gets one line that is rewritten for each kernel; a file gets the first line only.
    """

    def __init__(self) -> None:
        self.depth = 0  # a kernel that calls another one compiles it on the way
        self.count = 0  # of kernels that had to be compiled; nobody knows how many there will be
        self.quiet = False

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if not function.__module__.startswith(PACKAGE):
            return
        self.depth += 1
        if self.depth > 1:
            return
        self.count += 1
        if not self.quiet:
            self._say(function.__module__.rpartition(".")[2])

    def _say(self, family: str) -> None:
        if sys.stderr.isatty():
            print(
                f"{REWRITE}minicnn: compiling kernels, once for this machine: kernel {self.count}, "
                f"{family}",
                end=" ...",
                file=sys.stderr,
                flush=True,
            )
        elif self.count == 1:
            print(
                "minicnn: compiling kernels, once for this machine; this takes some seconds ...",
                file=sys.stderr,
                flush=True,
            )

    def on_end(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(PACKAGE):
            self.depth -= 1
            if not self.depth and not self.quiet and sys.stderr.isatty():
                print(REWRITE, end="", file=sys.stderr, flush=True)


notice = _Notice()
event.register("numba:compile", notice)
follow_openmp()
