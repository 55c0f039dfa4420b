"""The probability that a standard normal random number is smaller than x.

    y = P(Z < x) = erfc(-x / sqrt(2)) / 2                                           forward

erfc(z) = 1 - erf(z) is computed as it is, and not by subtracting: for x far below 0 the result is
tiny, and the difference of two numbers near 1 would have lost all its digits.

Work:     one erfc per number, about 20 multiplications.
Threads:  one prange step owns a run of neighbouring numbers.
Versions: NumPy reference, Numba loops, CUDA (normal_cdf.cu).
"""

import math

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

RUN = 1 << 12  # numbers per prange step: enough to outweigh starting it


def _forward_reference(x):
    y = [math.erfc(-number / math.sqrt(2)) / 2 for number in x.reshape(-1).tolist()]
    return np.array(y).reshape(x.shape)


@compiled
def _forward_run(x, y, run):
    for k in range(run * RUN, min((run + 1) * RUN, x.size)):
        y[k] = math.erfc(-np.float64(x[k]) * math.sqrt(0.5)) / 2


@compiled_parallel
def _forward_runs(x, y):
    for run in prange((x.size + RUN - 1) // RUN):
        _forward_run(x, y, run)


def _forward_cpu(x):
    y = empty(x.shape, x.dtype)
    if x.size <= RUN:
        _forward_run(x.reshape(-1), y.reshape(-1), 0)  # too little work to share out
    else:
        _forward_runs(x.reshape(-1), y.reshape(-1))
    return y


def _forward_gpu(x):
    y = cuda.empty(x.shape, x.dtype, like=x)
    cuda.launch("normal_cdf", "forward", cuda.blocks(x.size), 256, x, y, x.size)
    return y


forward = Kernel(
    "normal_cdf.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
