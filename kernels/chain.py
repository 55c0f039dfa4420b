"""Convolutions, matrix products and poolings, linked with each other, in one call: for inference.

    x = conv2d.forward(x, weight, bias, relu)      or
    x = conv_pool.forward(x, weight, bias)         or
    x = matmul.multiply(x, weight, bias, relu)     or
    x = max_pool2d.forward(x)                      or
    x = average_pool2d.forward(x)                  link by link; and behind it, where it is wanted,

    x = batch_norm.normalize(x, line, relu, shortcut);  x = min(x, ceiling)
    x = sigmoid(x)  or  tanh(x)

    and at the end of all softmax.forward(x)

The numbers are those of the kernels named, to the last bit. A single image is so little work that
half a dozen calls from Python would take several times as long as the arithmetic; here all links
are done before Python is asked again. A link reads what the one before it made, or an earlier one,
as does a shortcut: that of a residual block, which is added.

The weights are passed by their addresses, because Numba would compile the loop over the links anew
for each number of them.

Work:     that of the links.
Threads:  all work on one link, then all on the next; in each as sweep.py, conv_pool.py and
          depthwise.py say, and a pooling alone is shared by rows of windows.
Versions: NumPy reference, register tiles (simd.py). On a GPU: the kernels named, link by link.
"""

import math
import operator

import numpy as np

from . import (
    average_pool2d,
    batch_norm,
    conv2d,
    conv_pool,
    cuda,
    matmul,
    max_pool2d,
    precision,
    sigmoid,
    softmax,
)
from .average_pool2d import average_row
from .batch_norm import normalize_in_place
from .chain_plan import (
    AVERAGES,
    CHANNEL_SUMS,
    COPIES,
    CURVES,
    POOLS,
    SUMS_AND_POOLS,
    Line,
    Link,
    Plan,
    X,
    finishes,
    last_readers,
    plan_links,
    reads_of,
    source_of,
)
from .compiling import compiled, compiled_part
from .conv_pool import pooled_tasks
from .depthwise import fill_row
from .geometry import share_of
from .kernel import Array, Kernel, is_gpu_array
from .max_pool2d import pool_row
from .memory import empty, scratch
from .packing import filters_of, pack_piece, padded, piece_count
from .runs import copy_run
from .sharing import share, threads
from .sigmoid import sigmoid_in_place, tanh_in_place
from .simd import array_at, zero_vectors
from .softmax import softmax_rows
from .sweep import Job, place_of, sweep_rows, tasks_per_share
from .threads import thread_count

__all__ = ["Chain", "Line", "Link", "X", "forward"]

MOST_PLANS = 64  # that a chain keeps: batches may have as many sizes as they like
AT_HAND = 1 << 23  # bytes that may be kept for the next call, always
FEW_POWERS = 1 << 7  # of e, that one thread takes,
FEW_CURVES = 1 << 13  # and so many of them, on vectors
SIGMOID = CURVES["sigmoid"]


class Chain:
    """Links that go together, in their order.

    softmax: whether the numbers of the last link are scores, whose probabilities are wanted, too.
    """

    def __init__(self, links: list[Link], softmax: bool = False) -> None:
        self.links, self.softmax = links, softmax
        self.addresses = np.array([list(map(_address, _arrays(link))) for link in links])
        self._plans: dict[tuple[object, ...], Plan] = {}

    def plan(self, x: Array) -> Plan:
        """What is known of the computation for all x of this shape."""
        key = x.shape, x.dtype, thread_count()
        if key not in self._plans:
            if len(self._plans) == MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan_links(self.links, x.shape, x.dtype, self.softmax, key[2])
        return self._plans[key]


def _arrays(link: Link) -> tuple[Array | None, ...]:
    line = (None,) * 4 if link.line is None else link.line[:4]
    return link.weight, link.bias, *line


def _address(array: Array | None) -> int:
    return 0 if array is None or is_gpu_array(array) else array.ctypes.data


