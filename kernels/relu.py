"""Rectified linear unit: cut off what is below zero.

    y  = x   where x > 0, else 0      forward
    dx = dy  where y > 0, else 0      backward
    dx = dy + more, likewise          where y was used twice, and two gradients come back

NaN is not below zero, so it passes forward: a failure further up stays visible.

Work:     one comparison per number; the time goes into memory.
Threads:  one prange step owns a run of neighbouring numbers; a single run starts no threads. On a
          GPU one thread owns one number.
Versions: NumPy reference, Numba loops, CUDA (relu.cu).
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _forward_reference(x):
    return np.where(x < 0, 0, x)


def _backward_reference(dy, y, more=None):
    return np.where(y > 0, dy if more is None else dy + more, 0)


@compiled
def _forward_run(x, y):
    for k in range(x.size):
        y[k] = 0 if x[k] < 0 else x[k]


@compiled
def _backward_run(dy, y, more, dx):
    if more.size:
        for k in range(dy.size):
            dx[k] = dy[k] + more[k] if y[k] > 0 else 0
    else:
        for k in range(dy.size):
            dx[k] = dy[k] if y[k] > 0 else 0


@compiled_parallel
def _forward_loops(x, y):
    for run in prange((x.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, x.size)
        _forward_run(x[first:last], y[first:last])


@compiled_parallel
def _backward_loops(dy, y, more, dx):
    for run in prange((dy.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, dy.size)
        _backward_run(dy[first:last], y[first:last], more[first:last], dx[first:last])


def _forward_cpu(x):
    y = empty(x.shape, x.dtype)
    loops = _forward_run if x.size <= RUN else _forward_loops
    loops(x.reshape(-1), y.reshape(-1))
    return y


def _backward_cpu(dy, y, more=None):
    dx = empty(dy.shape, dy.dtype)
    loops = _backward_run if dy.size <= RUN else _backward_loops
    more = empty((0,), dy.dtype) if more is None else more
    loops(dy.reshape(-1), y.reshape(-1), more.reshape(-1), dx.reshape(-1))
    return dx


def _forward_gpu(x):
    y = cuda.empty(x.shape, x.dtype, like=x)
    cuda.launch("relu", "forward", cuda.blocks(x.size), 256, x, y, x.size)
    return y


def _backward_gpu(dy, y, more=None):
    dx = cuda.empty(dy.shape, dy.dtype, like=dy)
    cuda.launch("relu", "backward", cuda.blocks(dy.size), 256, dy, y, more, dx, dy.size)
    return dx


forward = Kernel("relu.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu)
# backward(dy, y, more): arrays of one shape and dtype; more may be None
backward = Kernel(
    "relu.backward", reference=_backward_reference, cpu=_backward_cpu, gpu=_backward_gpu
)
