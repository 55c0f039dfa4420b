"""Adam: every weight has a step size of its own, from running means of its gradient and its square.

    w -= decay * w                     weight decay, 0 for none
    m += (1 - beta_1) * (g - m)        mean of the latest gradients
    v += (1 - beta_2) * (g^2 - v)      mean of their squares
    w -= alpha * m / (sqrt(v) + epsilon)

    with the correction for starting at m = v = 0 in step t = 1, 2, ...

    alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)        made by the caller

    amsgrad:  top = max(top, v)  stands in the place of v in the last line

All arrays are flat and hold all weights of a model, side by side. w, m, v and top are updated in
place: the one exception to "kernels leave their arrays as they are", because copies would cost as
much as the step itself.

Work:     a square root and a division per number, the rest hides behind memory: 4 arrays are read
          and 3 written, each once. NumPy needs about 14 passes.
Threads:  one prange step owns a run of neighbouring numbers in all arrays, and no two runs overlap.
Versions: NumPy reference, a pass per operation; Numba loops, one pass, CUDA (adam.cu).
Source:   Kingma and Ba 2015, arXiv:1412.6980; amsgrad: Reddi et al. 2018, arXiv:1904.09237.
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _step_reference(w, g, m, v, top, alpha, decay, beta_1, beta_2, epsilon):
    w -= decay * w
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    if top.size:
        np.maximum(top, v, out=top)
    w -= alpha * m / (np.sqrt(top if top.size else v) + epsilon)


@compiled
def _adapt(w, g, m, v, alpha, decay, rate_1, rate_2, epsilon):
    for k in range(w.size):
        m[k] += rate_1 * (g[k] - m[k])
        v[k] += rate_2 * (g[k] * g[k] - v[k])
        w[k] = w[k] - decay * w[k] - alpha * m[k] / (np.sqrt(v[k]) + epsilon)


@compiled
def _adapt_amsgrad(w, g, m, v, top, alpha, decay, rate_1, rate_2, epsilon):
    for k in range(w.size):
        m[k] += rate_1 * (g[k] - m[k])
        v[k] += rate_2 * (g[k] * g[k] - v[k])
        top[k] = max(top[k], v[k])
        w[k] = w[k] - decay * w[k] - alpha * m[k] / (np.sqrt(top[k]) + epsilon)


@compiled_parallel
def _step_loops(w, g, m, v, top, alpha, decay, rate_1, rate_2, epsilon):
    for run in prange((w.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, w.size)
        if top.size:
            _adapt_amsgrad(
                w[first:last], g[first:last], m[first:last], v[first:last], top[first:last],
                alpha, decay, rate_1, rate_2, epsilon,
            )  # fmt: skip
        else:
            _adapt(
                w[first:last], g[first:last], m[first:last], v[first:last],
                alpha, decay, rate_1, rate_2, epsilon,
            )  # fmt: skip


def _step_cpu(w, g, m, v, top, alpha, decay, beta_1, beta_2, epsilon):
    settings = (alpha, decay, 1 - beta_1, 1 - beta_2, epsilon)
    number = w.dtype.type  # float64 settings would make float32 arithmetic twice as slow
    _step_loops(w, g, m, v, top, *(number(setting) for setting in settings))


def _step_gpu(w, g, m, v, top, alpha, decay, beta_1, beta_2, epsilon):
    settings = map(float, (alpha, decay, 1 - beta_1, 1 - beta_2, epsilon))
    args = w, g, m, v, top if top.size else None, *settings, w.size
    cuda.launch("adam", "step", cuda.blocks(w.size), 256, *args)


# step(w, g, m, v, top, alpha, decay, beta_1, beta_2, epsilon): top has the size of w, or 0: none
step = Kernel("adam.step", reference=_step_reference, cpu=_step_cpu, gpu=_step_gpu)
