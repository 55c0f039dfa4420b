"""Max pooling of NHWC images: find the largest pixel of a window, then read it or write to it.

    where[n,i,j,c]            = h*W + w  of the largest  x[n,h,w,c]  in window i, j  forward
    y[n,i,j,c]                = x[n, where[n,i,j,c], c]                              forward, gather
    dx[n, where[n,i,j,c], c] += dy[n,i,j,c]                                          scatter

Window i, j: every  h = s*i + p - top  and  w = t*j + q - left  inside the image.

Letters as in conv2d.py. h*W + w is the number of a pixel in its image, so that gather and scatter
need to know nothing of windows. Of equal pixels the first wins; the first NaN beats everything.
`forward` can cut y off below zero on the way: a relu before the pooling would give the same y, but
it would have several times as many numbers to look at.

Work:     N*I*J * P*Q * C comparisons; N*I*J * C copies.
Threads:  one prange step owns a row of windows of one image in `forward` and `gather`, and one
          whole image in `scatter`: windows overlap, but not those of two images.
Versions: NumPy reference, Numba loops. To come: CUDA (max_pool2d.cu).
"""

import numpy as np
from numba import prange

from .compiling import compiled_parallel
from .kernel import Kernel
from .memory import empty


def _forward_reference(x, window, relu, strides, padding):
    _, _, W, _ = x.shape
    _, Q = window
    (s, t), ((top, _), (left, _)) = strides, padding
    bordered = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(bordered, window, axis=(1, 2))[:, ::s, ::t]
    pixels = views.reshape(*views.shape[:4], -1)
    inside = np.pad(np.ones(x.shape), ((0, 0), *padding, (0, 0)))
    inside = np.lib.stride_tricks.sliding_window_view(inside, window, axis=(1, 2))[:, ::s, ::t]
    inside = inside.reshape(pixels.shape) > 0
    largest = pixels.max(axis=-1, keepdims=True)
    wins = inside & ((pixels == largest) | np.isnan(pixels))  # padding never wins, even over -inf
    p, q = np.divmod(wins.argmax(axis=-1), Q)  # (N, I, J, C)
    _, i, j, _ = np.indices(p.shape, sparse=True)
    where = ((s * i + p - top) * W + (t * j + q - left)).astype(np.int32)
    y = _gather_reference(x, where)
    return np.where(y < 0, 0, y).astype(x.dtype) if relu else y, where


def _gather_reference(x, where):
    N, H, W, C = x.shape
    y = np.take_along_axis(x.reshape(N, H * W, C), where.reshape(N, -1, C), axis=1)
    return y.reshape(where.shape)


def _scatter_reference(dy, where, x_shape):
    N, H, W, C = x_shape
    dx = np.zeros((N, H * W, C), dy.dtype)
    for n, i, j, c in np.ndindex(where.shape):
        dx[n, where[n, i, j, c], c] += dy[n, i, j, c]
    return dx.reshape(x_shape)


@compiled_parallel
def _forward_loops(x, y, where, floor, window, strides, corner):
    N, H, W, C = x.shape
    _, I, J, _ = y.shape
    (P, Q), (s, t), (top, left) = window, strides, corner
    for row in prange(N * I):
        n, i = row // I, row % I
        h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
        for j in range(J):
            w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
            best, winner = y[n, i, j], where[n, i, j]
            for c in range(C):
                best[c] = x[n, h_begin, w_begin, c]
                winner[c] = h_begin * W + w_begin
            for h in range(h_begin, h_end):
                for w in range(w_begin, w_end):
                    for c in range(C):
                        # `not <=` is true for a NaN in x; `best == best` is false for one in best
                        larger = not (x[n, h, w, c] <= best[c]) and best[c] == best[c]
                        winner[c] = h * W + w if larger else winner[c]
                        best[c] = x[n, h, w, c] if larger else best[c]
            for c in range(C):
                best[c] = floor if best[c] < floor else best[c]


@compiled_parallel
def _gather_loops(x, where, y):
    N, I, J, C = where.shape
    for row in prange(N * I):
        n, i = row // I, row % I
        for j in range(J):
            for c in range(C):
                y[n, i, j, c] = x[n, where[n, i, j, c], c]


@compiled_parallel
def _scatter_loops(dy, where, dx):
    N, I, J, C = where.shape
    for n in prange(N):
        dx[n] = 0
        for i in range(I):
            for j in range(J):
                for c in range(C):
                    dx[n, where[n, i, j, c], c] += dy[n, i, j, c]


def _forward_cpu(x, window, relu, strides, padding):
    N, H, W, C = x.shape
    (P, Q), (s, t), ((top, bottom), (left, right)) = window, strides, padding
    shape = (N, (top + H + bottom - P) // s + 1, (left + W + right - Q) // t + 1, C)
    y, where = empty(shape, x.dtype), empty(shape, np.int32)
    floor = x.dtype.type(0 if relu else -np.inf)
    _forward_loops(x, y, where, floor, window, strides, (top, left))
    return y, where


def _gather_cpu(x, where):
    N, H, W, C = x.shape
    y = empty(where.shape, x.dtype)
    _gather_loops(x.reshape(N, H * W, C), where, y)
    return y


def _scatter_cpu(dy, where, x_shape):
    N, H, W, C = x_shape
    dx = empty(x_shape, dy.dtype)
    _scatter_loops(dy, where, dx.reshape(N, H * W, C))
    return dx


forward = Kernel("max_pool2d.forward", reference=_forward_reference, cpu=_forward_cpu)
gather = Kernel("max_pool2d.gather", reference=_gather_reference, cpu=_gather_cpu)
scatter = Kernel("max_pool2d.scatter", reference=_scatter_reference, cpu=_scatter_cpu)
