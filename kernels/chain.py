"""A chain of convolutions, matrix products and poolings in one call: what inference wants.

    x = conv2d.forward(x, weight, bias, relu)      or
    x = conv_pool.forward(x, weight, bias)         or
    x = matmul.multiply(x, weight, bias, relu)     or
    x = max_pool2d.forward(x)                      or
    x = average_pool2d.forward(x)                  link by link; sigmoid or tanh behind the first

    and at the end, where it is wanted, softmax.forward(x)

The numbers are those of the kernels named, to the last bit. A single image is so little work that
half a dozen calls from Python would take several times as long as the arithmetic; here all links
are done before Python is asked again. What lies between two links is forgotten.

How much memory each link wants, and how its work is cut up, is planned in Python, once for each
shape of x, and handed over as a table of whole numbers: a row per link, the fields of STAGE. The
weights are passed by their addresses, because Numba would compile the loop over the links anew for
each number of them.

Work:     that of the links.
Threads:  all work on one link, then all on the next; in each as sweep.py and conv_pool.py say, and
          a pooling alone is shared by rows of windows.
Versions: NumPy reference, register tiles (simd.py). On a GPU: the kernels named, link by link.
"""

import functools
import math
import operator
from typing import Any, NamedTuple

import numba
import numpy as np

from . import average_pool2d, conv2d, conv_pool, cuda, matmul, max_pool2d, sigmoid, softmax
from .average_pool2d import average_row
from .compiling import compiled, compiled_part
from .conv_pool import cut_for_pooling, pooled_tasks, scratch_for, seen_by_pooling
from .geometry import Geometry, share_of
from .kernel import Array, Kernel, is_gpu_array
from .max_pool2d import pool_row, pooled
from .memory import empty, scratch
from .packing import pack_piece, padded, piece_count
from .planning import flattened
from .sharing import share, threads
from .sigmoid import sigmoid_in_place, tanh_in_place
from .simd import array_at, zero_vectors
from .softmax import softmax_rows
from .sweep import Cut, Job, plan, scratch_size, step_in_place, sweep_tasks

EVERY_PIXEL = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)  # strides, padding, dilation, groups


AT_HAND = 1 << 23  # bytes that may be kept for the next call, always
LITTLE_WORK = 1 << 18  # multiplications, that one thread does,
LITTLE_TO_READ = 1 << 14  # as it reads so few numbers to pool them,
FEW_POWERS = 1 << 7  # takes so few powers of e,
FEW_CURVES = 1 << 13  # and so many of them, on vectors
NUMBERS_APART = 16  # in the arena: a cache line of float32
BEHIND, ALONE, AVERAGE = 1, 2, 3  # what `pools` says: behind a convolution, or a link of its own
CURVES = {"sigmoid": 1, "tanh": 2}  # what `curve` says
SIGMOID = CURVES["sigmoid"]
POOLS = (
    *("pools", "pool_P", "pool_Q", "pool_s", "pool_t", "pool_top", "pool_left"),
    *("pool_I", "pool_J", "pool_rows"),  # pool_rows: rows of y in a task
)

STAGE = np.dtype(
    [
        (name, np.int64)
        for name in (
            *Geometry._fields,
            *Cut._fields,
            *("relu", "step"),  # the rest of a Job
            "curve",  # what is done to all numbers of y in the end
            "packs",  # whether filters are copied, in the order of the tiles,
            "pads",  # and the bias, with room for whole vectors
            "alone",  # whether one thread does it all
            *POOLS,
            *("filters", "filters_size", "start"),  # where they are in the arena,
            *("x", "x_size", "y", "y_size"),  # as are these
        )
    ]
)


class Link(NamedTuple):
    """One computation; a matrix product takes all numbers of an image as one row."""

    weight: Array | None  # (P, Q, C, F) of a convolution, (K, F) of a matrix product, or neither
    bias: Array | None = None
    activation: str = "linear"  # or "relu", "sigmoid", "tanh"
    arrangement: Any = EVERY_PIXEL  # as for conv2d, with groups = 1
    pooling: Any = None  # window, strides and padding, as for max_pool2d; behind relu, or alone
    averages: bool = False  # whether the pooling is that of average_pool2d, and alone


