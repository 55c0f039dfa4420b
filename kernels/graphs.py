"""Graphs: work for a GPU that is noted once and then done again and again, by one launch.

    graph = Graph(like=x)
    y = graph.capture(lambda: step(x))       # notes what step launches; computes nothing
    x.set(...)                               # other numbers in the same place
    graph.launch()                           # y holds their result

A network of 20 layers launches some 200 kernels in each step, and for each of them Python takes
longer than a GPU does for a small one. A CUDA graph takes Python out of it. But what it has noted
is frozen: kernels, sizes, addresses, plain numbers. So a captured step

    reads what varies from arrays that are filled before each launch: `fed` makes them,
    computes nothing on the CPU from numbers of the GPU: they are not there while it captures,
    keeps its memory: it comes from a pool of the graph's own, which nobody else is given.

The emulator does the same on a CPU (emulator/graphs.py). Matrix products and convolutions are
kernels of this folder; cuBLAS, which CuPy uses, refuses to be captured.

Source: CUDA C++ Programming Guide, "CUDA Graphs"; CuPy, cupy.cuda.Stream.begin_capture.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from . import cuda
from .kernel import Array

Result = TypeVar("Result")

_capturing: "Graph | None" = None


class Graph:
    """Work for a GPU that can be repeated.

    Args:
        like: an array on the GPU, or an emulated one.
    """

    def __init__(self, like: Array) -> None:
        self._xp = cuda.module(like)
        self._xp.get_default_memory_pool().free_all_blocks()  # which it kept for later arrays
        self._stream = self._xp.cuda.Stream(non_blocking=True)
        self._pool = self._xp.cuda.MemoryPool()
        self._fed: list[tuple[Any, Callable[[], Array]]] = []  # places, what fills them
        self._constants: list[tuple[Any, Array]] = []  # places, what they hold
        self._graph: Any = None

    def capture(self, work: Callable[[], Result]) -> Result:
        """Call `work`, and note what it launches, which is not done before `launch`.

        Returns:
            What work returns: arrays whose numbers come with each launch.

        Raises:
            RuntimeError: work needs what a graph cannot have. Nothing was computed then.
        """
        global _capturing
        before, _capturing = _capturing, self
        try:
            with self._xp.cuda.using_allocator(self._pool.malloc), self._stream:
                self._stream.begin_capture()
                try:
                    result = work()
                except BaseException:
                    with suppress(Exception):  # CUDA calls a capture that has failed invalid
                        self._stream.end_capture()
                    raise
                self._graph = self._stream.end_capture()
                for array, numbers in self._constants:
                    array.set(numbers, stream=self._stream)
        finally:
            _capturing = before
        return result

    def feed(self, make: Callable[[], Array], shape: tuple[int, ...], dtype: Any) -> Any:
        """An array that `make` fills before each launch; see fed."""
        array = self._xp.empty(shape, dtype)
        self._fed.append((array, make))
        return array

    def keep(self, numbers: Array) -> Any:
        """An array that holds these numbers, the same in each launch; see constant."""
        array = self._xp.empty(numbers.shape, numbers.dtype)
        self._constants.append((array, numbers))
        return array

    def launch(self) -> None:
        """Fill what is fed, in the order in which it was asked for, and do all work once more."""
        callers = self._xp.cuda.get_current_stream()
        self._stream.wait_event(callers.record())  # inputs may be on their way
        for array, make in self._fed:
            array.set(np.asarray(make(), array.dtype), stream=self._stream)
        self._graph.launch(self._stream)
        callers.wait_event(self._stream.record())


def is_capturing() -> bool:
    """Whether work is noted for a graph, so that no array of the GPU can be looked at."""
    return _capturing is not None


def fed(make: Callable[[], Array], shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """An array on the GPU with numbers that the CPU makes: make(), now or before each launch.

    Args:
        make: returns a NumPy array; called once now, or in each launch of the graph that is being
            captured, and not now.
        shape: that of the array.
        dtype: its type.
        like: an array where it is to be.
    """
    if _capturing is not None:
        array: Array = _capturing.feed(make, shape, dtype)
    else:
        array = cuda.module(like).asarray(np.asarray(make(), dtype))
    return array


def constant(numbers: Array, like: Array) -> Array:
    """A copy on the GPU of an array on the CPU that is the same in each step, as a table.

    Args:
        numbers: a NumPy array.
        like: an array where the copy is to be.
    """
    if _capturing is not None:
        array: Array = _capturing.keep(numbers)
    else:
        array = cuda.module(like).asarray(numbers)
    return array


def refuse_copy(x: Array) -> None:
    """Raise an error if `x`, an array on the CPU, is about to be copied to the GPU in a capture.

    CuPy would note a copy from memory that it soon gives away.

    Raises:
        RuntimeError: work is being noted for a graph.
    """
    if _capturing is not None:
        raise RuntimeError(
            f"an array of shape {x.shape} was copied from the CPU, and a graph would never see "
            f"other numbers: backend.fed and backend.constant make arrays that it can take"
        )
