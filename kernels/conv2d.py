"""Convolution of NHWC images, and the two sums that lead back from its output.

All three add up products over the same n, i, j, p, q, c, f:

    y[n,i,j,f]  = sum of  x[n,h,w,c] * weight[p,q,c,f]   over p, q, c         forward
    dx[n,h,w,c] = sum of dy[n,i,j,f] * weight[p,q,c,f]   over i, j, p, q, f   input_grad
    dw[p,q,c,f] = sum of dy[n,i,j,f] * x[n,h,w,c]        over n, i, j         weight_grad

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

N images of H x W pixels and C channels; F filters of P x Q pixels, whose rows lie d and whose
columns lie e pixels apart. The window stands at I x J places, strides = (s, t) apart, on images
with padding = ((top, bottom), (left, right)) around them. With several groups, the channels and the
filters are cut into as many blocks, and block g of the filters sees block g of the channels only:
weight is (P, Q, C / groups, F). `forward` adds a bias and cuts off below zero on the way, because
the numbers are in the registers anyway.

Work:     N*I*J * P*Q * C*F / groups multiplications each.
Threads:  sweep.py, spread.py and correlate.py say who owns what; depthwise.py, where each filter
          sees one channel.
Versions: NumPy reference, register tiles (simd.py), CUDA (conv2d.cu, depthwise.cu).
"""

import functools
import math

import numpy as np

from . import cuda, depthwise, precision
from .correlate import correlate
from .geometry import Geometry
from .kernel import Kernel
from .memory import empty, zeros
from .registers import lanes
from .spread import spread
from .sweep import sweep

GEOMETRY = Geometry._fields.index("groups") + 1  # how many of its fields a GPU needs
GIVING = 12  # channels: adding to memory for one window cell takes as long as their multiplications


