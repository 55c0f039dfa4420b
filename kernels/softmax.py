"""Softmax: the scores of a row become probabilities.

    y[n,k] = e^(x[n,k] - m[n]) / S[n]                                        forward

    where  m[n] = max over k of x[n,k],   S[n] = sum over k of e^(x[n,k] - m[n]).

Subtracting m changes nothing in y, but keeps e^x from overflowing. The sums are of float64.

Work:     N * K exponentials.
Threads:  none: there are only N * K numbers, too few to be worth sharing out.
Versions: NumPy reference, Numba loops, CUDA (softmax.cu), a warp per row.
"""

import math

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel
from .memory import empty


def _forward_reference(x):
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return y / y.sum(axis=1, keepdims=True)


@compiled
def softmax_rows(x, y, begin, end, K):
    """Rows from `begin` to `end` of x and y, which are flat; they may be the same array."""
    for row in range(begin, end):
        at = row * K
        largest = x[at]
        for k in range(at, at + K):
            if not x[k] <= largest:  # larger, or the first NaN
                largest = x[k]
        total = 0.0
        for k in range(at, at + K):
            power = math.exp(x[k] - largest)
            y[k] = power
            total += power
        for k in range(at, at + K):
            y[k] = y[k] / total


def _forward_cpu(x):
    y = empty(x.shape, x.dtype)
    if y.size:
        softmax_rows(x.reshape(-1), y.reshape(-1), 0, *x.shape)
    return y


def _forward_gpu(x):
    y = cuda.empty(x.shape, x.dtype, like=x)
    if y.size:
        cuda.launch("softmax", "forward", cuda.blocks(len(x), 8), 256, x, y, *x.shape)  # 8 warps
    return y


forward = Kernel(
    "softmax.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
