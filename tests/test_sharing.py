"""Work shared among threads, and functions that are compiled into others."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

from minicnn.backend import kernels

kernels.relu  # noqa: B018  imports Numba, and compiling.py with it
from minicnn.kernels import sharing  # noqa: E402
from minicnn.kernels.compiling import compiled, compiled_part  # noqa: E402
from minicnn.kernels.geometry import share_of  # noqa: E402
from minicnn.kernels.sharing import share, threads  # noqa: E402

compiles = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


class Settings(NamedTuple):
    """Numbers and an array together, as kernels are given them."""

    factor: float
    steps: np.ndarray


@compiled_part
def _fill(worker, workers, arrays, settings):
    x, y = arrays
    for k in share_of(worker, workers, y.size):
        y[k] = settings.factor * x[k] + settings.steps[k]


@compiled
def _fill_shared(threads, workers, arrays, settings):
    share(threads, workers, _fill, (arrays, settings))


@compiled_part
def _say_who(worker, workers, calls):
    calls[worker, 0] += 1
    calls[worker, 1] = workers


@compiled
def _say_who_shared(threads, workers, calls):
    share(threads, workers, _say_who, (calls,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_shared_work_is_done_with_all_its_arguments(workers, dtype):
    x, steps = np.arange(1000, dtype=dtype), np.arange(1000.0)
    y = np.zeros_like(x)
    _fill_shared(threads(), workers, (x, y), Settings(3.0, steps))
    np.testing.assert_array_equal(y, 4 * x)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_each_worker_is_called_once(workers):
    calls = np.zeros((6, 2), np.int64)
    _say_who_shared(threads(), workers, calls)
    expected = np.zeros_like(calls)
    expected[:workers] = 1, workers
    np.testing.assert_array_equal(calls, expected)


@compiled
def _both_shared(threads, workers, arrays, settings, calls):
    _say_who_shared(threads, workers, calls)
    _fill_shared(threads, workers, arrays, settings)


def test_one_compiled_function_may_call_several_that_share():
    workers = 2
    x, steps, calls = np.ones(10), np.zeros(10), np.zeros((workers, 2), np.int64)
    y = np.zeros_like(x)
    _both_shared(threads(), workers, (x, y), Settings(3.0, steps), calls)
    np.testing.assert_array_equal(y, 3)
    np.testing.assert_array_equal(calls, [(1, workers)] * workers)


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="there is machine code")
def test_without_machine_code_there_is_no_address():
    assert threads.__wrapped__() == 0  # asked anew, not remembered


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_one_worker_enters_no_prange(workers, monkeypatch):
    """As other threads than the main one may not."""
    calls = []
    monkeypatch.setattr(sharing, "_call_task", lambda *args: calls.append(args))
    monkeypatch.setattr(sharing, "prange", None if workers == 1 else range)
    sharing._all_workers(7, 8, workers)
    assert calls == [(7, 8, worker, workers) for worker in range(workers)]


def test_arrays_that_were_lent_out_are_freed():
    x, y, steps = np.zeros((3, 1000))
    before = [sys.getrefcount(array) for array in (x, y, steps)]
    for _ in range(10):
        _fill_shared(threads(), 2, (x, y), Settings(3.0, steps))
    assert [sys.getrefcount(array) for array in (x, y, steps)] == before


BESIDE = """
import sys, threading
import numpy as np
import numba
sys.path.insert(0, "tests")
from test_sharing import Settings, _fill_shared, threads
def fill(workers):
    x, y, steps = np.ones(1000), np.zeros(1000), np.zeros(1000)
    for _ in range(1000):
        _fill_shared(threads(), workers, (x, y), Settings(3.0, steps))
    assert (y == 3).all()
beside = threading.Thread(target=fill, args=(1,))
beside.start()
fill(2)
beside.join()
print(numba.threading_layer())
"""


@compiles
def test_one_worker_may_work_beside_the_main_thread_in_numbas_simplest_thread_layer():
    root = Path(__file__).parents[1]
    environment = {"PYTHONPATH": str(root), "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(
        [sys.executable, "-c", BESIDE],
        env=os.environ | environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "workqueue\n"


@compiled_part
def _who_is_running():
    return threading.get_ident()


def test_a_part_that_python_calls_runs_as_python():
    assert _who_is_running() == threading.get_ident()  # which Numba could not compile
    assert _who_is_running.__name__ == "_who_is_running"