def _windows(x, P, Q, strides, padding, dilation):  # (N, I, J, C, P, Q)
    (s, t), (d, e) = strides, dilation
    extent = (d * (P - 1) + 1, e * (Q - 1) + 1)
    bordered = np.pad(x, ((0, 0), *padding, (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(bordered, extent, axis=(1, 2))
    return views[:, ::s, ::t, :, ::d, ::e]


def _forward_reference(x, weight, bias, relu, strides, padding, dilation, groups):
    P, Q, _, _ = weight.shape
    windows = _windows(x, P, Q, strides, padding, dilation)
    blocks = zip(np.split(windows, groups, axis=3), np.split(weight, groups, axis=3), strict=True)
    y = np.concatenate([np.einsum("nijcpq,pqcf->nijf", v, w) for v, w in blocks], axis=3)
    y = y if bias is None else y + bias
    return np.where(y < 0, 0, y).astype(x.dtype) if relu else y


def _input_grad_reference(dy, weight, x_shape, strides, padding, dilation, groups):
    N, H, W, C = x_shape
    P, Q, _, _ = weight.shape
    _, I, J, _ = dy.shape
    (s, t), ((top, bottom), (left, right)), (d, e) = strides, padding, dilation
    bordered = np.zeros((N, top + H + bottom, left + W + right, C), dy.dtype)
    blocks = list(zip(np.split(dy, groups, axis=3), np.split(weight, groups, axis=3), strict=True))
    for p, q in np.ndindex(P, Q):  # weight[p, q] meets every s-th row and every t-th column
        met = bordered[:, d * p : d * p + s * I : s, e * q : e * q + t * J : t]
        met += np.concatenate([block @ w[p, q].T for block, w in blocks], axis=3)
    return bordered[:, top : top + H, left : left + W]


def _weight_grad_reference(x, dy, weight_shape, strides, padding, dilation, groups):
    P, Q, _, _ = weight_shape
    windows = _windows(x, P, Q, strides, padding, dilation)
    blocks = zip(np.split(windows, groups, axis=3), np.split(dy, groups, axis=3), strict=True)
    return np.concatenate([np.einsum("nijcpq,nijf->pqcf", v, b) for v, b in blocks], axis=3)


@functools.lru_cache(maxsize=1024)
def geometry(x_shape, weight_shape, arrangement):
    """A Geometry, and the shape of y."""
    (N, H, W, C), (P, Q, K, F) = x_shape, weight_shape
    (s, t), ((top, bottom), (left, right)), (d, e), groups = arrangement
    I = (top + H + bottom - d * (P - 1) - 1) // s + 1
    J = (left + W + right - e * (Q - 1) - 1) // t + 1
    size = (N, H, W, C, P, Q, K, F // groups, I, J)
    return Geometry(*size, s, t, d, e, top, left, groups), (N, I, J, F)


def described(x_shape, weight, arrangement):
    """A Geometry, the filters as a sweep wants them, and the shape of y."""
    g, shape = geometry(x_shape, weight.shape, arrangement)
    filters = weight.reshape(g.P, g.Q, g.K, g.groups, g.F).transpose(3, 0, 1, 2, 4)
    return g, filters, shape


def one_by_one(groups, weight_shape):
    """Whether each filter sees one channel of several."""
    return groups > 1 and weight_shape[2] == 1


def _forward_cpu(x, weight, bias, relu, strides, padding, dilation, groups):
    if weight.size == 0:  # sums of nothing
        return _forward_reference(x, weight, bias, relu, strides, padding, dilation, groups)
    g, filters, shape = described(x.shape, weight, (strides, padding, dilation, groups))
    y = empty(shape, x.dtype)
    if one_by_one(groups, weight.shape):
        depthwise.forward(x, weight, bias, relu, y, (strides, padding, dilation))
    else:
        sweep(x, filters, bias, relu, y, g)
    return y


def _input_grad_cpu(dy, weight, x_shape, strides, padding, dilation, groups):
    if weight.size == 0:
        return zeros(x_shape, dy.dtype)
    N, H, W, C = x_shape
    P, Q, K, F = weight.shape
    _, I, J, _ = dy.shape
    (s, t), ((top, _), (left, _)), (d, e) = strides, padding, dilation
    dx = empty(x_shape, dy.dtype)
    if one_by_one(groups, weight.shape):
        depthwise.input_grad(dy, weight, dx, (strides, padding, dilation))
        return dx
    filters = weight.reshape(P, Q, K, groups, F // groups).transpose(3, 0, 1, 4, 2)
    # each dx takes from the windows around it, or each window gives to the dx under it
    takes = (s, t) == (1, 1) and W * F <= J * (F + GIVING * groups) and K >= lanes(dy.dtype)
    if takes:
        filters = filters[:, ::-1, ::-1]
        size = (N, I, J, F, P, Q, F // groups, K, H, W)
        corner = (d * (P - 1) - top, e * (Q - 1) - left)
        sweep(dy, filters, None, False, dx, Geometry(*size, 1, 1, d, e, *corner, groups))
    else:
        size = (N, H, W, C, P, Q, F // groups, K, I, J)
        spread(dy, filters, dx, Geometry(*size, s, t, d, e, top, left, groups))
    return dx


def _weight_grad_cpu(x, dy, weight_shape, strides, padding, dilation, groups):
    P, Q, K, F = weight_shape
    _, I, J, _ = dy.shape
    (s, t), ((top, _), (left, _)), (d, e) = strides, padding, dilation
    dw = empty(weight_shape, x.dtype)
    if dw.size == 0:
        return dw
    if one_by_one(groups, weight_shape):
        depthwise.weight_grad(x, dy, dw, (strides, padding, dilation))
        return dw
    N, H, W, C = x.shape
    size = (N, H, W, C, P, Q, K, F // groups, I, J)
    correlate(x, dy, dw, Geometry(*size, s, t, d, e, top, left, groups))
    return dw


TILE = 64  # as in conv2d.cu
BLOCKS = 256  # of a launch, where there are enough terms to be shared by so many
TERMS = 256  # of a sum, that a block should have


def pieces(tiles, terms):
    """How many blocks share the sums of one tile: the same on every machine, so the same bits."""
    return max(1, min(BLOCKS // tiles, terms // TERMS))


def add_pieces(parts, bias, relu, shape):
    """The sum of all parts, in their order."""
    y, columns = cuda.empty(shape, parts.dtype, parts), shape[-1]
    given = (parts, bias, y, relu, len(parts), y.size, columns)
    cuda.launch("conv2d", "conv2d_add_pieces", cuda.blocks(y.size), (256,), *given)
    return y


def _product_gpu(function, operands, epilogue, shape, sizes, g):
    """Launch one of the maps of conv2d.cu.

    epilogue: (bias, relu), or () for a map that has none.
    shape: of the result.
    sizes: (rows, columns, terms) of the product of matrices that the map is, for one group.
    """
    rows, columns, terms = sizes
    dtype, like = operands[0].dtype, operands[0]
    if 0 in shape:
        return cuda.empty(shape, dtype, like)
    tiles = (-(-rows // TILE), -(-columns // TILE), g.groups)
    count = pieces(math.prod(tiles), terms)
    grid, block = (*tiles[:2], g.groups * count), (16, 16)
    defines, window = precision.defines(dtype), g[:GEOMETRY]
    y = cuda.empty((count, *shape), dtype, like)
    if count == 1 or not epilogue:
        given = (*operands, *epilogue[:1], y, *epilogue[1:], count, *window)
    else:
        given = (*operands, None, y, False, count, *window)
    cuda.launch("conv2d", function, grid, block, *given, defines=defines)
    bias, relu = epilogue or (None, False)
    return y[0] if count == 1 else add_pieces(y, bias, relu, shape)


def _forward_gpu(x, weight, bias, relu, strides, padding, dilation, groups):
    arrangement = (strides, padding, dilation, groups)
    g, shape = geometry(x.shape, weight.shape, arrangement)
    if one_by_one(groups, weight.shape):
        x, weight = precision.rounded(x), precision.rounded(weight)
        return depthwise.forward_gpu(x, weight, bias, relu, shape, g)
    sizes = (g.N * g.I * g.J, g.F, g.P * g.Q * g.K)
    return _product_gpu("conv2d_forward", (x, weight), (bias, relu), shape, sizes, g)


def _input_grad_gpu(dy, weight, x_shape, strides, padding, dilation, groups):
    g, _ = geometry(x_shape, weight.shape, (strides, padding, dilation, groups))
    if one_by_one(groups, weight.shape):
        dy, weight = precision.rounded(dy), precision.rounded(weight)
        return depthwise.input_grad_gpu(dy, weight, x_shape, g)
    sizes = (g.N * g.H * g.W, g.K, g.P * g.Q * g.F)
    return _product_gpu("conv2d_input_grad", (dy, weight), (), x_shape, sizes, g)


def _weight_grad_gpu(x, dy, weight_shape, strides, padding, dilation, groups):
    g, _ = geometry(x.shape, weight_shape, (strides, padding, dilation, groups))
    places = g.N * g.I * g.J
    if one_by_one(groups, weight_shape):
        tiles = -(-g.groups * g.F // 32) * g.P * g.Q
        x, dy = precision.rounded(x), precision.rounded(dy)
        parts = depthwise.weight_grad_gpu(x, dy, pieces(tiles, places), g)
        return add_pieces(parts, None, False, weight_shape)
    sizes = (g.P * g.Q * g.K, g.F, places)
    return _product_gpu("conv2d_weight_grad", (x, dy), (), weight_shape, sizes, g)


forward = Kernel(
    "conv2d.forward",
    reference=_forward_reference,
    cpu=_forward_cpu,
    gpu=_forward_gpu,
    operands=(0, 1),
)
input_grad = Kernel(
    "conv2d.input_grad",
    reference=_input_grad_reference,
    cpu=_input_grad_cpu,
    gpu=_input_grad_gpu,
    operands=(0, 1),
)
weight_grad = Kernel(
    "conv2d.weight_grad",
    reference=_weight_grad_reference,
    cpu=_weight_grad_cpu,
    gpu=_weight_grad_gpu,
    operands=(0, 1),
)
