"""A chain of convolutions, poolings and matrix products in one call: what inference wants.

    x = conv2d.forward(x, weight, bias, relu)      or
    x = conv_pool.forward(x, weight, bias)         or
    x = matmul.multiply(x, weight, bias, relu)     link by link

The numbers are those of the kernels named, to the last bit. A single image is so little work that
half a dozen calls from Python would take several times as long as the arithmetic; here all links
are done before Python is asked again. What lies between two links is forgotten.

How much memory each link wants, and how its work is cut up, is planned in Python, once for each
shape of x, and handed over as a table of whole numbers: a row per link, the fields of a Stage. The
weights are passed by their addresses, because Numba would compile the loop over the links anew for
each number of them.

Work:     that of the links.
Threads:  all work on one link, then all on the next; in each as sweep.py and conv_pool.py say.
Versions: NumPy reference, register tiles (simd.py). To come: CUDA (chain.cu).
"""

import functools
import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

from . import conv2d, conv_pool, matmul
from .compiling import compiled, compiled_parallel
from .conv_pool import bands_for, pooled_tasks, rows_per_task, z_size
from .geometry import Geometry, share_of
from .kernel import Array, Kernel
from .max_pool2d import pooled
from .memory import empty, scratch
from .packing import pack_piece, padded
from .planning import flattened
from .simd import array_at, zero_vectors
from .sweep import Cut, Job, plan, scratch_size, step_in_place, sweep_tasks

EVERY_PIXEL = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)  # strides, padding, dilation, groups


AT_HAND = 1 << 23  # bytes that may be kept for the next call, always
LITTLE_WORK = 1 << 14  # multiplications, that one thread does
NUMBERS_APART = 16  # in the arena: a cache line of float32
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

    weight: Array  # (P, Q, C, F) of a convolution, or (K, F) of a matrix product
    bias: Array | None
    relu: bool = False
    arrangement: Any = EVERY_PIXEL  # as for conv2d, with groups = 1
    pooling: Any = None  # window, strides and padding, as for max_pool2d


class Chain:
    """Links that go together, in their order."""

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self.described = tuple(
            (link.weight.shape, link.bias is not None, *link[2:]) for link in links
        )
        arrays = [(link.weight, link.bias) for link in links]
        self.addresses = np.array([[_address(a) for a in pair] for pair in arrays])


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data


def _forward_reference(x, chain):
    for weight, bias, relu, arrangement, pooling in chain.links:
        if weight.ndim == 2:
            x = matmul.multiply.reference(x.reshape(len(x), -1), weight, bias, relu)
        elif pooling is None:
            x = conv2d.forward.reference(x, weight, bias, relu, *arrangement)
        else:
            window, *placement = pooling
            x, _ = conv_pool.forward.reference(x, weight, bias, arrangement, window, placement)
    return x


@compiled_parallel
def _run(stages, addresses, arrays, zeros, scratch):
    workers = scratch.shape[0]
    if stages[0].packs or stages[0].pads:
        for worker in prange(workers):
            _fetch_weights(stages[0], addresses[0], arrays[1], worker, workers)
    for k in range(stages.size):
        if stages[k].alone:  # to wake the others would take longer
            _take_share(k, stages, addresses, arrays, zeros, 0, 1, scratch[0])
        else:
            for worker in prange(workers):
                _take_share(k, stages, addresses, arrays, zeros, worker, workers, scratch[worker])


@compiled
def _fetch_weights(g, addresses, arena, worker, workers):
    """Copy a worker's share of what tiles cannot read where it is, in an order that they can."""
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
        for piece in share_of(worker, workers, g.blocks * g.P * g.Q):
            pack_piece(filters, packed, piece, g.blocks, g.width, g.lanes)


@compiled
def _take_share(k, stages, addresses, arrays, zeros, worker, workers, scratch):
    """A worker's share of one link; before that, of fetching the weights of the next."""
    x, arena, y, where = arrays
    if k + 1 < stages.size:
        _fetch_weights(stages[k + 1], addresses[k + 1], arena, worker, workers)
    g = stages[k]
    source = x if k == 0 else arena[g.x : g.x + g.x_size]
    target = y if k == stages.size - 1 else arena[g.y : g.y + g.y_size]
    filters = arena[g.filters : g.filters + g.filters_size]
    if not g.packs:
        filters = array_at(addresses[k, 0], g.filters_size, arena)
    start = arena[g.start : g.start + padded(g.F, g.lanes)]
    if not g.pads:
        start = array_at(addresses[k, 1], g.F, arena)
    floor = x.dtype.type(0 if g.relu else -np.inf)
    cut = (g.copies != 0, g.shares, g.blocks, g.lanes, g.spill)
    job = Job(filters, start, zeros, floor, g.step, False, *cut)
    if g.pools:
        window = (g.pool_P, g.pool_Q, g.pool_s, g.pool_t, g.pool_top, g.pool_left)
        pools = ((*window, g.pool_I, g.pool_J), g.pool_rows)
        pooled_tasks(worker, workers, (source, target, where), g, job, pools, scratch)
    else:
        sweep_tasks(worker, workers, (source, target), g, job, scratch)


