"""Rows of an array in any order, as floating point numbers, and the gradient of that.

    y[k] = x[places[k]], in the dtype of y                                          gather
    dx[m] = sum of dy[k] over all k with places[k] = m, in the order of k           scatter

A shuffled batch is gathered. Where a whole data set is too large to be kept as floats, or comes as
float64, each batch is converted; to do it while the rows are copied saves an array and a pass over
it. Reading a tensor at places that may come twice, as x[[1, 1, 0]], is differentiated by scatter.

Work:     a conversion or an addition per number; the time goes into memory, because the rows lie
          far apart.
Threads:  none: to start them takes longer than to copy a batch of small images, and two threads
          could not add to one row of dx.
Versions: NumPy reference, Numba loops, CUDA (rows.cu).
"""

import math

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel
from .memory import empty, zeros

FEW = 256  # numbers; NumPy is done with them before a kernel would have begun

C_TYPES = {  # what CUDA calls the numbers that x may consist of
    "bool": "bool",
    "float32": "float",
    "float64": "double",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned",
    "uint64": "unsigned long long",
}


def _gather_reference(x, places, dtype):
    return x[places].astype(dtype)


@compiled
def _gather_loops(x, places, y):
    for k in range(places.size):
        source, target = x[places[k]], y[k]
        for number in range(np.uint64(target.size)):
            target[number] = source[number]


def _gather_cpu(x, places, dtype):
    y = empty((len(places), *x.shape[1:]), dtype)
    row = math.prod(x.shape[1:])
    _gather_loops(x.reshape(len(x), row), places, y.reshape(len(places), row))
    return y


def _gather_gpu(x, places, dtype):
    y = cuda.empty((len(places), *x.shape[1:]), dtype, like=x)
    row, given = math.prod(x.shape[1:]), C_TYPES[x.dtype.name]
    args = y, x, places.astype(np.int64, copy=False), row, y.size
    grid, defines = cuda.blocks(y.size), {"GIVEN": given}
    cuda.launch("rows", "gather", grid, 256, *args, defines=defines, long_index=True)
    return y


# gather(x, places, dtype): places are integers from 0 to len(x) - 1, dtype is the name of one
gather = Kernel("rows.gather", reference=_gather_reference, cpu=_gather_cpu, gpu=_gather_gpu)


def _scatter_reference(dy, places, rows):
    dx = np.zeros((rows, *dy.shape[1:]), dy.dtype)
    np.add.at(dx, places, dy)
    return dx


@compiled
def _scatter_loops(dy, places, dx):
    for k in range(places.size):
        source, target = dy[k], dx[places[k]]
        for number in range(np.uint64(target.size)):
            target[number] += source[number]


def _scatter_cpu(dy, places, rows):
    dx, row = zeros((rows, *dy.shape[1:]), dy.dtype), math.prod(dy.shape[1:])
    if dy.size <= FEW:
        np.add.at(dx, places, dy)
    else:
        _scatter_loops(dy.reshape(len(dy), row), places, dx.reshape(rows, row))
    return dx


def _scatter_gpu(dy, places, rows):
    dx = cuda.zeros((rows, *dy.shape[1:]), dy.dtype, like=dy)
    order = places.argsort(kind="stable")  # equal places come to stand together, in the order of k
    args = dx, dy, places[order].astype(np.int64, copy=False), order
    row, given = math.prod(dy.shape[1:]), C_TYPES[dy.dtype.name]
    grid, defines = cuda.blocks(dy.size), {"GIVEN": given}
    cuda.launch("rows", "scatter", grid, 256, *args, row, dy.size, defines=defines, long_index=True)
    return dx


# scatter(dy, places, rows): places are integers from 0 to rows - 1, rows is that of dx
scatter = Kernel("rows.scatter", reference=_scatter_reference, cpu=_scatter_cpu, gpu=_scatter_gpu)
