"""Convolution whose output nobody sees but a max pooling: it never leaves the cache.

    z = conv2d.forward(x, weight, bias)
    y, where = max_pool2d.forward(z);   y = relu(y)       forward

The formulas are those of conv2d.py and max_pool2d.py, and so are the numbers, to the last bit;
whether relu comes before the pooling or after it makes no difference to y. But z is as a rule the
largest array of a network, and to write it and read it again takes time, too.
Here a few rows of z are computed, pooled at once, and forgotten; those rows and columns at its end
that no window reaches are left out. Nor does the way back need z: `where` says which of its numbers
receive a gradient, and the others need not be touched.

    dz = max_pool2d.scatter(dy, where)
    dx = conv2d.input_grad(dz, weight)                    input_grad
    dw = conv2d.weight_grad(x, dz)                        weight_grad

Work:     as in conv2d.py; rows of z that two tasks need are computed twice. On the way back, as
          many multiplications as dz has numbers that are not 0, times P*Q * C.
Threads:  a task owns a band of rows of one image of y, for some of the filters; winners.py has the
          way back.
Versions: NumPy reference, register tiles (simd.py). On a GPU: the kernels named, one by one.
"""

import functools

import numpy as np

from . import conv2d, max_pool2d, planning, winners
from .compiling import compiled, compiled_part
from .geometry import share_of
from .kernel import Kernel
from .max_pool2d import pool_row, pooled
from .memory import empty, scratch
from .packing import filters_of
from .registers import lanes
from .sharing import share, threads
from .sweep import prepare, scratch_size, sweep_rows, task_cycles
from .threads import thread_count

ROWS_BYTES = 1 << 18  # of z in one task: a share of the second-level cache


def _forward_reference(x, weight, bias, arrangement, window, placement):
    z = conv2d.forward.reference(x, weight, bias, False, *arrangement)
    y, where = max_pool2d.forward.reference(z, window, *placement)
    return np.where(y < 0, 0, y).astype(x.dtype), where


@compiled
def _forward_tasks(threads, arrays, g, job, pools, scratch):
    share(threads, scratch.shape[0], pooled_tasks, (arrays, g, job, pools, scratch))


@compiled_part
def pooled_tasks(worker, workers, arrays, g, job, pools, scratch):
    """All tasks of one worker; a row of scratch is its own, as much as scratch_for says."""
    (x, y, where), (pooling, rows_per_task, down), memory = arrays, pools, scratch[worker]
    P, s, top, I, J = pooling[0], pooling[2], pooling[4], pooling[6], pooling[7]
    C, zero = g.groups * g.F, x.dtype.type(0)
    begin_z = np.int64(0)  # a plain 0 is a type of its own, to be compiled for
    in_z = g.band * g.J * C
    z, spill = memory[:in_z], memory[in_z : in_z + job.spill]
    band = memory[in_z + job.spill :]
    per_image = (I + rows_per_task - 1) // rows_per_task
    per_share = g.N * per_image
    for task in share_of(worker, workers, job.shares * per_share):
        n, begin = task % per_share // per_image, task % per_image * rows_per_task
        end = min(begin + rows_per_task, I)
        first = max(0, s * begin - top)
        rows = min(g.I, s * (end - 1) - top + P) - first
        mine = task // per_share
        sweep_rows(x, (z, begin_z, spill), band, (n, first, rows, mine), g, job)
        from_f, to_f = filters_of(mine, job.shares, job.blocks, g.F, g.width, job.lanes)
        for i in range(begin, end):
            at_z, at_y = -first * g.J * C, (n * I + i) * J * C
            for c in range(0, C, g.F):
                own = (c + from_f, c + to_f)
                pool_row(z, at_z, y, where, at_y, i, zero, (g.I, g.J, C, down), pooling, own)


def seen_by_pooling(g, pooling):
    """The Geometry without the last rows and columns of z, if no window of the pooling is there."""
    P, Q, s, t, top, left, I, J = pooling
    rows, columns = s * (I - 1) - top + P, t * (J - 1) - left + Q
    return g._replace(I=min(g.I, rows), J=min(g.J, columns))


def cut_for_pooling(g, cut, pooling, dtype, workers):
    """Cut up the work anew: (Geometry, Cut, rows of y in a task)."""
    rows, shares = _best_cut(g, cut.lanes, cut.blocks, pooling, dtype.itemsize, workers)
    return g._replace(band=_under(rows, pooling)), cut._replace(shares=shares), rows