def _linked(x, chain, version):
    """What a chain makes of x, by a version of the kernels that the table on top names."""
    results = {X: x}
    last = last_readers([reads_of(k, link) for k, link in enumerate(chain.links)])
    for k, link in enumerate(chain.links):
        shortcut = None if link.shortcut is None else results[link.shortcut]
        with precision.rounding_to("float32"):  # as on the CPU
            y = _begun(results[source_of(k, link)], link, version)
        results[k] = y = _finished(y, link, shortcut, version)
        for earlier in range(k):
            if last[earlier] == k:
                results[earlier] = None  # so that its memory can serve again
    return y


def _begun(x, link, version):
    """What a link makes of x by its weight or pooling."""
    relu = link.activation == "relu" and not finishes(link)
    if link.weight is None and link.pooling is None:
        return x
    if link.weight is None:
        y = version((average_pool2d if link.averages else max_pool2d).forward)(x, *link.pooling)
        return y if link.averages else y[0]
    if link.weight.ndim == 2:
        x = x.reshape(len(x), len(link.weight))
        return version(matmul.multiply)(x, link.weight, link.bias, relu)
    if link.pooling is None:
        return version(conv2d.forward)(x, link.weight, link.bias, relu, *link.arrangement)
    window, *placement = link.pooling
    args = x, link.weight, link.bias, link.arrangement, window, placement
    return version(conv_pool.forward)(*args)[0]


def _finished(y, link, shortcut, version):
    """What a link makes of that by its line, its shortcut and its activation."""
    if finishes(link):
        relu = link.activation == "relu"
        y = version(batch_norm.normalize)(y, *_coefficients(link.line, y), relu, shortcut)
        if link.ceiling < math.inf:
            y = (cuda.module(y) if is_gpu_array(y) else np).minimum(y, y.dtype.type(link.ceiling))
    return version(getattr(sigmoid, link.activation))(y) if link.activation in CURVES else y


def _coefficients(line: Line | None, y: Array) -> tuple[Array, Array, Array]:
    """Mean, scale and shift of a line, as batch_norm.normalize wants them."""
    library = cuda.module(y) if is_gpu_array(y) else np
    one, zero = (library.full(y.shape[-1:], value, y.dtype) for value in (1, 0))
    if line is None:
        return zero, one, zero
    gamma = one if line.gamma is None else line.gamma
    scale = gamma / library.sqrt(line.variance + y.dtype.type(line.epsilon))
    return line.mean, scale, zero if line.beta is None else line.beta


def _forward_reference(x, chain):
    y = _linked(x, chain, operator.attrgetter("reference"))
    return np.stack([y, softmax.forward.reference(y)]) if chain.softmax else y


@compiled
def _run(threads, stages, rows, addresses, x, y, memory, zeros, layout):
    workers, end, scores, K = layout
    arena, scratch = memory[:end], memory[end:].reshape(workers, -1)
    arrays = (x, arena, y)
    share(threads, workers, _fetch_weights, (0, stages, addresses, arrays[1]))
    for k in range(stages.size):
        takers = 1 if stages[k].alone else workers  # to wake the others would take longer
        share(threads, takers, _take_share, (k, stages, rows, addresses, arrays, zeros, scratch))
        if stages[k].curve != 0:
            takers = 1 if stages[k].y_size <= FEW_CURVES else workers
            share(threads, takers, _take_numbers, (stages[k].curve, _result(k, stages, arrays)))
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
def _result(k, stages, arrays):
    """Where the numbers of a link are; X stands for what goes into the chain."""
    x, arena, y = arrays
    if k == X:
        return x
    g = stages[k]
    return y if k == stages.size - 1 else arena[g.y : g.y + g.y_size]


@compiled_part
def _fetch_weights(worker, workers, k, stages, all_addresses, arena):
    """Copy a worker's share of what cannot be read where it is, in an order in which it can."""
    g, addresses = stages[k], all_addresses[k]
    if g.pads and worker == 0:
        for f in range(padded(g.F, g.lanes)):
            arena[g.start + f] = 0
        if addresses[1] != 0:
            bias = array_at(addresses[1], g.F, arena)
            for f in range(g.F):
                arena[g.start + f] = bias[f]
    if g.finishes and worker == workers - 1:
        _fetch_line(g, addresses, arena)
    if g.packs:
        shape = (1, g.P, g.Q, g.K, g.F, 1)
        filters = array_at(addresses[0], g.P * g.Q * g.K * g.F, arena).reshape(shape)
        packed = arena[g.filters : g.filters + g.filters_size]
        for piece in share_of(worker, workers, piece_count(g.P, g.Q, g.K)):
            pack_piece(filters, packed, piece, g.blocks, g.width, g.lanes)


