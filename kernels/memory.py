"""Output memory that is used again in the next step, and begins where a vector register likes it.

A training step makes the same arrays as the step before. Fresh memory comes from the operating
system page by page, and touching a new page costs more than computing what is written to it. So all
arrays but small ones are views of buffers that are kept; a buffer is free again as soon as no array
looks into it, which its reference count tells.

A vector that straddles two lines of the cache takes two loads, so arrays begin at a line.
"""

import math
import sys
import threading
from typing import Any

import numpy as np

from .kernel import Array

LINE = 64  # bytes of a cache line, and of the widest vector register
SMALLEST = 1 << 12  # bytes; for fewer, the place in the cache's lines hardly matters
KEPT = 64  # buffers of one size
MOST = 1 << 31  # bytes in all buffers together; sizes change from batch to batch in some programs

_buffers: dict[int, list[Array]] = {}  # by size in bytes
_bytes = 0  # of all of them
_lock = threading.Lock()


def _with_references(count: int, buffers: list[Array]) -> Array | None:
    """The first buffer to which so many references are counted."""
    for buffer in buffers:
        if sys.getrefcount(buffer) == count:
            return buffer
    return None


def _of_free_buffers() -> int:
    """How many references that loop counts for a buffer that nothing but a list refers to."""
    alone = [np.empty(1, np.uint8)]
    return next(count for count in range(1, 9) if _with_references(count, alone) is not None)


FREE = _of_free_buffers()


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Make an array with arbitrary content, in memory that may have served before.

    >>> import numpy as np
    >>> a = empty((200, 300), np.float32)
    >>> a.shape, a.ctypes.data % LINE
    ((200, 300), 0)
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    with _lock:
        return np.ndarray(shape, dtype, _free_buffer(size))  # counts as a reference from here on


def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Make an array of zeros, in memory that may have served before."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def scratch(rows: int, columns: int, dtype: Any) -> Array:
    """Memory that holds what a kernel needs only while it runs: a row for each of its threads.

    It is the same memory each time, so a kernel may ask for it once only, and return none of it.

    >>> import numpy as np
    >>> scratch(2, 5, np.float32).shape[0], scratch(2, 5, np.float32).strides[0] % LINE
    (2, 0)
    """
    dtype = np.dtype(dtype)
    row = -(-columns * dtype.itemsize // LINE) * LINE
    if _kept.buffer.size < rows * row:
        _kept.buffer = _aligned(rows * row)
    return _kept.buffer[: rows * row].view(dtype).reshape(rows, -1)


class _Kept(threading.local):  # each Python thread has its own, because each may run a kernel
    buffer: Array = np.empty(0, np.uint8)


_kept = _Kept()


def release() -> None:
    """Give all free buffers back to the operating system."""
    with _lock:
        _forget_all()
    _kept.buffer = _Kept.buffer


def _forget_all() -> None:
    """Keep no buffer; those in use live on in the arrays that look into them."""
    global _bytes
    _buffers.clear()
    _bytes = 0


def _free_buffer(size: int) -> Array:
    buffers = _buffers.setdefault(size, [])
    buffer = _with_references(FREE, buffers)
    if buffer is None:
        buffer = _aligned(size)
        if len(buffers) < KEPT:
            _keep(buffer)
    return buffer


def _keep(buffer: Array) -> None:
    global _bytes
    if _bytes + buffer.size > MOST:
        _forget_all()
    _buffers.setdefault(buffer.size, []).append(buffer)
    _bytes += buffer.size


def _aligned(size: int) -> Array:
    """`size` bytes that begin at a cache line.

    NumPy makes a view of a view refer to the array that owns the memory; so that references to
    this one can be counted, it must own what it shows: it is made anew from a memoryview.
    """
    wide: Any = np.empty(size + LINE, np.uint8)
    begin = _to_next_line(wide)
    return np.frombuffer(memoryview(wide)[begin : begin + size], np.uint8)


def _to_next_line(array: Array) -> int:
    """How many bytes behind the beginning of an array a cache line begins."""
    return -array.ctypes.data % LINE