class Chain:
    """Links that go together, in their order.

    softmax: whether the numbers of the last link are scores, whose probabilities are wanted, too.
    """

    def __init__(self, links: list[Link], softmax: bool = False) -> None:
        self.links, self.softmax = links, softmax
        self.described = tuple(
            (None if link.weight is None else link.weight.shape, link.bias is not None, *link[2:])
            for link in links
        )
        arrays = [(link.weight, link.bias) for link in links]
        self.addresses = np.array([[_address(a) for a in pair] for pair in arrays])


def _address(array: Array | None) -> int:
    return 0 if array is None or is_gpu_array(array) else array.ctypes.data


def _forward_reference(x, chain):
    for link in chain.links:
        x = _linked(x, link, operator.attrgetter("reference"))
    return np.stack([x, softmax.forward.reference(x)]) if chain.softmax else x


def _linked(x, link, version):
    """What a link makes of x, by a version of the kernels that the table on top names."""
    weight, bias, activation, arrangement, pooling, averages = link
    relu = activation == "relu"
    if weight is None:
        y = version((average_pool2d if averages else max_pool2d).forward)(x, *pooling)
        return y if averages else y[0]
    if weight.ndim == 2:
        x = version(matmul.multiply)(x.reshape(len(x), -1), weight, bias, relu)
    elif pooling is None:
        x = version(conv2d.forward)(x, weight, bias, relu, *arrangement)
    else:
        window, *placement = pooling
        x, _ = version(conv_pool.forward)(x, weight, bias, arrangement, window, placement)
    return version(getattr(sigmoid, activation))(x) if activation in CURVES else x