@compiled_part
def _fetch_line(g, addresses, arena):
    """Mean, scale and shift of a link, for each number of a wide row; see batch_norm.py."""
    mean, scale, shift = _line(g, arena)
    C, epsilon = g.channels, arena.dtype.type(g.epsilon)
    mean[:C], scale[:C], shift[:C] = 0, 1, 0
    if addresses[4] != 0:
        scale[:C] = array_at(addresses[4], C, arena)
    if addresses[5] != 0:
        shift[:C] = array_at(addresses[5], C, arena)
    if addresses[2] != 0:
        mean[:C] = array_at(addresses[2], C, arena)
        variance = array_at(addresses[3], C, arena)
        for c in range(C):
            scale[c] /= math.sqrt(variance[c] + epsilon)
    for k in range(C, g.line_size):
        mean[k], scale[k], shift[k] = mean[k - C], scale[k - C], shift[k - C]


@compiled_part
def _line(g, arena):
    """Three rows in the arena."""
    a, b, c = g.line, g.line + g.line_size, g.line + 2 * g.line_size
    return arena[a:b], arena[b:c], arena[c : c + g.line_size]


@compiled_part
def _take_share(worker, workers, k, stages, all_rows, addresses, arrays, zeros, scratch):
    """A worker's share of one link; before that, of fetching the weights of the next."""
    arena, g = arrays[1], stages[k]
    if k + 1 < stages.size:
        _fetch_weights(worker, workers, k + 1, stages, addresses, arena)
    x, y = _result(g.source, stages, arrays), _result(k, stages, arrays)
    floor = x.dtype.type(0 if g.relu else -np.inf)
    shortcut = _result(g.shortcut, stages, arrays) if g.adds else arena[:0]
    finish = (_line(g, arena), shortcut, floor, x.dtype.type(g.ceiling))
    if g.kind == COPIES:
        _copy_share(worker, workers, x, y, g, finish)
        return
    window = (g.pool_P, g.pool_Q, g.pool_s, g.pool_t, g.pool_top, g.pool_left)
    pooling = (*window, g.pool_I, g.pool_J)
    if g.kind == POOLS or g.kind == AVERAGES:
        _pool_rows(worker, workers, (x, y), g, pooling)
        return
    filters = arena[g.filters : g.filters + g.filters_size]
    if not g.packs:
        filters = array_at(addresses[k, 0], g.filters_size, arena)
    start = arena[g.start : g.start + padded(g.F, g.lanes)]
    if not g.pads:
        start = array_at(addresses[k, 1], g.F, arena)
    if g.kind == CHANNEL_SUMS:
        rows = all_rows[g.rows : g.rows + g.I]
        _channel_tasks(worker, workers, (x, filters, y, start), rows, g, finish)
        return
    if g.finishes:  # only then relu is due
        floor = x.dtype.type(-np.inf)
    cut = (g.copies != 0, g.asks != 0, g.shares, g.blocks, g.lanes, g.spill)
    job = Job(filters, start, zeros, floor, g.step, False, *cut)
    if g.kind == SUMS_AND_POOLS:
        pools = (pooling, g.pool_rows, g.J)
        pooled_tasks(worker, workers, (x, y, None), g, job, pools, scratch)
    else:
        _finished_tasks(worker, workers, (x, y), g, job, finish, scratch[worker])


@compiled_part
def _finished_tasks(worker, workers, arrays, g, job, finish, memory):
    """What sweep_tasks does; what a task has made is finished while the cache still holds it."""
    x, y = arrays
    spill, band = memory[: job.spill], memory[job.spill :]
    for task in share_of(worker, workers, job.shares * tasks_per_share(g)):
        n, first, rows, mine = where = place_of(task, g)
        at = (n * g.I + first) * g.J * g.F
        sweep_rows(x, (y, at, spill), band, where, g, job)
        if g.finishes:
            own = filters_of(mine, job.shares, job.blocks, g.F, g.width, job.lanes)
            _finish_pixels(y, at, rows * g.J, own, g.F, finish)


