"""Average pooling of NHWC images: the mean of every window, and the way back.

    y[n,i,j,c]  = sum over h, w of  x[n,h,w,c] / count[i,j]       forward
    dx[n,h,w,c] = sum over i, j of dy[n,i,j,c] / count[i,j]       spread

Window i, j: every  h = s*i + p - top  and  w = t*j + q - left  inside the image; count[i,j] is how
many there are, so that padding does not count. Letters as in conv2d.py.

Work:     N*I*J * P*Q * C additions.
Threads:  one prange step owns a row of windows of one image in `forward`, and one whole image in
          `spread`: windows overlap, but not those of two images.
Versions: NumPy reference, Numba loops. To come: CUDA (average_pool2d.cu).
"""

import numpy as np
from numba import prange

from .compiling import compiled_parallel
from .kernel import Kernel
from .memory import empty


def _spans(size, count, window, stride, before):
    """Where each window begins and ends in the image, along one axis."""
    begin = np.arange(count) * stride - before
    return np.maximum(begin, 0), np.minimum(begin + window, size)


def _forward_reference(x, window, strides, padding):
    N, H, W, C = x.shape
    _, I, J, _ = shape = _pooled_shape(x.shape, window, strides, padding)
    y = np.empty(shape, x.dtype)
    rows = _spans(H, I, window[0], strides[0], padding[0][0])
    columns = _spans(W, J, window[1], strides[1], padding[1][0])
    for i, j in np.ndindex(I, J):
        pixels = x[:, rows[0][i] : rows[1][i], columns[0][j] : columns[1][j]]
        y[:, i, j] = pixels.mean(axis=(1, 2))
    return y


def _spread_reference(dy, x_shape, window, strides, padding):
    _, H, W, _ = x_shape
    _, I, J, _ = dy.shape
    dx = np.zeros(x_shape, dy.dtype)
    rows = _spans(H, I, window[0], strides[0], padding[0][0])
    columns = _spans(W, J, window[1], strides[1], padding[1][0])
    for i, j in np.ndindex(I, J):
        pixels = dx[:, rows[0][i] : rows[1][i], columns[0][j] : columns[1][j]]
        pixels += (dy[:, i, j] / (pixels.shape[1] * pixels.shape[2]))[:, None, None]
    return dx


def _pooled_shape(x_shape, window, strides, padding):
    N, H, W, C = x_shape
    (P, Q), (s, t), ((top, bottom), (left, right)) = window, strides, padding
    return (N, (top + H + bottom - P) // s + 1, (left + W + right - Q) // t + 1, C)


@compiled_parallel
def _forward_loops(x, y, window, strides, corner):
    N, H, W, C = x.shape
    _, I, J, _ = y.shape
    (P, Q), (s, t), (top, left) = window, strides, corner
    for row in prange(N * I):
        n, i = row // I, row % I
        h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
        for j in range(J):
            w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
            mean = y[n, i, j]
            mean[:] = 0
            for h in range(h_begin, h_end):
                for w in range(w_begin, w_end):
                    for c in range(C):
                        mean[c] += x[n, h, w, c]
            count = (h_end - h_begin) * (w_end - w_begin)
            for c in range(C):
                mean[c] /= count


@compiled_parallel
def _spread_loops(dy, dx, window, strides, corner):
    N, H, W, C = dx.shape
    _, I, J, _ = dy.shape
    (P, Q), (s, t), (top, left) = window, strides, corner
    for n in prange(N):
        dx[n] = 0
        for i in range(I):
            h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
            for j in range(J):
                w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
                count = (h_end - h_begin) * (w_end - w_begin)
                for h in range(h_begin, h_end):
                    for w in range(w_begin, w_end):
                        for c in range(C):
                            dx[n, h, w, c] += dy[n, i, j, c] / count


def _forward_cpu(x, window, strides, padding):
    y = empty(_pooled_shape(x.shape, window, strides, padding), x.dtype)
    (top, _), (left, _) = padding
    _forward_loops(x, y, window, strides, (top, left))
    return y


def _spread_cpu(dy, x_shape, window, strides, padding):
    dx = empty(x_shape, dy.dtype)
    (top, _), (left, _) = padding
    _spread_loops(dy, dx, window, strides, (top, left))
    return dx


forward = Kernel("average_pool2d.forward", reference=_forward_reference, cpu=_forward_cpu)
spread = Kernel("average_pool2d.spread", reference=_spread_reference, cpu=_spread_cpu)