@compiled
def _run(threads, stages, addresses, x, y, memory, zeros, layout):
    workers, end, scores, K = layout
    arena, scratch = memory[:end], memory[end:].reshape(workers, -1)
    arrays = (x, arena, y)
    if stages[0].packs or stages[0].pads:
        share(threads, workers, _fetch_weights, (0, stages, addresses, arrays[1]))
    for k in range(stages.size):
        takers = 1 if stages[k].alone else workers  # to wake the others would take longer
        share(threads, takers, _take_share, (k, stages, addresses, arrays, zeros, scratch))
        if stages[k].curve != 0:
            takers = 1 if stages[k].y_size <= FEW_CURVES else workers
            share(threads, takers, _take_numbers, (stages[k].curve, _target(k, stages, arrays)))
    if y.size > scores:  # there is room for their softmax behind them
        takers = 1 if scores <= FEW_POWERS else workers
        share(threads, takers, _take_rows, (y[:scores], y[scores:], scores // K, K))


@compiled_part
def _take_rows(worker, workers, scores, y, rows, K):
    """A worker's share of softmax."""
    softmax_rows(scores, y, worker * rows // workers, (worker + 1) * rows // workers, K)


@compiled_part
def _take_numbers(worker, workers, curve, y):
    """A worker's share of sigmoid or tanh."""
    mine = y[worker * y.size // workers : (worker + 1) * y.size // workers]
    if curve == SIGMOID:
        sigmoid_in_place(mine)
    else:
        tanh_in_place(mine)


@compiled_part
def _target(k, stages, arrays):
    """Where the numbers of a link go."""
    g, (_, arena, y) = stages[k], arrays
    return y if k == stages.size - 1 else arena[g.y : g.y + g.y_size]


@compiled_part
def _fetch_weights(worker, workers, k, stages, all_addresses, arena):
    """Copy a worker's share of what tiles cannot read where it is, in an order that they can."""
    g, addresses = stages[k], all_addresses[k]
    if g.pads and worker == 0:
        for f in range(padded(g.F, g.lanes)):
            arena[g.start + f] = 0
        if addresses[1] != 0:
            bias = array_at(addresses[1], g.F, arena)
            for f in range(g.F):
                arena[g.start + f] = bias[f]
    if g.packs:
        shape = (1, g.P, g.Q, g.K, g.F, 1)
        filters = array_at(addresses[0], g.P * g.Q * g.K * g.F, arena).reshape(shape)
        packed = arena[g.filters : g.filters + g.filters_size]
        for piece in share_of(worker, workers, piece_count(g.P, g.Q, g.K)):
            pack_piece(filters, packed, piece, g.blocks, g.width, g.lanes)


@compiled_part
def _take_share(worker, workers, k, stages, addresses, arrays, zeros, scratch):
    """A worker's share of one link; before that, of fetching the weights of the next."""
    x, arena, _ = arrays
    if k + 1 < stages.size:
        _fetch_weights(worker, workers, k + 1, stages, addresses, arena)
    g = stages[k]
    source, target = x if k == 0 else arena[g.x : g.x + g.x_size], _target(k, stages, arrays)
    window = (g.pool_P, g.pool_Q, g.pool_s, g.pool_t, g.pool_top, g.pool_left)
    pooling = (*window, g.pool_I, g.pool_J)
    if g.pools > BEHIND:
        _pool_rows(worker, workers, (source, target), g, pooling)
        return
    filters = arena[g.filters : g.filters + g.filters_size]
    if not g.packs:
        filters = array_at(addresses[k, 0], g.filters_size, arena)
    start = arena[g.start : g.start + padded(g.F, g.lanes)]
    if not g.pads:
        start = array_at(addresses[k, 1], g.F, arena)
    floor = x.dtype.type(0 if g.relu else -np.inf)
    cut = (g.copies != 0, g.asks != 0, g.shares, g.blocks, g.lanes, g.spill)
    job = Job(filters, start, zeros, floor, g.step, False, *cut)
    if g.pools == BEHIND:
        pools = (pooling, g.pool_rows, g.J)
        pooled_tasks(worker, workers, (source, target, None), g, job, pools, scratch)
    else:
        sweep_tasks(worker, workers, (source, target), g, job, scratch)


@compiled_part
def _pool_rows(worker, workers, arrays, g, pooling):
    """A worker's share of a pooling that is a link of its own."""
    (x, y), (I, J) = arrays, pooling[6:]
    for row in share_of(worker, workers, g.N * I):
        at_x, at_y = row // I * g.H * g.W * g.C, row * J * g.C
        if g.pools == AVERAGE:
            average_row(x, at_x, y, at_y, row % I, (g.H, g.W, g.C), pooling)
        else:
            floor, size = x.dtype.type(-np.inf), (g.H, g.W, g.C, g.W)
            pool_row(x, at_x, y, None, at_y, row % I, floor, size, pooling, (0, g.C))


class Plan(NamedTuple):
    """What is known of a chain before it is run."""

    stages: Array  # of STAGE
    layout: Any  # workers, end, scores, K; see _plan
    memory: int  # numbers of the arena, and of the scratch memory of all workers
    y_shape: tuple[int, ...]
    y_size: int


class _Arena:
    """Hands out places in memory; each begins a cache line after the one before, at least."""

    def __init__(self):
        self.size = 0

    def take(self, count):
        at = self.size
        self.size += padded(count, NUMBERS_APART)
        return at


@functools.lru_cache(maxsize=256)
def _plan(x_shape, dtype, described, with_softmax, workers):
    """Stages, and what lies where: first the arena, then scratch memory of the workers.

    In the arena are the numbers between two links, and filters in the order of the tiles.
    """
    stages, arena = np.zeros(len(described), STAGE), _Arena()
    shape, most = x_shape, 0
    for stage, (weight_shape, *link) in zip(stages, described, strict=True):
        if weight_shape is None:
            (fields, shape), scratch = _pooling_stage(shape, *link[3:]), 0
        else:
            fields, shape, scratch = _weighted_stage(shape, weight_shape, link, dtype, workers)
            size = fields["filters_size"]
            fields |= {"filters": 0 if fields["step"] else arena.take(size)}
            fields |= {"start": arena.take(padded(fields["F"], fields["lanes"]))}
        for name, value in fields.items():
            stage[name] = value
        stage["y_size"] = math.prod(shape)
        most = max(most, scratch)
    # what lies between two links is in one of two places, by turns
    sizes = stages["y_size"]
    turns = [arena.take(int(sizes[k:-1:2].max(initial=0))) for k in (0, 1)]
    stages["y"] = np.resize(turns, len(stages))
    stages["x"][1:], stages["x_size"][1:] = stages["y"][:-1], sizes[:-1]
    layout = (workers, arena.size, math.prod(shape), shape[-1])
    shape = (2, *shape) if with_softmax else shape
    if numba.config.DISABLE_JIT:  # in Python, only these have their fields as attributes
        stages = stages.view(np.recarray)
    memory = arena.size + workers * padded(most, NUMBERS_APART)
    return Plan(stages, layout, memory, shape, math.prod(shape))


def _weighted_stage(shape, weight_shape, link, dtype, workers):
    """The fields of a convolution or matrix product, the shape of y, and numbers of scratch."""
    biased, activation, arrangement, pooling, _ = link
    if len(weight_shape) == 2:
        (N, *_), (K, F) = shape, weight_shape
        g, shape = flattened(matmul.one_row(N, K, F)), (N, F)
    else:
        g, shape = conv2d.geometry(shape, weight_shape, arrangement)
        if pooling is None:
            g = flattened(g)
        else:
            window, *placement = pooling
            shape, pools = pooled(shape, window, *placement)
            g = seen_by_pooling(g, pools)
    g, cut = plan(g, dtype, workers)
    step, pads = step_in_place(g, cut), not biased or g.F % cut.lanes > 0
    alone = g.N * g.I * g.J * g.P * g.Q * g.K * g.F <= LITTLE_WORK
    fields = {"relu": activation == "relu", "curve": CURVES.get(activation, 0)}
    fields |= {"step": step, "packs": not step, "pads": pads, "alone": alone}
    scratch = scratch_size(g, cut)
    if pooling is not None:
        g, cut, rows = cut_for_pooling(g, cut, pools, dtype, workers)
        fields |= zip(POOLS, (BEHIND, *pools, rows), strict=True)
        scratch = scratch_for(g, cut)
    fields |= {"filters_size": g.P * g.Q * g.K * padded(g.F, cut.lanes)}
    return g._asdict() | cut._asdict() | fields, shape, scratch


def _pooling_stage(shape, pooling, averages):
    """The fields of a pooling that is a link of its own, and the shape of y."""
    (N, H, W, C), (window, *placement) = shape, pooling
    y_shape, pools = pooled(shape, window, *placement)
    fields = {"N": N, "H": H, "W": W, "C": C}
    fields |= {"alone": math.prod(y_shape) * math.prod(window) <= LITTLE_TO_READ}
    fields |= zip(POOLS, (AVERAGE if averages else ALONE, *pools, 0), strict=True)
    return fields, y_shape


def _forward_cpu(x, chain):
    workers = numba.get_num_threads()
    if not len(x):
        y = _forward_cpu(np.zeros((1, *x.shape[1:]), x.dtype), chain)
        return y[:, :0] if chain.softmax else y[:0]
    plan = _plan(x.shape, x.dtype, chain.described, chain.softmax, workers)
    y = empty((plan.y_size,), x.dtype)
    if plan.memory * x.itemsize <= AT_HAND:
        memory = scratch(1, plan.memory, x.dtype)[0, : plan.memory]
    else:
        memory = empty((plan.memory,), x.dtype)
    arrays = (x.reshape(-1), y, memory, zero_vectors(x.dtype))
    _run(threads(), plan.stages, chain.addresses, *arrays, plan.layout)
    return y.reshape(plan.y_shape)


def _forward_gpu(x, chain):
    for link in chain.links:
        x = _linked(x, link, lambda kernel: kernel)
    return cuda.module(x).stack([x, softmax.forward(x)]) if chain.softmax else x


# forward(x, chain): x is (N, H, W, C), or (N, K) if the first link is a matrix product;
# with softmax, what is returned has one axis more in front: the scores and their probabilities
forward = Kernel("chain.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu)