@functools.lru_cache(maxsize=1024)
def _best_cut(g, lanes, blocks, pooling, itemsize, workers):
    """Rows of y in a task, and shares of the filters."""
    P, s, I = pooling[0], pooling[2], pooling[6]
    fitting = max(1, (ROWS_BYTES // (itemsize * g.J * g.groups * g.F) - P) // s + 1)

    def cycles(rows, blocks):
        return task_cycles(g, lanes, _under(rows, pooling), blocks)

    return planning.cut(g.N, I, fitting, blocks, workers, cycles)


def _under(rows, pooling):
    """How many rows of z so many rows of y are made of."""
    return pooling[2] * (rows - 1) + pooling[0]


def scratch_for(g, cut):
    """How many numbers of scratch memory a worker needs: for z, and what a sweep needs."""
    return g.band * g.J * g.groups * g.F + scratch_size(g, cut)


def _forward_cpu(x, weight, bias, arrangement, window, placement):
    g, filters, z_shape = conv2d.described(x.shape, weight, arrangement)
    shape, pooling = pooled(z_shape, window, *placement)
    y, where = empty(shape, x.dtype), empty(shape, np.int32)
    if not y.size:
        return y, where
    workers = thread_count()
    g, job = prepare(filters, bias, False, seen_by_pooling(g, pooling))
    g, job, rows = cut_for_pooling(g, job, pooling, x.dtype, workers)
    memory = scratch(workers, scratch_for(g, job), x.dtype)
    flat = (x.reshape(-1), y.reshape(-1), where.reshape(-1))
    _forward_tasks(threads(), flat, g, job, (pooling, rows, z_shape[2]), memory)
    return y, where


def _input_grad_reference(dy, where, weight, x_shape, arrangement):
    _, z_shape = conv2d.geometry(x_shape, weight.shape, arrangement)
    dz = max_pool2d.scatter.reference(dy, where, z_shape)
    return conv2d.input_grad.reference(dz, weight, x_shape, *arrangement)


def _input_grad_cpu(dy, where, weight, x_shape, arrangement):
    g, z_shape = conv2d.geometry(x_shape, weight.shape, arrangement)
    if not winners.suits(g, where, dy.dtype) or g.Q * g.K % lanes(dy.dtype):
        dz = max_pool2d.scatter.cpu(dy, where, z_shape)
        return conv2d.input_grad.cpu(dz, weight, x_shape, *arrangement)
    dx = empty(x_shape, dy.dtype)
    winners.input_grad(dy, where, weight, dx, g)
    return dx


def _weight_grad_reference(x, dy, where, weight_shape, arrangement):
    _, z_shape = conv2d.geometry(x.shape, weight_shape, arrangement)
    dz = max_pool2d.scatter.reference(dy, where, z_shape)
    return conv2d.weight_grad.reference(x, dz, weight_shape, *arrangement)


def _weight_grad_cpu(x, dy, where, weight_shape, arrangement):
    g, z_shape = conv2d.geometry(x.shape, weight_shape, arrangement)
    if not winners.suits(g, where, dy.dtype):
        dz = max_pool2d.scatter.cpu(dy, where, z_shape)
        return conv2d.weight_grad.cpu(x, dz, weight_shape, *arrangement)
    dw = empty(weight_shape, dy.dtype)
    winners.weight_grad(x, dy, where, dw, g)
    return dw


def _forward_gpu(x, weight, bias, arrangement, window, placement):
    z = conv2d.forward(x, weight, bias, False, *arrangement)
    return max_pool2d.pooled_gpu(z, window, placement, 0)


def _input_grad_gpu(dy, where, weight, x_shape, arrangement):
    _, z_shape = conv2d.geometry(x_shape, weight.shape, arrangement)
    dz = max_pool2d.scatter(dy, where, z_shape)
    return conv2d.input_grad(dz, weight, x_shape, *arrangement)


def _weight_grad_gpu(x, dy, where, weight_shape, arrangement):
    _, z_shape = conv2d.geometry(x.shape, weight_shape, arrangement)
    dz = max_pool2d.scatter(dy, where, z_shape)
    return conv2d.weight_grad(x, dz, weight_shape, *arrangement)


forward = Kernel(
    "conv_pool.forward",
    reference=_forward_reference,
    cpu=_forward_cpu,
    gpu=_forward_gpu,
    operands=(0, 1),
)
input_grad = Kernel(
    "conv_pool.input_grad",
    reference=_input_grad_reference,
    cpu=_input_grad_cpu,
    gpu=_input_grad_gpu,
    operands=(0, 2),
)
weight_grad = Kernel(
    "conv_pool.weight_grad",
    reference=_weight_grad_reference,
    cpu=_weight_grad_cpu,
    gpu=_weight_grad_gpu,
    operands=(0, 1),
)
