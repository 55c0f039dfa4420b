"""The product of two matrices: a convolution of one row of pixels with windows of one pixel.

    y[m,f]  = sum over k of  x[m,k] * weight[k,f], + bias[f]     multiply
    dx[m,k] = sum over f of  dy[m,f] * weight[k,f]               input_grad
    dw[k,f] = sum over m of  x[m,k] * dy[m,f]                    weight_grad

`multiply` cuts off below zero on the way if it is told to: relu.

NumPy's own product would do; but it keeps threads of its own, which go on spinning for a while
after each product and take the cores from Numba's.

Work:     M*K*F multiplications each.
Threads:  sweep.py and correlate.py say who owns what.
Versions: NumPy reference, register tiles (simd.py). On a GPU: conv2d.cu.
"""

import functools

import numpy as np

from . import conv2d
from .correlate import correlate
from .geometry import Geometry
from .kernel import Kernel
from .memory import empty, zeros
from .sweep import sweep

PIXEL_BY_PIXEL = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)  # strides, padding, dilation, groups


def _multiply_reference(x, weight, bias, relu):
    y = np.einsum("mk,kf->mf", x, weight)
    y = y if bias is None else y + bias
    return np.where(y < 0, 0, y).astype(x.dtype) if relu else y


def _input_grad_reference(dy, weight):
    return np.einsum("mf,kf->mk", dy, weight)


def _weight_grad_reference(x, dy):
    return np.einsum("mk,mf->kf", x, dy)


@functools.lru_cache(maxsize=1024)
def one_row(M, K, F):
    """The Geometry of one image of one row of M pixels."""
    return Geometry(1, 1, M, K, 1, 1, K, F, 1, M, s=1, t=1, d=1, e=1, top=0, left=0)


def _swept(x, filters, bias, relu):
    """The product with the filters, a matrix with any strides."""
    (M, K), (_, F) = x.shape, filters.shape
    if K == 0:  # sums of nothing
        return _multiply_reference(x, filters, bias, relu)
    y = empty((M, F), x.dtype)
    if y.size:
        sweep(x, filters[None, None, None], bias, relu, y, one_row(M, K, F))
    return y


def _multiply_cpu(x, weight, bias, relu):
    return _swept(x, weight, bias, relu)


def _input_grad_cpu(dy, weight):
    return _swept(dy, weight.T, None, False)


def _weight_grad_cpu(x, dy):
    (M, K), (_, F) = x.shape, dy.shape
    if M == 0:
        return zeros((K, F), x.dtype)
    dw = empty((K, F), x.dtype)
    if dw.size:
        correlate(x, dy, dw, one_row(M, K, F))
    return dw


def _row(matrix):
    """The same numbers as one image of one row of pixels, or as filters of one pixel."""
    return matrix[None, None]


def _multiply_gpu(x, weight, bias, relu):
    return conv2d.forward(_row(x), _row(weight), bias, relu, *PIXEL_BY_PIXEL)[0, 0]


def _input_grad_gpu(dy, weight):
    x_shape = (len(dy), len(weight))
    dx = conv2d.input_grad(_row(dy), _row(weight), (1, 1, *x_shape), *PIXEL_BY_PIXEL)
    return dx.reshape(x_shape)


def _weight_grad_gpu(x, dy):
    weight_shape = (1, 1, x.shape[1], dy.shape[1])
    return conv2d.weight_grad(_row(x), _row(dy), weight_shape, *PIXEL_BY_PIXEL)[0, 0]


multiply = Kernel(
    "matmul.multiply",
    reference=_multiply_reference,
    cpu=_multiply_cpu,
    gpu=_multiply_gpu,
    operands=(0, 1),
)
input_grad = Kernel(
    "matmul.input_grad",
    reference=_input_grad_reference,
    cpu=_input_grad_cpu,
    gpu=_input_grad_gpu,
    operands=(0, 1),
)
weight_grad = Kernel(
    "matmul.weight_grad",
    reference=_weight_grad_reference,
    cpu=_weight_grad_cpu,
    gpu=_weight_grad_gpu,
    operands=(0, 1),
)
