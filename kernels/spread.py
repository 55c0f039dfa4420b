"""Spreading: every window gives back to the pixels under it. It serves conv2d.input_grad.

    dx[n,h,w,c] = sum over p, q of  sum over f of  dy[n,i,j,f] * filters[p,q,f,c]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image nothing is written.

For one p and q, the pixels of a row of dy meet pixels of a row of dx that lie t apart: a matrix
product, whose result the tiles add to what p and q before have left there.

Images of few channels would leave most lanes of the vectors idle. What a row of the window gives to
them is one run of Q*C neighbouring numbers; such rows are taken as windows of one column with Q*C
channels, which overlap: their runs are added one after the other.

Threads:  a task owns a band of rows of one image of dx, for some of the channels. A worker
          of the `prange` takes neighbouring tasks. Each number of dx is added up over p and
          q in order, so the tasks may depend on the number of threads.
Work:     N*I*J * P*Q * F*C multiplications; the tiles do most of what the machine can.
"""

import functools

import numpy as np

from .compiling import compiled, compiled_part
from .geometry import run_of_tiles, runs_of_tiles, share_of
from .memory import scratch
from .packing import block_count, block_width, pack
from .planning import MOST, TASK_CYCLES, VECTOR_CYCLES, best_width, cut
from .registers import lanes
from .runs import add_run, clear_run
from .sharing import share, threads
from .simd import MOST_PIXELS, WIDTHS, tile, tiles, zero_vectors
from .threads import thread_count

BAND_BYTES = 1 << 18  # of the rows of dx in one task: a share of the second-level cache


@compiled
def _spread(threads, arrays, g, shares, LANES, spills):
    share(threads, spills.shape[0], _spread_tasks, (arrays, g, shares, LANES, spills))


