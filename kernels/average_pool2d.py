"""Average pooling of NHWC images: the mean of every window, and the way back.

    y[n,i,j,c]  = sum over h, w of  x[n,h,w,c] / count[i,j]       forward
    dx[n,h,w,c] = sum over i, j of dy[n,i,j,c] / count[i,j]       spread

Window i, j: every  h = s*i + p - top  and  w = t*j + q - left  inside the image; count[i,j] is how
many there are, so that padding does not count. Letters as in conv2d.py.

Work:     N*I*J * P*Q * C additions.
Threads:  one prange step owns a row of windows of one image in `forward`, and one whole image in
          `spread`: windows overlap, but not those of two images.
Versions: NumPy reference, Numba loops. CUDA (average_pool2d.cu).
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel, compiled_part
from .kernel import Kernel
from .max_pool2d import pooled
from .memory import empty
from .runs import clear_run


def _spans(size, count, window, stride, before):
    """Where each window begins and ends in the image, along one axis."""
    begin = np.arange(count) * stride - before
    return np.maximum(begin, 0), np.minimum(begin + window, size)


def _forward_reference(x, window, strides, padding):
    N, H, W, C = x.shape
    shape, (*_, I, J) = pooled(x.shape, window, strides, padding)
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


@compiled_part
def average_row(x, at_x, y, at_y, i, size, pooling):
    """Row i of windows of one image; x and y are flat, as in max_pool2d.pool_row.

    at_x, at_y: where the image begins in x, and the row in y.
    size: (H, W, C) of the image.
    pooling: (P, Q, s, t, top, left, I, J).
    """
    H, W, C = size
    P, Q, s, t, top, left, _, J = pooling
    channels = range(np.uint64(C))
    h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
    for j in range(J):
        w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
        here = np.uint64(at_y + j * C)
        if h_end - h_begin == 2 and w_end - w_begin == 2:
            _average_four(x, at_x + (h_begin * W + w_begin) * C, W, C, y, here)
            continue
        for c in channels:
            y[here + c] = 0
        for h in range(h_begin, h_end):
            for w in range(w_begin, w_end):
                there = np.uint64(at_x + (h * W + w) * C)
                for c in channels:
                    y[here + c] += x[there + c]
        count = y.dtype.type((h_end - h_begin) * (w_end - w_begin))
        for c in channels:
            y[here + c] /= count


@compiled
def _average_four(x, first, W, C, y, here):
    """The commonest window, 2 x 2 pixels, which begin at x[first]: they stay in registers."""
    one, below = np.uint64(first), np.uint64(first + W * C)
    two, last = one + np.uint64(C), below + np.uint64(C)
    quarter = y.dtype.type(0.25)
    for c in range(np.uint64(C)):
        y[here + c] = (x[one + c] + x[two + c] + x[below + c] + x[last + c]) * quarter


@compiled_parallel
def _forward_loops(x, y, size, pooling):
    H, W, C = size
    I, J = pooling[6], pooling[7]
    for row in prange(y.size // (J * C)):
        average_row(x, row // I * H * W * C, y, row * J * C, row % I, size, pooling)


@compiled_parallel
def _spread_loops(dy, dx, size, pooling):
    H, W, C = size
    P, Q, s, t, top, left, I, J = pooling
    for n in prange(dx.size // (H * W * C)):
        clear_run(dx, n * H * W * C, H * W * C)
        for i in range(I):
            h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
            for j in range(J):
                w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
                share = dy.dtype.type(1 / ((h_end - h_begin) * (w_end - w_begin)))
                here = np.uint64(((n * I + i) * J + j) * C)
                for h in range(h_begin, h_end):
                    for w in range(w_begin, w_end):
                        there = np.uint64(((n * H + h) * W + w) * C)
                        for c in range(np.uint64(C)):
                            dx[there + c] += dy[here + c] * share


def _forward_cpu(x, window, strides, padding):
    shape, pooling = pooled(x.shape, window, strides, padding)
    y = empty(shape, x.dtype)
    if y.size:
        _forward_loops(x.reshape(-1), y.reshape(-1), x.shape[1:], pooling)
    return y


def _spread_cpu(dy, x_shape, window, strides, padding):
    _, pooling = pooled(x_shape, window, strides, padding)
    dx = empty(x_shape, dy.dtype)
    if dx.size:
        _spread_loops(dy.reshape(-1), dx.reshape(-1), x_shape[1:], pooling)
    return dx


def _forward_gpu(x, window, strides, padding):
    shape, pooling = pooled(x.shape, window, strides, padding)
    y = cuda.empty(shape, x.dtype, x)
    return _launched("forward", x, y, (*x.shape, *pooling))


def _spread_gpu(dy, x_shape, window, strides, padding):
    _, pooling = pooled(x_shape, window, strides, padding)
    dx = cuda.empty(x_shape, dy.dtype, dy)
    return _launched("spread", dy, dx, (*x_shape, *pooling))


def _launched(function, given, result, sizes):
    """`result`, filled in: a thread for each of its numbers."""
    if result.size:
        grid = cuda.blocks(result.size)
        name = f"average_pool2d_{function}"
        cuda.launch("average_pool2d", name, grid, (256,), given, result, *sizes)
    return result


forward = Kernel(
    "average_pool2d.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
spread = Kernel(
    "average_pool2d.spread", reference=_spread_reference, cpu=_spread_cpu, gpu=_spread_gpu
)
