"""How many threads share the work of a kernel.

Numba starts NUMBA_NUM_THREADS of them, or one for each processor, and numba.set_num_threads lets
fewer work. OMP_NUM_THREADS, which is how most programs of this kind are told, means nothing to
Numba; so it is followed here, where NUMBA_NUM_THREADS does not say otherwise.
"""

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numba
from numba.np.ufunc import parallel


def openmp_limit() -> int | None:
    """The number in OMP_NUM_THREADS, or None if there is none.

    "4,2" means 4, and 2 within each of these 4; here nothing is nested, so the first one counts.
    What is no positive number is ignored, as OpenMP itself does it, and the user is told.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not text:
        return None
    numbers = text.split(",")
    if all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
        return int(numbers[0])
    warnings.warn(
        f"minicnn: OMP_NUM_THREADS must be a whole number from 1 on, as 4, but is {text!r}; it is "
        f"ignored. Correct or unset it.",
        stacklevel=2,
    )
    return None


def follow_openmp() -> None:
    """Let no more threads work than OMP_NUM_THREADS allows, unless NUMBA_NUM_THREADS is set."""
    limit = None if "NUMBA_NUM_THREADS" in os.environ else openmp_limit()
    if limit is not None and limit < numba.get_num_threads():
        numba.set_num_threads(limit)


def thread_count() -> int:
    """What numba.get_num_threads says, which looks each time whether there are threads at all."""
    return _counter()()


@functools.cache
def _counter() -> Callable[[], int]:
    numba.get_num_threads()  # from now on there are
    return getattr(parallel, "_get_num_threads", numba.get_num_threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this block one thread does everything; the numbers are the same.

    For very many very small calls, of which each would take longer to wake the others, and ten
    times as long where another program keeps them from coming.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def who_decides() -> str:
    """What the number of threads comes from, for a report."""
    threads = numba.get_num_threads()
    numbas_own = "NUMBA_NUM_THREADS" in os.environ
    if threads == numba.config.NUMBA_NUM_THREADS:
        return "NUMBA_NUM_THREADS" if numbas_own else "one for each processor"
    if not numbas_own and threads == openmp_limit():
        return "OMP_NUM_THREADS"
    return "numba.set_num_threads"
