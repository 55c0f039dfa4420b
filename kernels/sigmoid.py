"""The S-shaped activations, and their slopes, which can be told from their results.

    y  = 1 / (1 + e^-x)                        sigmoid
    y  = (e^x - e^-x) / (e^x + e^-x)           tanh
    dx = dy * y * (1 - y)                      sigmoid_grad, y = sigmoid(x)
    dx = dy * (1 - y^2)                        tanh_grad,    y = tanh(x)

Neither may overflow, nor lose digits where its result is small. So e is raised to -|x|, which is
never above 1, for sigmoid; and tanh is t / (t + 2) with t = e^(2|x|) - 1, and the sign of x.

Work:     a power of e, 40 operations, and a division per number; on the way back three operations.
Threads:  one prange step owns a run of neighbouring numbers; a single run starts no threads. On a
          GPU one thread owns one number.
Versions: NumPy reference, Numba loops with the powers of exponential.py, CUDA (sigmoid.cu).
"""

import math

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel, compiled_part
from .exponential import power_parts, two_to_the
from .kernel import Kernel
from .memory import empty

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it
FLAT = 20.0  # from there on tanh is 1, in float64, too,
FAR = 2000.0  # and e^-FAR is 0


def _sigmoid_reference(x):
    shrunk = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, shrunk) / (1 + shrunk)


def _tanh_reference(x):
    return np.tanh(x)


def _sigmoid_grad_reference(dy, y):
    return dy * y * (1 - y)


def _tanh_grad_reference(dy, y):
    return dy * (1 - y * y)


@compiled_part
def _sigmoid_of(x):
    real = type(x)
    z = abs(x)
    n, series = power_parts(-(real(FAR) if z > real(FAR) else z))
    half = np.floor(n * real(0.5))  # 2^n itself may be too small for a whole fraction
    shrunk = (series + real(1)) * two_to_the(half) * two_to_the(n - half)
    return (shrunk if x < 0 else real(1)) / (shrunk + real(1))


@compiled_part
def _tanh_of(x):
    real = type(x)
    z = abs(x)
    z = real(FLAT) if z > real(FLAT) else z
    n, series = power_parts(z + z)
    power = two_to_the(n)
    t = power * series + (power - real(1))
    return math.copysign(t / (t + real(2)), x)


@compiled_part
def sigmoid_in_place(y):
    """Put sigmoid(y) in the place of y."""
    for k in range(np.uint64(y.size)):
        y[k] = _sigmoid_of(y[k])


@compiled_part
def tanh_in_place(y):
    """Put tanh(y) in the place of y; _tanh_run(y, y) would take them one at a time."""
    for k in range(np.uint64(y.size)):
        y[k] = _tanh_of(y[k])


@compiled
def _sigmoid_run(x, y):
    for k in range(np.uint64(x.size)):
        y[k] = _sigmoid_of(x[k])


@compiled
def _tanh_run(x, y):
    for k in range(np.uint64(x.size)):
        y[k] = _tanh_of(x[k])


@compiled_parallel
def _sigmoid_loops(x, y):
    for run in prange((x.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, x.size)
        _sigmoid_run(x[first:last], y[first:last])


@compiled_parallel
def _tanh_loops(x, y):
    for run in prange((x.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, x.size)
        _tanh_run(x[first:last], y[first:last])


@compiled
def _sigmoid_grad_run(dy, y, dx):
    one = dx.dtype.type(1)  # an integer would make float32 arithmetic float64
    for k in range(dy.size):
        dx[k] = dy[k] * y[k] * (one - y[k])


@compiled
def _tanh_grad_run(dy, y, dx):
    one = dx.dtype.type(1)  # an integer would make float32 arithmetic float64
    for k in range(dy.size):
        dx[k] = dy[k] * (one - y[k] * y[k])


@compiled_parallel
def _sigmoid_grad_loops(dy, y, dx):
    for run in prange((dy.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, dy.size)
        _sigmoid_grad_run(dy[first:last], y[first:last], dx[first:last])


@compiled_parallel
def _tanh_grad_loops(dy, y, dx):
    for run in prange((dy.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, dy.size)
        _tanh_grad_run(dy[first:last], y[first:last], dx[first:last])


def _sigmoid_cpu(x):
    return _in_runs(_sigmoid_run, _sigmoid_loops, x)


def _tanh_cpu(x):
    return _in_runs(_tanh_run, _tanh_loops, x)


def _sigmoid_grad_cpu(dy, y):
    return _in_runs(_sigmoid_grad_run, _sigmoid_grad_loops, dy, y)


def _tanh_grad_cpu(dy, y):
    return _in_runs(_tanh_grad_run, _tanh_grad_loops, dy, y)


def _in_runs(run, loops, *given):
    result = empty(given[0].shape, given[0].dtype)
    flat = [array.reshape(-1) for array in (*given, result)]
    (run if result.size <= RUN else loops)(*flat)
    return result


def _sigmoid_gpu(x):
    return _launched("sigmoid_of", x)


def _tanh_gpu(x):
    return _launched("tanh_of", x)


def _sigmoid_grad_gpu(dy, y):
    return _launched("sigmoid_grad", dy, y)


def _tanh_grad_gpu(dy, y):
    return _launched("tanh_grad", dy, y)


def _launched(name, *given):
    result = cuda.empty(given[0].shape, given[0].dtype, like=given[0])
    cuda.launch("sigmoid", name, cuda.blocks(result.size), 256, *given, result, result.size)
    return result


sigmoid = Kernel(
    "sigmoid.sigmoid", reference=_sigmoid_reference, cpu=_sigmoid_cpu, gpu=_sigmoid_gpu
)
tanh = Kernel("sigmoid.tanh", reference=_tanh_reference, cpu=_tanh_cpu, gpu=_tanh_gpu)
sigmoid_grad = Kernel(
    "sigmoid.sigmoid_grad",
    reference=_sigmoid_grad_reference,
    cpu=_sigmoid_grad_cpu,
    gpu=_sigmoid_grad_gpu,
)
tanh_grad = Kernel(
    "sigmoid.tanh_grad", reference=_tanh_grad_reference, cpu=_tanh_grad_cpu, gpu=_tanh_grad_gpu
)
