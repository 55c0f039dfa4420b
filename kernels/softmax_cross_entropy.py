"""Softmax cross-entropy: the loss of a row of scores against a row of target probabilities.

    loss[n] = sum over k of  t[n,k] * (log S[n] - (x[n,k] - m[n]))                  forward
    dx[n,k] = dloss[n] * (T[n] * e^(x[n,k] - m[n]) / S[n] - t[n,k])                 backward

    where  m[n] = max over k of x[n,k],   S[n] = sum over k of e^(x[n,k] - m[n]),
           T[n] = sum over k of t[n,k],   which is 1 for probabilities.

log S - (x - m) is -log softmax(x). Subtracting m changes nothing in it, but keeps e^x from
overflowing; and no probability is ever rounded to 0 before its logarithm is taken. Classes with
t = 0 are left out of the loss, so that a score of -inf is no NaN there. The sums are of float64.

Work:     N * K exponentials.
Threads:  none: there are only N * K numbers, too few to be worth sharing out.
Versions: NumPy reference, Numba loops, CUDA (softmax_cross_entropy.cu), a warp per row.
"""

import math

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel


def _forward_reference(x, t):
    x, t = x.astype(np.float64), t.astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(x).sum(axis=1, keepdims=True)) - x  # -log softmax(x)
    return np.where(t == 0, 0, t * surprise).sum(axis=1)


def _backward_reference(dloss, x, t):
    x, t = x.astype(np.float64), t.astype(np.float64)
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return dloss[:, None] * (t.sum(axis=1, keepdims=True) * p - t)


@compiled
def _largest_and_sum(scores):
    """The largest score, and the sum of e^(score - largest), which is NaN if any score is."""
    largest = scores[0]
    for score in scores:
        largest = max(largest, score)
    total = 0.0
    for score in scores:
        total += math.exp(score - largest)
    return largest, total


@compiled
def _forward_loops(x, t, loss):
    N, K = x.shape
    for n in range(N):
        largest, total = _largest_and_sum(x[n])
        log_total = math.log(total)
        surprise = 0.0
        for k in range(K):
            if t[n, k] != 0:
                surprise += t[n, k] * (log_total - (x[n, k] - largest))
        loss[n] = surprise


@compiled
def _backward_loops(dloss, x, t, dx):
    N, K = x.shape
    for n in range(N):
        largest, total = _largest_and_sum(x[n])
        truth = 0.0
        for k in range(K):
            truth += t[n, k]
        for k in range(K):
            p = math.exp(x[n, k] - largest) / total
            dx[n, k] = dloss[n] * (truth * p - t[n, k])


def _forward_cpu(x, t):
    loss = np.empty(len(x), x.dtype)
    _forward_loops(x, t, loss)
    return loss


def _backward_cpu(dloss, x, t):
    dx = np.empty(x.shape, x.dtype)
    _backward_loops(dloss, x, t, dx)
    return dx


def _forward_gpu(x, t):
    loss = cuda.empty((len(x),), x.dtype, like=x)
    args = x, t.astype(x.dtype, copy=False), loss, *x.shape
    cuda.launch("softmax_cross_entropy", "forward", cuda.blocks(len(x), 8), 256, *args)  # 8 warps
    return loss


def _backward_gpu(dloss, x, t):
    dx = cuda.empty(x.shape, x.dtype, like=x)
    args = dloss, x, t.astype(x.dtype, copy=False), dx, *x.shape
    cuda.launch("softmax_cross_entropy", "backward", cuda.blocks(len(x), 8), 256, *args)
    return dx


forward = Kernel(
    "softmax_cross_entropy.forward",
    reference=_forward_reference,
    cpu=_forward_cpu,
    gpu=_forward_gpu,
)
backward = Kernel(
    "softmax_cross_entropy.backward",
    reference=_backward_reference,
    cpu=_backward_cpu,
    gpu=_backward_gpu,
)
