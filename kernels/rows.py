"""Rows of an array in any order, as floating point numbers: what a shuffled batch is made of.

    y[k] = x[places[k]], in the dtype of y                                          gather

Where a whole data set is too large to be kept as floats, or comes as float64, each batch is
converted; to do it while the rows are copied saves an array and a pass over it.

Work:     a conversion per number; the time goes into memory, because the rows lie far apart.
Threads:  none: to start them takes longer than to copy a batch of small images.
Versions: NumPy reference, Numba loops. To come: CUDA (rows.cu).
"""

import math

import numpy as np

from .compiling import compiled
from .kernel import Kernel
from .memory import empty


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


# gather(x, places, dtype): places are integers from 0 to len(x) - 1, dtype is the name of one
gather = Kernel("rows.gather", reference=_gather_reference, cpu=_gather_cpu)
