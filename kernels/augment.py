"""Moved, flipped and cropped images: each pixel is a copy of some other, or of none.

    y[n,i,j,c]  = x[n,h,w,c]                                 gather
    dx[n,h,w,c] = sum of dy[n,i,j,c] over all i, j that      scatter
                  copy pixel h, w

    where  h = rows[n,i]  and  w = columns[n,j];  if one of them is negative, the pixel lies outside
    the image: y is `fill` there, and dy leads nowhere.

All that is special about a flip, a crop or a border that mirrors the image is in the two tables,
which are small: I + J numbers for an image of I * J pixels.

Work:     N*I*J*C copies.
Threads:  none, so that it may run in the background as well as in a training step.
Versions: NumPy reference, Numba loops, CUDA (augment.cu).
"""

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel
from .memory import empty, zeros


def _gather_reference(x, rows, columns, fill):
    n = np.arange(len(x))[:, None, None]
    y = x[n, rows[:, :, None], columns[:, None, :]]
    return np.where(_inside(rows, columns), y, x.dtype.type(fill))


def _scatter_reference(dy, rows, columns, x_shape):
    dx = np.zeros(x_shape, dy.dtype)
    n = np.arange(len(dy))[:, None, None]
    np.add.at(dx, (n, rows[:, :, None], columns[:, None, :]), dy * _inside(rows, columns))
    return dx


def _inside(rows, columns):
    return ((rows >= 0)[:, :, None] & (columns >= 0)[:, None, :])[..., None]  # (N, I, J, 1)


@compiled
def _gather_loops(x, rows, columns, fill, y, size):
    H, W, C = size
    (N, I), J = rows.shape, columns.shape[1]
    for n in range(N):
        for i in range(I):
            h, begin = rows[n, i], (n * I + i) * J * C
            for j in range(J):
                w, to = columns[n, j], np.uint64(begin + j * C)
                if h < 0 or w < 0:
                    for c in range(np.uint64(C)):
                        y[to + c] = fill
                else:
                    at = np.uint64(((n * H + h) * W + w) * C)
                    for c in range(np.uint64(C)):
                        y[to + c] = x[at + c]


@compiled
def _scatter_loops(dy, rows, columns, dx, size):
    H, W, C = size
    (N, I), J = rows.shape, columns.shape[1]
    for n in range(N):
        for i in range(I):
            h, begin = rows[n, i], (n * I + i) * J * C
            for j in range(J):
                w, at = columns[n, j], np.uint64(begin + j * C)
                if h >= 0 and w >= 0:
                    to = np.uint64(((n * H + h) * W + w) * C)
                    for c in range(np.uint64(C)):
                        dx[to + c] += dy[at + c]


def _gather_cpu(x, rows, columns, fill):
    N, H, W, C = x.shape
    y = empty((N, rows.shape[1], columns.shape[1], C), x.dtype)
    fill = x.dtype.type(fill)
    _gather_loops(x.reshape(-1), rows, columns, fill, y.reshape(-1), (H, W, C))
    return y


def _scatter_cpu(dy, rows, columns, x_shape):
    dx = zeros(x_shape, dy.dtype)
    _scatter_loops(dy.reshape(-1), rows, columns, dx.reshape(-1), x_shape[1:])
    return dx


def _gather_gpu(x, rows, columns, fill):
    (N, H, W, C), I, J = x.shape, rows.shape[1], columns.shape[1]
    y = cuda.empty((N, I, J, C), x.dtype, like=x)
    tables = rows.astype(np.int64, copy=False), columns.astype(np.int64, copy=False)
    args = x, *tables, float(fill), y, H, W, C, I, J, y.size
    cuda.launch("augment", "gather", cuda.blocks(y.size), 256, *args)
    return y


def _scatter_gpu(dy, rows, columns, x_shape):
    (_, I, J, _), dx = dy.shape, cuda.empty(x_shape, dy.dtype, like=dy)
    tables = rows.astype(np.int64, copy=False), columns.astype(np.int64, copy=False)
    args = dy, *tables, dx, *x_shape[1:], I, J, dx.size
    cuda.launch("augment", "scatter", cuda.blocks(dx.size), 256, *args)
    return dx


# rows (N, I) and columns (N, J): integers below H and W
gather = Kernel("augment.gather", reference=_gather_reference, cpu=_gather_cpu, gpu=_gather_gpu)
scatter = Kernel(
    "augment.scatter", reference=_scatter_reference, cpu=_scatter_cpu, gpu=_scatter_gpu
)
