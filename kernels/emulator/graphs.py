"""CUDA graphs on the CPU: a stand-in for CuPy's Stream, Graph and MemoryPool.

    stream = cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        y = step(x)                # nothing is computed yet: y reads as anything
        graph = stream.end_capture()
    graph.launch(stream)           # now it is, and anew by each further launch

As on a GPU, sizes, addresses and plain numbers are frozen while a stream captures; what arrays
hold is not. Copies from and to plain NumPy arrays, and all that must know a number at once, as an
`if` or .item(), raise an error. Unlike a GPU, the emulator has one queue: no stream overtakes
another, so events have nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

Work = Callable[[], Any]

_noted: list[Work] | None = None  # what the stream that captures has been told so far

LOOKING = (np.unravel_index, np.ravel_multi_index)  # CuPy's look whether an index is too large
BY_CUBLAS = (np.dot, np.tensordot, np.einsum)  # and np.matmul, a ufunc; it cannot be captured
IN_PLACE = (np.copyto, np.put, np.putmask, np.place, np.fill_diagonal, np.put_along_axis)


def is_capturing() -> bool:
    """Whether a stream is capturing."""
    return _noted is not None


def note(work: Work) -> bool:
    """Leave work to the graph and return True, if a stream captures; else it is to be done now."""
    if _noted is None:
        return False
    _noted.append(work)
    return True


def refuse(what: str) -> None:
    """Raise an error if a stream is capturing.

    Raises:
        RuntimeError: it is.
    """
    if _noted is not None:
        raise RuntimeError(
            f"{what} while a stream is capturing, but no part of a graph runs on the CPU, and its "
            f"numbers are not there before it is launched"
        )


def done(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """function(*args, **kwargs), whose arrays must be plain ones.

    While a stream captures, the result only has its shape: the numbers come with each launch.
    """
    if _noted is None:
        return function(*args, **kwargs)
    if function in BY_CUBLAS or getattr(function, "__self__", None) is np.matmul:
        raise RuntimeError("cuBLAS was called while a stream is capturing, which CuPy refuses")
    if function in LOOKING:
        refuse(f"{function.__name__} was called")
    out = kwargs.get("out")
    if out is not None or function in IN_PLACE or getattr(function, "__name__", "") == "at":
        _noted.append(lambda: function(*args, **kwargs))
        return out
    with np.errstate(all="ignore"):  # as it computes with numbers that are not there yet
        result = function(*args, **kwargs)
    result = np.asarray(result) if isinstance(result, np.generic) else result
    given = list(_arrays((args, *kwargs.values())))
    new = [not any(np.may_share_memory(y, x) for x in given) for y in _arrays(result)]
    if any(new):
        _noted.append(lambda: _fill(_arrays(result), new, function(*args, **kwargs)))
    return result


def _fill(places: Iterator[np.ndarray], new: list[bool], values: Any) -> None:
    """Copy numbers where they were promised; what is a view has them already."""
    values = np.asarray(values) if isinstance(values, np.generic) else values
    for place, is_new, value in zip(places, new, _arrays(values), strict=True):
        if is_new:
            np.copyto(place, value)


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """All arrays in a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)


class Event:
    """A place in the queue of a stream."""


class Graph:
    """What a stream was told while it captured."""

    def __init__(self, noted: list[Work]) -> None:
        self._noted = noted

    def launch(self, stream: Stream | None = None) -> None:
        """Do it all, in order.

        Raises:
            RuntimeError: a stream is capturing.
        """
        refuse("a graph was launched")
        for work in self._noted:
            work()


class Stream:
    """A queue of work, which runs at once, unless the stream is capturing.

    Args:
        non_blocking: whether it does not wait for the default stream; here none ever waits.
    """

    null: ClassVar[Stream]  # the default stream

    def __init__(self, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin_capture(self) -> None:
        """Begin to note work for a graph in the place of doing it.

        Raises:
            RuntimeError: this is the default stream, or another one captures already.
        """
        global _noted
        if self is Stream.null:
            raise RuntimeError("The default stream cannot capture: make a Stream.")
        refuse("begin_capture was called")
        _noted = []

    def end_capture(self) -> Graph:
        """End it and return the graph.

        Raises:
            RuntimeError: the stream does not capture.
        """
        global _noted
        if _noted is None:
            raise RuntimeError("end_capture: call begin_capture first.")
        graph, _noted = Graph(_noted), None
        return graph

    def synchronize(self) -> None:
        """Wait for all work of the stream.

        Raises:
            RuntimeError: a stream is capturing.
        """
        refuse("a stream was waited for")

    def record(self) -> Event:
        """Mark this place in the queue."""
        return Event()

    def wait_event(self, event: Event) -> None:
        """Go on only when another stream has come to that place."""


Stream.null = Stream()


def get_current_stream() -> Stream:
    """The stream that takes what is launched; here all of them are one queue."""
    return Stream.null


class MemoryPool:
    """Memory apart; here the graph itself keeps what it needs."""

    def free_all_blocks(self) -> None:
        """Give back what nobody uses; here NumPy has done so."""

    def malloc(self, size: int) -> None:
        """What using_allocator wants to be given."""


def get_default_memory_pool() -> MemoryPool:
    """The pool where memory comes from, unless using_allocator says otherwise."""
    return MemoryPool()


@contextmanager
def using_allocator(allocator: Any) -> Iterator[None]:
    """Open a block whose new arrays lie in the memory of a pool."""
    yield


cuda = SimpleNamespace(
    Stream=Stream,
    Event=Event,
    Graph=Graph,
    MemoryPool=MemoryPool,
    get_current_stream=get_current_stream,
    using_allocator=using_allocator,
)
