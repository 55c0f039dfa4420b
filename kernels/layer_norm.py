"""Layer normalisation: each row is given the mean 0 and the spread 1, then a line per number.

    y[r,c] = xhat[r,c] * gamma[c] + beta[c]                                      forward

    where  xhat[r,c] = (x[r,c] - mean[r]) * rate[r]
           mean[r]   = sum over c of  x[r,c] / C
           rate[r]   = 1 / sqrt(sum over c of  (x[r,c] - mean[r])^2 / C + epsilon)

    g[r,c]    = dy[r,c] * gamma[c]                                               backward
    dx[r,c]   = (g[r,c] - sum over c of g[r,c] / C
                 - xhat[r,c] * sum over c of g[r,c] * xhat[r,c] / C) * rate[r]
    sums[0,c] = sum over r of  dy[r,c]
    sums[1,c] = sum over r of  dy[r,c] * xhat[r,c]

A row lies in the fastest cache while it is worked on, so backward computes mean and rate anew,
rather than fetch them, and all its results together. All sums are in float64, whatever x is.

Work:     a few small passes over each row; only the first one fetches it from memory.
Threads:  one prange step owns a run of rows; its part of `sums` has a place of its own, and they
          are added up in order. The runs are cut the same way whatever the number of threads.
Versions: NumPy reference, Numba loops, CUDA (layer_norm.cu).
"""

import numpy as np
from numba import prange

from . import cuda, sum_rows
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

RUN = 1 << 14  # numbers per prange step, about: enough to outweigh starting it


def _xhat_reference(x, epsilon):
    x = x.astype(np.float64)
    mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon), 1 / np.sqrt(variance + epsilon)


def _forward_reference(x, gamma, beta, epsilon):
    xhat, _ = _xhat_reference(x, epsilon)
    return (xhat * gamma + beta).astype(x.dtype)


def _backward_reference(dy, x, gamma, epsilon):
    xhat, rate = _xhat_reference(x, epsilon)
    dy = dy.astype(np.float64)
    g = dy * gamma
    shift, stretch = g.mean(axis=1, keepdims=True), (g * xhat).mean(axis=1, keepdims=True)
    dx = (g - shift - xhat * stretch) * rate
    return dx.astype(x.dtype), np.stack([dy.sum(axis=0), (dy * xhat).sum(axis=0)])


@compiled
def _moments(x, begin, end, epsilon):
    """Mean and rate of a row; four sums side by side, as each waits for its last addition."""
    a = b = c = d = np.float64(0)
    at, size = begin, np.float64(end - begin)
    while at + np.uint64(4) <= end:
        a += x[at]
        b += x[at + np.uint64(1)]
        c += x[at + np.uint64(2)]
        d += x[at + np.uint64(3)]
        at += np.uint64(4)
    while at < end:
        a += x[at]
        at += np.uint64(1)
    mean = ((a + b) + (c + d)) / size
    a = b = c = d = np.float64(0)
    at = begin
    while at + np.uint64(4) <= end:
        a += (x[at] - mean) ** 2
        b += (x[at + np.uint64(1)] - mean) ** 2
        c += (x[at + np.uint64(2)] - mean) ** 2
        d += (x[at + np.uint64(3)] - mean) ** 2
        at += np.uint64(4)
    while at < end:
        a += (x[at] - mean) ** 2
        at += np.uint64(1)
    return mean, 1 / np.sqrt(((a + b) + (c + d)) / size + epsilon)


@compiled
def _products(dy, x, begin, gamma, mean):
    """The sums of g and of g * (x - mean) over a row, two of each side by side."""
    a = b = c = d = np.float64(0)
    k, size = np.uint64(0), np.uint64(gamma.size)
    while k + np.uint64(2) <= size:
        one, two = k, k + np.uint64(1)
        g, h = dy[begin + one] * gamma[one], dy[begin + two] * gamma[two]
        a += g
        b += h
        c += g * (x[begin + one] - mean)
        d += h * (x[begin + two] - mean)
        k += np.uint64(2)
    if k < size:
        g = dy[begin + k] * gamma[k]
        a += g
        c += g * (x[begin + k] - mean)
    return a + b, c + d


@compiled_parallel
def _forward_runs(x, gamma, beta, epsilon, rows, y):
    C = np.uint64(gamma.size)
    R = x.size // gamma.size
    for run in prange((R + rows - 1) // rows):
        for r in range(run * rows, min((run + 1) * rows, R)):
            begin = np.uint64(r) * C
            mean, rate = _moments(x, begin, begin + C, epsilon)
            for c in range(C):
                y[begin + c] = (x[begin + c] - mean) * rate * gamma[c] + beta[c]


@compiled_parallel
def _backward_runs(dy, x, gamma, epsilon, rows, dx, results):
    C = np.uint64(gamma.size)
    R = x.size // gamma.size
    for run in prange(results.shape[0]):
        sums, products = results[run, 0], results[run, 1]
        for r in range(run * rows, min((run + 1) * rows, R)):
            begin = np.uint64(r) * C
            mean, rate = _moments(x, begin, begin + C, epsilon)
            total, product = _products(dy, x, begin, gamma, mean)
            shift, stretch = total / gamma.size, product * rate / gamma.size
            for c in range(C):
                slope, xhat = dy[begin + c], (x[begin + c] - mean) * rate
                dx[begin + c] = (slope * gamma[c] - shift - xhat * stretch) * rate
                sums[c] += slope
                products[c] += slope * xhat


def _rows(C):
    """How many rows a run has."""
    return max(1, RUN // C)


def _forward_cpu(x, gamma, beta, epsilon):
    y = empty(x.shape, x.dtype)
    _forward_runs(x.reshape(-1), gamma, beta, float(epsilon), _rows(len(gamma)), y.reshape(-1))
    return y


def _backward_cpu(dy, x, gamma, epsilon):
    (R, C), dx = x.shape, empty(x.shape, x.dtype)
    results = np.zeros((-(-R // _rows(C)), 2, C))
    flat = dy.reshape(-1), x.reshape(-1)
    _backward_runs(*flat, gamma, float(epsilon), _rows(C), dx.reshape(-1), results)
    return dx, results.sum(axis=0)


def _forward_gpu(x, gamma, beta, epsilon):
    y = cuda.empty(x.shape, x.dtype, like=x)
    args = x, gamma, beta, y, np.float64(epsilon), *x.shape
    cuda.launch("layer_norm", "forward", cuda.blocks(len(x), 8), 256, *args)  # 8 warps
    return y


def _backward_gpu(dy, x, gamma, epsilon):
    (R, C), dx = x.shape, cuda.empty(x.shape, x.dtype, like=x)
    moments = cuda.empty((R, 3), x.dtype, like=x)
    args = dy, x, gamma, dx, moments, np.float64(epsilon), R, C
    cuda.launch("layer_norm", "input_grad", cuda.blocks(R, 8), 256, *args)
    rows = sum_rows.rows_per_chunk(R)
    chunks = -(-R // rows)
    partials = cuda.empty((chunks, 2 * C), np.float64, like=x)
    grid = chunks, cuda.blocks(C, 32)
    cuda.launch("layer_norm", "sums", grid, (32, 8), dy, x, moments, partials, R, C, rows)
    return dx, sum_rows.forward(partials).reshape(2, C)


# x and dy (R, C), gamma and beta (C,)
forward = Kernel(
    "layer_norm.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
backward = Kernel(
    "layer_norm.backward", reference=_backward_reference, cpu=_backward_cpu, gpu=_backward_gpu
)
