"""Sums of two arrays, number by number.

    z = x + y               forward
    z = max(x + y, 0)       with relu

NumPy adds with one thread, and in fresh memory, whose pages cost more than the sum. A residual
network adds its largest arrays, and cuts most sums off below zero: here that takes one pass. NaN
is not below zero.

Work:     one addition per number; the time goes into memory.
Threads:  one prange step owns a run of neighbouring numbers; a single run starts no threads.
Versions: NumPy reference, Numba loops, CUDA (addition.cu).
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _forward_reference(x, y, relu):
    z = x + y
    return np.where(z < 0, 0, z) if relu else z


@compiled
def _forward_run(x, y, low, z):
    for k in range(x.size):
        total = x[k] + y[k]
        z[k] = low if total < low else total


@compiled_parallel
def _forward_runs(x, y, low, z):
    for run in prange((x.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, x.size)
        _forward_run(x[first:last], y[first:last], low, z[first:last])


def _forward_cpu(x, y, relu):
    z = empty(x.shape, x.dtype)
    low = x.dtype.type(0 if relu else -np.inf)
    loops = _forward_run if x.size <= RUN else _forward_runs
    loops(x.reshape(-1), y.reshape(-1), low, z.reshape(-1))
    return z


def _forward_gpu(x, y, relu):
    z = cuda.empty(x.shape, x.dtype, like=x)
    cuda.launch("addition", "forward", cuda.blocks(x.size), 256, x, y, z, relu, x.size)
    return z


# forward(x, y, relu): x and y of one shape and dtype, relu is a truth value
forward = Kernel(
    "addition.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
