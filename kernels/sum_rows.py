"""Column sums of a matrix: what the gradient of a bias is, over all pixels of all images.

    y[c] = sum over r of  x[r,c]

Work:     R*C additions; the time goes into reading x.
Threads:  one prange step owns a run of rows and adds them up by itself; then the sums of the runs
          are added in order. The runs are cut the same way whatever the number of threads.
Versions: NumPy reference, Numba loops. To come: CUDA (sum_rows.cu).
"""

import numpy as np
from numba import prange

from .compiling import compiled_parallel
from .kernel import Kernel

RUN = 1024  # rows


def _forward_reference(x):
    return x.sum(axis=0)


@compiled_parallel
def _forward_loops(x, runs):
    R, C = x.shape
    for run in prange(runs.shape[0]):
        total = runs[run]
        for r in range(run * RUN, min((run + 1) * RUN, R)):
            for c in range(C):
                total[c] += x[r, c]


def _forward_cpu(x):
    R, C = x.shape
    if R <= RUN:  # starting threads would take longer
        return x.sum(axis=0)
    runs = np.zeros((-(-R // RUN), C), x.dtype)
    _forward_loops(x, runs)
    return runs.sum(axis=0)


forward = Kernel("sum_rows.forward", reference=_forward_reference, cpu=_forward_cpu)