@compiled_part
def _channel_tasks(worker, workers, arrays, rows, g, finish):
    """A worker's share of a depthwise convolution; each task is finished as above."""
    cuts = (g.N, g.shares, g.lanes, g.H * g.W * g.C)
    numbers = (g.J, g.d * g.W * g.C, g.Q * g.C, -g.left, g.W, g.C)
    relu = np.int64(g.relu and not g.finishes)
    for task in share_of(worker, workers, g.shares * g.N * g.I):
        at, own = fill_row(task, g.tiles, arrays, rows, cuts, numbers, relu)
        if g.finishes:
            _finish_pixels(arrays[2], at, g.J, own, g.C, finish)


@compiled_part
def _finish_pixels(y, at, pixels, own, channels, finish):
    """Finish some pixels of y, which begin at `at`; of each, the channels from, to."""
    (begin, end), ((mean, scale, shift), shortcut, floor, ceiling) = own, finish
    if end - begin == channels:
        line = (mean, scale, shift)
        _finish_run(y, at, at + pixels * channels, line, shortcut, floor, ceiling)
        return
    line = (mean[begin:end], scale[begin:end], shift[begin:end])
    for pixel in range(pixels):
        here = at + pixel * channels
        _finish_run(y, here + begin, here + end, line, shortcut, floor, ceiling)


@compiled_part
def _finish_run(y, begin, end, line, shortcut, floor, ceiling):
    """Finish numbers of y that stand one behind the other."""
    normalize_in_place(y, begin, end, line, shortcut, floor)
    if ceiling < np.inf:
        for k in range(np.uint64(begin), np.uint64(end)):
            y[k] = ceiling if y[k] > ceiling else y[k]  # NaN stays


@compiled_part
def _copy_share(worker, workers, x, y, g, finish):
    """A worker's share of a link that takes numbers as they are, to finish them."""
    pixels = y.size // g.channels
    begin, end = worker * pixels // workers, (worker + 1) * pixels // workers
    at, own = begin * g.channels, (np.int64(0), g.channels)
    copy_run(x, at, y, at, (end - begin) * g.channels)
    _finish_pixels(y, at, end - begin, own, g.channels, finish)


@compiled_part
def _pool_rows(worker, workers, arrays, g, pooling):
    """A worker's share of a pooling that is a link of its own."""
    (x, y), (I, J) = arrays, pooling[6:]
    for row in share_of(worker, workers, g.N * I):
        at_x, at_y = row // I * g.H * g.W * g.C, row * J * g.C
        if g.kind == AVERAGES:
            average_row(x, at_x, y, at_y, row % I, (g.H, g.W, g.C), pooling)
        else:
            floor, size = x.dtype.type(-np.inf), (g.H, g.W, g.C, g.W)
            pool_row(x, at_x, y, None, at_y, row % I, floor, size, pooling, (0, g.C))


def _forward_cpu(x, chain):
    if not len(x):
        y = _forward_cpu(np.zeros((1, *x.shape[1:]), x.dtype), chain)
        return y[:, :0] if chain.softmax else y[:0]
    plan = chain.plan(x)
    y = empty((plan.y_size,), x.dtype)
    if plan.memory * x.itemsize <= AT_HAND:
        memory = scratch(1, plan.memory, x.dtype)[0, : plan.memory]
    else:
        memory = empty((plan.memory,), x.dtype)
    arrays = (x.reshape(-1), y, memory, zero_vectors(x.dtype))
    _run(threads(), plan.stages, plan.rows, chain.addresses, *arrays, plan.layout)
    return y.reshape(plan.y_shape)


def _forward_gpu(x, chain):
    y = _linked(x, chain, lambda kernel: kernel)
    return cuda.module(x).stack([y, softmax.forward(y)]) if chain.softmax else y


# forward(x, chain): x is (N, H, W, C), or (N, K) if the first link is a matrix product;
# with softmax, what is returned has one axis more in front: the scores and their probabilities
forward = Kernel("chain.forward", reference=_forward_reference, cpu=_forward_cpu, gpu=_forward_gpu)
