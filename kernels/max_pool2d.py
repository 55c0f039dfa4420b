"""Max pooling of NHWC images: find the largest pixel of a window, then read it or write to it.

    where[n,i,j,c]            = h*W + w  of the largest  x[n,h,w,c]  in window i, j  forward
    y[n,i,j,c]                = x[n, where[n,i,j,c], c]                              forward, gather
    dx[n, where[n,i,j,c], c] += dy[n,i,j,c]                                          scatter

Window i, j: every  h = s*i + p - top  and  w = t*j + q - left  inside the image.

Letters as in conv2d.py. h*W + w is the number of a pixel in its image, so that gather and scatter
need to know nothing of windows. Of equal pixels the first wins; the first NaN beats everything.

Work:     N*I*J * P*Q * C comparisons; N*I*J * C copies.
Threads:  one prange step owns a row of windows of one image in `forward` and `gather`, and one
          whole image in `scatter`: windows overlap, but not those of two images.
Versions: NumPy reference, Numba loops over vectors of channels (largest.py), CUDA (max_pool2d.cu).
"""

import numpy as np
from numba import prange

from . import cuda
from .compiling import compiled_parallel, compiled_part
from .kernel import Kernel
from .largest import largest
from .memory import empty
from .registers import VECTOR_BYTES


def _forward_reference(x, window, strides, padding):
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
    return _gather_reference(x, where), where


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


@compiled_part
def pool_row(x, at_x, y, where, at_y, i, floor, size, pooling, own):
    """Row i of windows of one image, for some of the channels; x, y and where are flat.

    where: may be None: nobody asks whose numbers they are.
    floor: results below it become it; NaN stays NaN.
    at_x, at_y: where the image begins in x, and the row in y and where.
    size: (H, W, C, down) of the image; `down`: how many pixels a row counts in where, as a rule W.
    pooling: (P, Q, s, t, top, left, I, J).
    own: from which channel to which one.
    """
    (H, W, C, down), (begin, end) = size, own
    P, Q, s, t, top, left, _, J = pooling
    LANES = VECTOR_BYTES // x.itemsize
    vectors = (end - begin) // LANES
    whole = begin + vectors * LANES
    h_begin, h_end = max(s * i - top, 0), min(s * i - top + P, H)
    for j in range(J):
        w_begin, w_end = max(t * j - left, 0), min(t * j - left + Q, W)
        first, window = h_begin * down + w_begin, (h_end - h_begin, w_end - w_begin)
        at, here = at_x + (h_begin * W + w_begin) * C, at_y + j * C
        if window == (2, 2):  # for which LLVM leaves no loop over the window
            for v in range(vectors):
                c = begin + v * LANES
                largest(x, at + c, (2, 2), (W, C, down), first, y, where, here + c, floor, False)
        else:
            for v in range(vectors):
                c = begin + v * LANES
                largest(x, at + c, window, (W, C, down), first, y, where, here + c, floor, False)
        for c in range(whole, end):
            largest(x, at + c, window, (W, C, down), first, y, where, here + c, floor, True)


@compiled_parallel
def _forward_loops(x, y, where, floor, size, pooling):
    H, W, C = size
    I, J = pooling[6], pooling[7]
    for row in prange(y.size // (J * C)):
        at_x, at_y = row // I * H * W * C, row * J * C
        pool_row(x, at_x, y, where, at_y, row % I, floor, (H, W, C, W), pooling, (0, C))


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


def pooled(x_shape, window, strides, padding):
    """The shape of y, and (P, Q, s, t, top, left, I, J)."""
    N, H, W, C = x_shape
    (P, Q), (s, t), ((top, bottom), (left, right)) = window, strides, padding
    I, J = (top + H + bottom - P) // s + 1, (left + W + right - Q) // t + 1
    return (N, I, J, C), (P, Q, s, t, top, left, I, J)


def _forward_cpu(x, window, strides, padding):
    shape, pooling = pooled(x.shape, window, strides, padding)
    y, where = empty(shape, x.dtype), empty(shape, np.int32)
    floor = x.dtype.type(-np.inf)
    if y.size:
        flat = (x.reshape(-1), y.reshape(-1), where.reshape(-1))
        _forward_loops(*flat, floor, x.shape[1:], pooling)
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


BANDS = 8  # of the pixels of an image in `scatter`, as in max_pool2d.cu


def pooled_gpu(x, window, placement, floor):
    """As `forward`; what is below `floor` becomes it."""
    shape, pooling = pooled(x.shape, window, *placement)
    y, where = cuda.empty(shape, x.dtype, x), cuda.empty(shape, np.int32, x)
    if y.size:
        given = (x, y, where, x.dtype.type(floor), *x.shape, *pooling)
        cuda.launch("max_pool2d", "max_pool2d_forward", cuda.blocks(y.size), (256,), *given)
    return y, where


def _forward_gpu(x, window, strides, padding):
    return pooled_gpu(x, window, (strides, padding), -np.inf)


def _gather_gpu(x, where):
    y = cuda.empty(where.shape, x.dtype, x)
    if y.size:
        _launch("gather", y.size, (x, where, y), x.shape, where.shape)
    return y


def _scatter_gpu(dy, where, x_shape):
    dx = cuda.empty(x_shape, dy.dtype, dy)
    if dx.size:
        threads = x_shape[0] * BANDS * x_shape[3]
        _launch("scatter", threads, (dy, where, dx), x_shape, where.shape)
    return dx


def _launch(function, threads, arrays, x_shape, y_shape):
    (N, H, W, C), (_, I, J, _) = x_shape, y_shape
    given = (*arrays, N, H * W, I * J, C)
    cuda.launch("max_pool2d", f"max_pool2d_{function}", cuda.blocks(threads), (256,), *given)


forward = Kernel(
    "max_pool2d.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu
)
gather = Kernel("max_pool2d.gather", reference=_gather_reference, cpu=_gather_cpu, gpu=_gather_gpu)
scatter = Kernel(
    "max_pool2d.scatter", reference=_scatter_reference, cpu=_scatter_cpu, gpu=_scatter_gpu
)
