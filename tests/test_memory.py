"""Output memory: used again once nobody looks into it, and never before."""

import numpy as np
import pytest
from minicnn.kernels import memory

from minicnn.backend import kernels

LARGE = (300, 300)


@pytest.fixture(autouse=True)
def _no_buffers():
    memory.release()
    yield
    memory.release()


def address(array):
    return array.ctypes.data


def test_memory_is_used_again():
    first = address(kernels.empty(LARGE, np.float32))
    assert address(kernels.empty(LARGE, np.float32)) == first
    assert address(kernels.empty((9, 100, 100), np.int32)) == first  # the size in bytes decides


def test_two_arrays_never_share_memory():
    arrays = [kernels.empty(LARGE, np.float32) for _ in range(20)]
    assert len({address(array) for array in arrays}) == 20


@pytest.mark.parametrize("look", [lambda a: a[5:], lambda a: a.T, lambda a: a.reshape(-1)[::3]])
def test_a_view_keeps_its_memory(look):
    array = kernels.empty(LARGE, np.float32)
    where = address(array)
    view = look(array)
    del array
    assert address(kernels.empty(LARGE, np.float32)) != where
    del view
    assert address(kernels.empty(LARGE, np.float32)) == where


def test_few_buffers_are_kept():
    for array in [kernels.empty(LARGE, np.float32) for _ in range(memory.KEPT + 10)]:
        del array
    assert len(memory._buffers[90000 * 4]) == memory.KEPT


def test_sizes_that_never_come_again_are_given_back(monkeypatch):
    monkeypatch.setattr(memory, "MOST", 10_000_000)
    for size in range(100_000, 200_000, 1_000):
        kernels.empty((size,), np.float32)
    kept = sum(size * len(buffers) for size, buffers in memory._buffers.items())
    assert 0 < kept <= 10_000_000
    assert memory._bytes == kept


@pytest.mark.parametrize("shape", [(), (0,), (3,), (7, 500), LARGE])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_all_but_tiny_arrays_begin_at_a_cache_line(shape, dtype):
    array = kernels.empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert address(array) % memory.LINE == 0 or array.nbytes < memory.SMALLEST
    assert array.flags.writeable and array.flags.c_contiguous


def test_zeros_are_zero_in_used_memory_too():
    kernels.empty(LARGE, np.float32).fill(5)
    assert not kernels.zeros(LARGE, np.float32).any()
