"""Runs CUDA kernels on the CPU: a stand-in for the part of CuPy that minicnn uses.

    import emulator as cupy                                # instead of `import cupy`

    relu = cupy.RawModule(code=Path("relu.cu").read_text()).get_function("forward")
    x = cupy.asarray(numpy_x)                              # an EmulatedArray
    y = cupy.empty_like(x)
    relu((blocks,), (256,), (x, y, np.int32(x.size)))

Three things are tested this way on a machine without a GPU: the kernels, because g++ compiles
them unchanged, behind cuda_on_cpu.h; the Python code that launches them, because grids, blocks,
order and types of the arguments are those that a GPU would get; and the code that decides between
CPU and GPU, because an EmulatedArray carries `__cuda_array_interface__`.

What it cannot show: races between two barriers, the speed of a GPU, its limits of memory, and the
approximate functions such as __expf, which are exact here. cuBLAS is missing; streams and graphs
are there as far as minicnn uses them (graphs.py).

Environment variables:
    MINICNN_EMULATOR_ORDER      forward (default), reverse, shuffle or shuffle:SEED
    MINICNN_EMULATOR_CXX        the compiler; default g++
    MINICNN_EMULATOR_CXXFLAGS   further compiler options, say "-g -O1 -fsanitize=address"
"""

import functools
import types
from typing import Any

import numpy as np

from .arrays import (
    EmulatedArray,
    array,
    asarray,
    ascontiguousarray,
    asnumpy,
    empty,
    empty_like,
    emulated,
    full,
    full_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from .compiler import why_unavailable
from .errors import EmulatorError
from .graphs import cuda, done, get_default_memory_pool, is_capturing
from .module import RawModule
from .order import thread_order

ndarray = EmulatedArray  # as in CuPy

__all__ = [
    "EmulatedArray",
    "EmulatorError",
    "RawModule",
    "array",
    "asarray",
    "ascontiguousarray",
    "asnumpy",
    "cuda",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "get_default_memory_pool",
    "ndarray",
    "ones",
    "ones_like",
    "thread_order",
    "why_unavailable",
    "zeros",
    "zeros_like",
]


@functools.cache
def __getattr__(name: str) -> Any:
    """All other names are NumPy's, as they are in CuPy: float32, exp, concatenate, ..."""
    attribute = None if name.startswith("_") else getattr(np, name, None)
    if attribute is None or isinstance(attribute, types.ModuleType):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if isinstance(attribute, (type, np.ufunc)) or not callable(attribute):
        return attribute  # a dtype, a ufunc, a constant

    @functools.wraps(attribute)
    def on_device(*args: Any, **kwargs: Any) -> Any:
        result = attribute(*args, **kwargs)
        if is_capturing() and type(result) is np.ndarray:  # made of plain numbers, as by arange
            result = done(result.copy, (), {})
        return emulated(result)

    return on_device
