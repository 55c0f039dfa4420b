"""Whether there is a GPU that CuPy can use, and if not, what to do about it.

CuPy is imported only where somebody asks for a GPU: its import takes time, and most have none.
"""

import functools
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INSTALL = "pip install 'minicnn[cuda13]', or 'minicnn[cuda12]' for a driver of CUDA 12"


@functools.cache
def why_no_gpu() -> str:
    """The reason why no GPU can be used here, with the cure, or "" if one can."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed: {INSTALL}"
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # libraries of CUDA that are missing raise many things
        return f"CuPy cannot be imported ({error}). Install it anew: {INSTALL}"
    return _why_not_with(cupy)


def _why_not_with(cupy: Any) -> str:
    runtime = cupy.cuda.runtime
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        return (
            "there is no NVIDIA driver. With an NVIDIA GPU in this machine, install its driver, "
            "and see with nvidia-smi that it works"
        )
    if driver < built_for // 1000 * 1000:
        wanted = "cuda12" if driver // 1000 == 12 else "cuda13"
        return (
            f"the NVIDIA driver is for CUDA {_version(driver)} and CuPy was built for CUDA "
            f"{_version(built_for)}. Update the driver, or uninstall this CuPy and pip install "
            f"'minicnn[{wanted}]'"
        )
    if not cupy.cuda.is_available():
        return "the NVIDIA driver finds no GPU. Is CUDA_VISIBLE_DEVICES set to hide it?"
    return ""


def _version(number: int) -> str:
    """A version as CUDA counts: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


@contextmanager
def memory_explained() -> Iterator[None]:
    """Open a block in which CuPy's lack of memory becomes an error that says what to do about it.

    Raises:
        MemoryError: the GPU has no memory left.
    """
    try:
        yield
    except MemoryError as error:
        if not type(error).__module__.startswith("cupy"):
            raise
        raise MemoryError(
            f"The GPU has no memory left. Use smaller batches (batch_size=...) or smaller images, "
            f"or end other programs that nvidia-smi shows. CuPy says: {error}"
        ) from error


def free_bytes() -> int:
    """How much memory of the GPU is free, what CuPy keeps for itself included."""
    import cupy

    pool = cupy.get_default_memory_pool()
    free: int = cupy.cuda.runtime.memGetInfo()[0]
    return free + int(pool.free_bytes())


def description() -> str:
    """The name of the GPU in use, its memory, and the versions of what it is reached through."""
    import cupy

    device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return (
        f"{device['name'].decode()}, {device['totalGlobalMem'] / 2**30:.0f} GB; CuPy "
        f"{cupy.__version__}, driver for CUDA {_version(cupy.cuda.runtime.driverGetVersion())}"
    )
