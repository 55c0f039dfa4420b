"""Images along one axis: each new row (or column) is a weighted sum of a few old ones.

    y[o,i,c] = sum over k of  shares[k,i] * x[o,places[k,i],c]                         along

o counts what stands before the axis, c all numbers behind it: for rows all images and a whole row,
for columns all rows and a pixel. Larger or smaller, smooth or not, forward or backward: all that is
in the two small tables.

Work:     a multiply-add for each y and k; x is read and y written once.
Threads:  none, so that it may run in the background as well as in a training step.
Versions: NumPy reference, Numba loops, CUDA (resize.cu).
"""

import math

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel
from .memory import empty


def _along_reference(x, places, shares, axis):
    column = (-1,) + (1,) * (x.ndim - axis - 1)
    parts = zip(places, shares, strict=True)
    y = sum(np.take(x.astype(np.float64), p, axis) * s.reshape(column) for p, s in parts)
    return y.astype(x.dtype)


@compiled
def _along_loops(x, places, shares, old, size, y):
    K, new = places.shape
    count = np.uint64(size)
    for o in range(y.size // (new * size)):
        for i in range(new):
            to = np.uint64(o * new + i) * count
            at, share = np.uint64(o * old + places[0, i]) * count, shares[0, i]
            for c in range(count):
                y[to + c] = x[at + c] * share
            for k in range(1, K):
                at, share = np.uint64(o * old + places[k, i]) * count, shares[k, i]
                for c in range(count):
                    y[to + c] += x[at + c] * share


def _along_cpu(x, places, shares, axis):
    old, count = x.shape[axis], math.prod(x.shape[axis + 1 :])
    y = empty((*x.shape[:axis], places.shape[1], *x.shape[axis + 1 :]), x.dtype)
    if y.size:
        _along_loops(x.reshape(-1), places, shares.astype(x.dtype), old, count, y.reshape(-1))
    return y


def _along_gpu(x, places, shares, axis):
    (K, new), count = places.shape, math.prod(x.shape[axis + 1 :])
    y = cuda.empty((*x.shape[:axis], new, *x.shape[axis + 1 :]), x.dtype, like=x)
    tables = places.astype(np.int64, copy=False), shares.astype(x.dtype, copy=False)
    sizes = x.shape[axis], new, count, K, y.size
    cuda.launch("resize", "along", cuda.blocks(y.size), 256, x, *tables, y, *sizes)
    return y


# places (K, I): integers below the size of the axis; shares (K, I)
along = Kernel("resize.along", reference=_along_reference, cpu=_along_cpu, gpu=_along_gpu)
