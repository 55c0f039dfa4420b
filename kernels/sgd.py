"""Stochastic gradient descent: every weight moves a little against its gradient, in place.

    w -= decay * w                             weight decay, 0 for none
    w -= learning_rate * g                     without velocity
    v  = momentum * v - learning_rate * g      with velocity
    w += v                                     ... plain
    w += momentum * v - learning_rate * g      ... nesterov: from where the velocity will lead

All arrays are flat and hold all weights of a model, side by side. w and v are updated in place: the
one exception to "kernels leave their arrays as they are", because a copy of the weights would cost
as much as the step itself.

Work:     a few operations per number; the time goes into memory, so each array is passed once.
Threads:  one prange step owns a run of neighbouring numbers in all arrays, and no two runs overlap.
Versions: NumPy reference, a pass per operation; Numba loops, one pass, CUDA (sgd.cu).
Source:   Sutskever et al. 2013, "On the importance of initialization and momentum".
"""

from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _step_reference(w, g, v, learning_rate, decay, momentum, nesterov):
    w -= decay * w
    if not v.size:
        w -= learning_rate * g
        return
    v *= momentum
    v -= learning_rate * g
    w += momentum * v - learning_rate * g if nesterov else v


@compiled
def _descend(w, g, learning_rate, decay):
    for k in range(w.size):
        w[k] = w[k] - decay * w[k] - learning_rate * g[k]


@compiled
def _roll(w, g, v, learning_rate, decay, momentum, nesterov):
    for k in range(w.size):
        push = learning_rate * g[k]
        v[k] = momentum * v[k] - push
        move = momentum * v[k] - push if nesterov else v[k]
        w[k] = w[k] - decay * w[k] + move


@compiled_parallel
def _step_loops(w, g, v, learning_rate, decay, momentum, nesterov):
    for run in prange((w.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, w.size)
        if v.size:
            _roll(
                w[first:last], g[first:last], v[first:last],
                learning_rate, decay, momentum, nesterov,
            )  # fmt: skip
        else:
            _descend(w[first:last], g[first:last], learning_rate, decay)


def _step_cpu(w, g, v, learning_rate, decay, momentum, nesterov):
    number = w.dtype.type  # float64 settings would make float32 arithmetic twice as slow
    _step_loops(w, g, v, number(learning_rate), number(decay), number(momentum), nesterov)


def _step_gpu(w, g, v, learning_rate, decay, momentum, nesterov):
    settings = map(float, (learning_rate, decay, momentum))
    args = w, g, v if v.size else None, *settings, nesterov, w.size
    cuda.launch("sgd", "step", cuda.blocks(w.size), 256, *args)


# step(w, g, v, learning_rate, decay, momentum, nesterov): v has the size of w, or 0 for no velocity
step = Kernel("sgd.step", reference=_step_reference, cpu=_step_cpu, gpu=_step_gpu)
