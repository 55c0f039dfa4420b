"""RMSprop: every gradient is divided by the root mean square of its latest values.

    w -= decay * w                                      weight decay, 0 for none
    v  = rho * v + (1 - rho) * g^2                      mean of the latest squares
    d  = learning_rate * g / sqrt(v + epsilon)
    w -= d

    centered:  a = rho * a + (1 - rho) * g;  in d,  v - a^2, the variance, takes the place of v
    momentum:  u = momentum * u + d;  in the last line,  u takes the place of d

All arrays are flat and hold all weights of a model, side by side. w, v, a and u are updated in
place: the one exception to "kernels leave their arrays as they are", because copies would cost as
much as the step itself.

Work:     a square root and a division per number, the rest hides behind memory; each array once.
Threads:  one prange step owns a run of neighbouring numbers in all arrays, and no two runs overlap.
Versions: NumPy reference, a pass per operation; Numba loops, one pass, CUDA (rmsprop.cu).
Source:   Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850.
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _step_reference(w, g, v, a, u, learning_rate, decay, rho, momentum, epsilon):
    w -= decay * w
    v[:] = rho * v + (1 - rho) * g * g
    spread = v
    if a.size:
        a[:] = rho * a + (1 - rho) * g
        spread = v - a * a
    d = learning_rate * g / np.sqrt(spread + epsilon)
    if u.size:
        u[:] = momentum * u + d
    w -= u if u.size else d


@compiled
def _divide(w, g, v, learning_rate, decay, rho, rate, epsilon):
    for k in range(w.size):
        v[k] = rho * v[k] + rate * g[k] * g[k]
        w[k] = w[k] - decay * w[k] - learning_rate * g[k] / np.sqrt(v[k] + epsilon)


@compiled
def _divide_extended(w, g, v, a, u, learning_rate, decay, rho, rate, momentum, epsilon):
    for k in range(w.size):
        v[k] = rho * v[k] + rate * g[k] * g[k]
        spread = v[k]
        if a.size:
            a[k] = rho * a[k] + rate * g[k]
            spread -= a[k] * a[k]
        d = learning_rate * g[k] / np.sqrt(spread + epsilon)
        if u.size:
            u[k] = momentum * u[k] + d
            d = u[k]
        w[k] = w[k] - decay * w[k] - d


@compiled_parallel
def _step_loops(w, g, v, a, u, learning_rate, decay, rho, rate, momentum, epsilon):
    for run in prange((w.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, w.size)
        if a.size or u.size:  # slices of an array of size 0 have size 0
            _divide_extended(
                w[first:last], g[first:last], v[first:last], a[first:last], u[first:last],
                learning_rate, decay, rho, rate, momentum, epsilon,
            )  # fmt: skip
        else:
            _divide(
                w[first:last], g[first:last], v[first:last],
                learning_rate, decay, rho, rate, epsilon,
            )  # fmt: skip


def _step_cpu(w, g, v, a, u, learning_rate, decay, rho, momentum, epsilon):
    settings = (learning_rate, decay, rho, 1 - rho, momentum, epsilon)
    number = w.dtype.type  # float64 settings would make float32 arithmetic twice as slow
    _step_loops(w, g, v, a, u, *(number(setting) for setting in settings))


def _step_gpu(w, g, v, a, u, learning_rate, decay, rho, momentum, epsilon):
    settings = map(float, (learning_rate, decay, rho, 1 - rho, momentum, epsilon))
    a, u = (array if array.size else None for array in (a, u))
    cuda.launch("rmsprop", "step", cuda.blocks(w.size), 256, w, g, v, a, u, *settings, w.size)


# step(w, g, v, a, u, learning_rate, decay, rho, momentum, epsilon): a and u have the size of w, or
# 0 for "not centered" and "no momentum"
step = Kernel("rmsprop.step", reference=_step_reference, cpu=_step_cpu, gpu=_step_gpu)
