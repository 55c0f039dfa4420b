"""Loads the .cu files beside the .py files and launches their kernels.

`launch(family, function, grid, block, *args)` runs a kernel of kernels/<family>.cu where the
arrays among its arguments live: CuPy's on a GPU, EmulatedArrays on the CPU, by the emulator. A
source is compiled when it is first needed, once for each set of definitions, and kept on disk.

Every source begins with REAL defined, as float or double: the dtype of the first floating point
array. So the same text serves training and, in double precision, the checks of gradients.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .kernel import Array, is_gpu_array

FOLDER = Path(__file__).parent
OPTIONS = ("-std=c++17",)
UNASKED_SHARED_BYTES = 48 * 1024  # of dynamic shared memory; a kernel that wants more must ask
MOST = 2**31 - 1  # numbers that an int of CUDA can count
REALS = {"float32": "float", "float64": "double"}

Sizes = int | tuple[int, ...]


def launch(
    family: str,
    function: str,
    grid: Sizes,
    block: Sizes,
    *args: Any,
    defines: Mapping[str, Any] | None = None,
    shared_bytes: int = 0,
    long_index: bool = False,
) -> None:
    """Run a kernel of kernels/<family>.cu. Without a block to run it returns at once.

    Args:
        family: the name of the .cu file.
        function: the name of the kernel in it.
        grid: the number of blocks, in one to three directions.
        block: the number of threads of a block, in one to three directions.
        *args: contiguous arrays, None for a null pointer, and numbers: Python's int and bool become
            int, its float becomes REAL. Other types are given as NumPy scalars, as np.uint64(seed).
        defines: macros for the source, as {"TILE": 16}.
        shared_bytes: dynamic shared memory of a block.
        long_index: whether the kernel's indices have 64 bits, so that an array may have more
            numbers than an int can count.

    Raises:
        TypeError: there is no array among the arguments, or one that is not contiguous.
        OverflowError: an int, or the size of an array, is too large for CUDA's int.
    """
    grid, block = _tuple(grid), _tuple(block)
    arrays = [argument for argument in args if is_gpu_array(argument)]
    if not arrays:
        raise TypeError(f"{family}.{function}: wants arrays of a GPU, but got none.")
    if 0 in grid:
        return
    real = next((x.dtype for x in arrays if x.dtype.kind == "f"), np.dtype(np.float32))
    xp = module(arrays[0])
    kernel = _function(xp, family, function, real.name, tuple(sorted((defines or {}).items())))
    if shared_bytes > UNASKED_SHARED_BYTES:
        kernel.max_dynamic_shared_size_bytes = shared_bytes
    who = f"{family}.{function}"
    if not long_index:
        _check_sizes(who, arrays)
    given = tuple(_given(argument, real, who, k) for k, argument in enumerate(args))
    kernel(grid, block, given, shared_mem=shared_bytes)


def blocks(count: int, block: int = 256) -> int:
    """How many blocks of `block` threads cover `count` elements.

    >>> blocks(0), blocks(1), blocks(256), blocks(257)
    (0, 1, 1, 2)
    """
    return -(-count // block)


def module(x: Array) -> Any:
    """The library that `x`, an array on a GPU or an emulated one, belongs to; much as NumPy."""
    if isinstance(x, np.ndarray):
        from . import emulator

        return emulator
    import cupy

    return cupy


def empty(shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """Make an array with arbitrary content where `like` lives."""
    return module(like).empty(shape, dtype)


def zeros(shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """Make an array of zeros where `like` lives."""
    return module(like).zeros(shape, dtype)


def joined(xs: Sequence[Array], axis: int) -> Array:
    """All arrays one after the other along an axis, copied one by one, as a graph can repeat it.

    CuPy's concatenate brings a list of their addresses from the CPU.
    """
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y, stop = empty(tuple(shape), np.result_type(*xs), like=xs[0]), 0
    for x in xs:
        start, stop = stop, stop + x.shape[axis]
        place = (*[slice(None)] * axis, slice(start, stop))
        y[place] = x
    return y


def source(family: str) -> str:
    """The text of kernels/<family>.cu; compilers call it by that name in their messages."""
    path = FOLDER / f"{family}.cu"
    return f'#line 1 "{path.name}"\n{path.read_text(encoding="utf-8")}'


@functools.cache
def _module(xp: Any, family: str, real: str, defines: tuple[tuple[str, Any], ...]) -> Any:
    macros = [("REAL", REALS[real]), *defines]
    options = (*OPTIONS, *(f"-D{name}={value}" for name, value in macros))
    return xp.RawModule(code=source(family), options=options)


@functools.cache
def _function(
    xp: Any, family: str, function: str, real: str, defines: tuple[tuple[str, Any], ...]
) -> Any:
    return _module(xp, family, real, defines).get_function(function)


def _tuple(sizes: Sizes) -> tuple[int, ...]:
    return sizes if isinstance(sizes, tuple) else (sizes,)


def _check_sizes(who: str, arrays: Sequence[Array]) -> None:
    """Raise an OverflowError if an index of type int would overflow, of which CUDA says nothing."""
    for array in arrays:
        if array.size > MOST:
            raise OverflowError(
                f"{who}: an array of shape {array.shape} has {array.size} numbers, and the kernel "
                f"counts up to {MOST}. Use fewer images at a time."
            )


def _given(argument: Any, real: np.dtype[Any], who: str, position: int) -> Any:
    """`argument` as CuPy and the emulator pass it on without changing its meaning."""
    if is_gpu_array(argument):
        if not argument.flags.c_contiguous:
            raise TypeError(
                f"{who}: argument {position}, of shape {argument.shape}, is not contiguous. A "
                f"kernel sees only its first address: use cuda.module(x).ascontiguousarray(x)."
            )
        return argument
    if argument is None:
        return np.uintp(0)  # a null pointer
    if isinstance(argument, float) and not isinstance(argument, np.generic):
        return real.type(argument)
    if isinstance(argument, int):  # bool is one, too
        try:
            return np.int32(argument)
        except OverflowError:
            raise OverflowError(
                f"{who}: argument {position} is {argument}, too large for an int in CUDA. "
                f"Use fewer images at a time."
            ) from None
    return argument