@compiled_part
def _spread_tasks(worker, workers, arrays, g, shares, LANES, spills):
    """All tasks of one worker; a row of spills is memory of its own."""
    dy, filters, dx, zeros = arrays
    per_image = (g.H + g.band - 1) // g.band
    per_share = g.N * per_image
    for task in share_of(worker, workers, shares[0] * per_share):
        n, begin = task % per_share // per_image, task % per_image * g.band
        end = min(begin + g.band, g.H)
        if shares[0] == 1:  # all channels are this task's: its rows are one piece of memory
            clear_run(dx, (n * g.H + begin) * g.W * g.C, (end - begin) * g.W * g.C)
        for group in range(g.groups):
            _spread_group(
                (dy, group * g.K),
                (filters, group * (filters.size // g.groups)),
                (dx, group * g.F, spills[worker]),
                (task // per_share, *shares),
                (zeros, LANES),
                (n, begin, end),
                g,
            )


@compiled_part
def _spread_group(source, packed, target, share, settings, rows, g):
    """What the filters of one group give to the rows of one task, block by block of channels."""
    (dx, at_dx, spill), (filters, at_w), (zeros, LANES) = target, packed, settings
    mine, shares, blocks = share
    n, begin, end = rows
    number = c = 0
    while c < g.F:
        width = block_width(g.F, c, g.width, LANES)
        count = width * LANES
        valid = min(count, g.F - c)
        if number * shares // blocks == mine:
            if shares > 1:
                for pixel in range((n * g.H + begin) * g.W, (n * g.H + end) * g.W):
                    clear_run(dx, pixel * g.C + at_dx + c, valid)
            for p in range(g.P):
                first, last = _meeting(begin, end, g.d * p - g.top, g.s, g.I)
                for q in range(g.Q):
                    weights = (filters, at_w + (p * g.Q + q) * g.K * count)
                    channels, where = (dx, at_dx + c, spill, valid), (n, first, last, p, q)
                    if _are_runs(g):
                        _spread_runs(source, weights, channels, (zeros, width, count), where, g)
                    else:
                        _spread_rows(source, weights, channels, (zeros, width, count), where, g)
        number += 1
        at_w += g.P * g.Q * g.K * count
        c += count


@compiled_part
def _meeting(begin, end, offset, stride, count):
    """From which k on, and up to which, of `count`:  begin <= stride*k + offset < end."""
    first = max(0, (begin - offset + stride - 1) // stride)
    return first, max(first, min(count, (end - 1 - offset) // stride + 1))


@compiled_part
def _spread_rows(source, packed, target, settings, where, g):
    """What rows of dy give to dx by way of one cell p, q of the window."""
    (dy, at_dy), (filters, at_w) = source, packed
    (dx, at_dx, spill, valid), (zeros, width, count) = target, settings
    n, first, last, p, q = where
    left, right = _meeting(0, g.W, g.e * q - g.left, g.t, g.J)
    columns, most, whole = right - left, MOST[width], valid == count
    x_pixel, y_pixel = g.groups * g.K, g.t * g.C
    loops = (1, 1, g.K, 0, 0, 1, x_pixel, count, y_pixel if whole else count)
    for i in range(first, last):
        h = g.s * i + g.d * p - g.top
        for run in range(runs_of_tiles(columns, most, whole)):
            begin, at_once, pixels = run_of_tiles(run, columns, most, whole)
            j = left + begin
            w = g.t * j + g.e * q - g.left
            at = ((n * g.H + h) * g.W + w) * g.C + at_dx
            # the last block has more channels than dx has room for: it goes by way of `spill`
            tile(
                g.tiles,
                (at_once, pixels, width),
                dy,
                ((n * g.I + i) * g.J + j) * x_pixel + at_dy,
                filters,
                at_w,
                zeros,
                0,
                dx if whole else spill,
                at if whole else 0,
                whole,
                -np.inf,
                loops,
            )
            if not whole:
                for m in range(pixels):
                    add_run(spill, m * count, dx, at + m * y_pixel, valid)


@compiled_part
def _are_runs(g):
    """Whether the channels of g are runs that overlap."""
    return g.F * g.groups > g.C


@compiled_part
def _spread_runs(source, packed, target, settings, where, g):
    """What rows of dy give to dx by way of row p of the window: overlapping runs of numbers."""
    (dy, _), (filters, at_w) = source, packed  # of the one group that there is
    (dx, at_run, spill, valid), (zeros, width, count) = target, settings
    n, first, last, p, _ = where
    loops = (1, 1, g.K, 0, 0, 1, g.K, count, count)
    for i in range(first, last):
        h = g.s * i + g.d * p - g.top
        row = (n * g.H + h) * g.W * g.C
        for run in range(runs_of_tiles(g.J, MOST[width], False)):
            j, at_once, pixels = run_of_tiles(run, g.J, MOST[width], False)
            tile(
                g.tiles,
                (at_once, pixels, width),
                dy,
                ((n * g.I + i) * g.J + j) * g.K,
                filters,
                at_w,
                zeros,
                0,
                spill,
                0,
                False,
                -np.inf,
                loops,
            )
            for m in range(pixels):
                at = (g.t * (j + m) - g.left) * g.C + at_run  # may begin or end outside the row
                begin, end = max(at, 0), min(at + valid, g.W * g.C)
                if begin < end:
                    add_run(spill, m * count + begin - at, dx, row + begin, end - begin)


def _as_runs(filters, g):
    """The filters and the Geometry for which the channels of a row of the window are one run."""
    P, Q, K, C = filters.shape[1:]
    runs = filters.transpose(0, 1, 3, 2, 4).reshape(1, P, 1, K, Q * C)
    return runs, g._replace(Q=1, F=Q * C)


def spread(dy, filters, dx, g):
    """Fill dx.

    Args:
        dy: (N, I, J, groups * K).
        filters: (groups, P, Q, K, F), of the dtype of dy: F channels of dx from K filters.
        dx: (N, H, W, C), with C = groups * F.
        g: a Geometry; its last fields, from band on, are filled in here.
    """
    dtype, workers = dy.dtype, thread_count()
    if g.groups == 1 and g.e == 1 and g.C < lanes(dtype):
        filters, g = _as_runs(filters, g)
    g, shares = _plan(g, dtype, workers)
    spills = scratch(workers, MOST_PIXELS * max(WIDTHS) * lanes(dtype), dtype)
    packed = pack(filters, g.width)
    arrays = (dy.reshape(-1), packed, dx.reshape(-1), zero_vectors(dtype))
    _spread(threads(), arrays, g, shares, lanes(dtype), spills)


@functools.lru_cache(maxsize=1024)
def _plan(g, dtype, workers):
    """The Geometry with all its fields, and how the channels are cut: (shares, blocks)."""
    LANES = lanes(dtype)
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // LANES), g.J))
    blocks = block_count(g.F, g.width, LANES)

    def cycles(rows, blocks):
        vectors = g.groups * g.P * g.Q * g.K * blocks * g.width
        return TASK_CYCLES + rows / g.s * g.J * vectors / 2 + vectors * VECTOR_CYCLES

    fitting = BAND_BYTES // (g.W * g.C * dtype.itemsize)
    shared = 1 if _are_runs(g) else blocks  # two tasks must not add to the same numbers
    band, shares = cut(g.N, g.H, fitting, shared, workers, cycles)
    return g._replace(band=band), (shares, blocks)