class Plan(NamedTuple):
    """What is known of a chain before it is run."""

    stages: Array  # of STAGE
    arena: int  # numbers that lie between two links, and filters in the order of the tiles
    where: int  # in the arena: where poolings say whence their numbers come, which nobody asks
    scratch: int  # numbers for each worker
    y_shape: tuple[int, ...]


class _Arena:
    """Hands out places in memory; each begins a cache line after the one before, at least."""

    def __init__(self):
        self.size = 0

    def take(self, count):
        at = self.size
        self.size += padded(count, NUMBERS_APART)
        return at


@functools.lru_cache(maxsize=256)
def _plan(x_shape, dtype, described, workers):
    stages, arena = np.zeros(len(described), STAGE), _Arena()
    shape, most, where = x_shape, 0, 0
    for stage, (weight_shape, biased, *rest) in zip(stages, described, strict=True):
        relu, arrangement, pooling = rest
        if len(weight_shape) == 2:
            (N, *_), (K, F) = shape, weight_shape
            g, shape = flattened(matmul.one_row(N, K, F)), (N, F)
        else:
            g, shape = conv2d.geometry(shape, weight_shape, arrangement)
            g = flattened(g) if pooling is None else g
        g, cut = plan(g, dtype, workers)
        step, pads = step_in_place(g, cut), not biased or g.F % cut.lanes > 0
        work = g.N * g.I * g.J * g.P * g.Q * g.K * g.F
        fields = {"relu": relu, "step": step, "packs": not step, "pads": pads}
        fields |= {"alone": work <= LITTLE_WORK}
        scratch = scratch_size(g, cut)
        if pooling is not None:
            window, *placement = pooling
            shape, pools = pooled(shape, window, *placement)
            rows = rows_per_task(g, pools, dtype.itemsize, workers)
            g, cut = bands_for(g, pools, rows), cut._replace(shares=1)
            fields |= zip(POOLS, (True, *pools, rows), strict=True)
            scratch = z_size(g) + scratch_size(g, cut)
            where = max(where, math.prod(shape))
        size = g.P * g.Q * g.K * padded(g.F, cut.lanes)
        places = {"filters": 0 if step else arena.take(size), "filters_size": size}
        places |= {"start": arena.take(padded(g.F, cut.lanes)), "y_size": math.prod(shape)}
        for name, value in {**g._asdict(), **cut._asdict(), **fields, **places}.items():
            stage[name] = value
        most = max(most, scratch)
    # what lies between two links is in one of two places, by turns
    sizes = stages["y_size"]
    turns = [arena.take(int(sizes[k:-1:2].max(initial=0))) for k in (0, 1)]
    stages["y"] = np.resize(turns, len(stages))
    stages["x"][1:], stages["x_size"][1:] = stages["y"][:-1], sizes[:-1]
    where = arena.take(where)
    if numba.config.DISABLE_JIT:  # in Python, only these have their fields as attributes
        stages = stages.view(np.recarray)
    return Plan(stages, arena.size, where, padded(most, NUMBERS_APART), shape)


def _forward_cpu(x, chain):
    workers = numba.get_num_threads()
    if not len(x):
        one = _plan((1, *x.shape[1:]), x.dtype, chain.described, workers)
        return np.empty((0, *one.y_shape[1:]), x.dtype)
    plan = _plan(x.shape, x.dtype, chain.described, workers)
    y = empty(plan.y_shape, x.dtype)
    at_hand = plan.arena if plan.arena * x.itemsize <= AT_HAND else 0
    memory = scratch(1, at_hand + workers * plan.scratch, x.dtype)[0]
    arena = memory[:at_hand] if at_hand else empty((plan.arena,), x.dtype)
    arrays = (x.reshape(-1), arena, y.reshape(-1), arena[plan.where :].view(np.int32))
    rest = memory[at_hand : at_hand + workers * plan.scratch].reshape(workers, -1)
    _run(plan.stages, chain.addresses, arrays, zero_vectors(x.dtype), rest)
    return y


# forward(x, chain): x is (N, H, W, C), or (N, K) if the first link is a matrix product
forward = Kernel("chain.forward", reference=_forward_reference, cpu=_forward_cpu)
