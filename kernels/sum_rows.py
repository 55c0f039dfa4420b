"""Column sums of a matrix: what the gradient of a bias is, over all pixels of all images.

    y[c] = sum over r of  x[r,c]

Work:     R*C additions; the time goes into reading x.
Threads:  one prange step owns a run of rows and adds them up by itself; then the sums of the runs
          are added in order. The runs are cut the same way whatever the number of threads.
Vectors:  rows of few channels are taken several at a time, as one wide row: its numbers are
          independent, so that they fill vector registers.
Versions: NumPy reference, Numba loops, CUDA (sum_rows.cu).
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel

RUN = 1024  # rows
WIDTH = 128  # numbers in a wide row, about


def _forward_reference(x):
    return x.sum(axis=0)


@compiled_parallel
def _forward_loops(x, length, sums):
    for run in prange(sums.shape[0]):
        end = min((run + 1) * length, x.size)
        for start in range(run * length, end, sums.shape[1]):
            _add(x[start : min(start + sums.shape[1], end)], sums[run])


@compiled
def _add(row, total):
    for k in range(row.size):
        total[k] += row[k]


def _forward_cpu(x):
    R, C = x.shape
    if R <= RUN or C == 0:  # starting threads would take longer
        return x.sum(axis=0)
    together = max(1, WIDTH // C)  # rows that make a wide one
    run = RUN // together * together
    sums = np.zeros((-(-R // run), together * C), x.dtype)
    _forward_loops(x.reshape(-1), run * C, sums)
    return sums.sum(axis=0).reshape(together, C).sum(axis=0)


def rows_per_chunk(R):
    """How many of R rows a block on a GPU adds up: many enough, but in 1024 chunks at most."""
    return max(128, -(-R // 1024))


def _forward_gpu(x):
    R, C = x.shape
    rows = rows_per_chunk(R)
    chunks = -(-R // rows)
    if chunks == 0:
        return cuda.zeros((C,), x.dtype, like=x)
    sums = cuda.empty((chunks, C), x.dtype, like=x)
    grid = (chunks, cuda.blocks(C, 32))
    cuda.launch("sum_rows", "forward", grid, (32, 8), x, sums, R, C, rows)
    return sums[0] if chunks == 1 else _forward_gpu(sums)


forward = Kernel(
    "sum_rows.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
