"""The product of two matrices: a convolution of one row of pixels with windows of one pixel.

    y[m,f] = sum over k of  x[m,k] * weight[k,f]

NumPy's own product would do; but it keeps threads of its own, which go on spinning for a while
after each product and take the cores from Numba's.

Work:     M*K*F multiplications.
Threads:  sweep.py says who owns what.
Versions: NumPy reference, register tiles (sweep.py, simd.py). To come: CUDA (matmul.cu).
"""

import numpy as np

from .geometry import Geometry
from .kernel import Kernel
from .memory import empty
from .sweep import sweep


def _multiply_reference(x, weight):
    return np.einsum("mk,kf->mf", x, weight)


def _multiply_cpu(x, weight):
    (M, K), (_, F) = x.shape, weight.shape
    y = empty((M, F), x.dtype)
    size = (1, 1, M, K, 1, 1, K, F, 1, M)  # one image of one row of M pixels, as Geometry has it
    g = Geometry(*size, s=1, t=1, d=1, e=1, top=0, left=0)
    if K == 0:
        y.fill(0)
    elif y.size:
        sweep(x, weight.reshape(1, 1, 1, K, F), None, False, y, g)
    return y


multiply = Kernel("matmul.multiply", reference=_multiply_reference, cpu=_multiply_cpu)
