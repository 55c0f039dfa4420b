"""A second process, which compiles the end of the first training step while the first begins it.

Numba compiles one function at a time, however many processors there are, and the first training on
a machine waits for some thirty kernels. The last of them are known long before they are needed:
the backward pass and the optimizer. So they are compiled in a second process, the last one first,
and the two meet in the middle; from there on the first one finds the rest on the disk. If they meet
within a kernel, both compile it, and each writes files with names of its own, see compiling.py.
"""

import atexit
import functools
import os
import subprocess
import sys
from pathlib import Path

from .kernel import Array, is_gpu_array

LAST_FIRST = (  # what a plain network needs, then what others do
    "adam.step",
    "max_pool2d.scatter",
    "sum_rows.forward",
    "conv_pool.weight_grad",
    "conv_pool.input_grad",
    "relu.backward",
    "matmul.weight_grad",
    "softmax_cross_entropy.backward",
    "sgd.step",
    "addition.forward",
    "conv2d.input_grad",
    "batch_norm.input_grad",
    "batch_norm.sums",
)


def begin(weights: Array) -> None:
    """Start it if weights like these, on the CPU, have never been trained here, and it can help."""
    if not is_gpu_array(weights):
        _begin(str(weights.dtype))


@functools.cache
def _begin(dtype: str) -> None:
    """Start it, once for a folder of machine code; it ends with this process at the latest."""
    python = _python()
    if not python or not _is_first(dtype):
        return
    process = subprocess.Popen(
        [python, "-c", f"import {__name__} as it; it.compile_kernels({dtype!r})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # the first process compiles whatever this one cannot
    )
    atexit.register(_end, process)


def compile_kernels(dtype: str) -> None:
    """What the second process does."""
    from .threads import one_thread
    from .warmup import compile_some

    if hasattr(os, "nice"):
        os.nice(19)  # training comes first: it may have begun, and may not need all of these
    with one_thread():
        compile_some(LAST_FIRST, dtype)


def _python() -> str:
    """The file of Python; "" if this process is another program that Python is a part of."""
    return sys.executable if Path(sys.executable or "").name.startswith("python") else ""


def _is_first(dtype: str) -> bool:
    """Whether there is a processor for it, and a folder where it has never worked before."""
    import numba

    from . import compiling, threads  # here, because they import Numba

    folder = compiling.cache_folder()
    if numba.config.DISABLE_JIT or folder is None or threads.thread_count() == 1:
        return False
    try:
        (folder / f"{compiling.fingerprint()}-{dtype}").touch(exist_ok=False)
    except OSError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait()
