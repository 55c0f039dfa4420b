"""A sweep: a window moves over images, and register tiles add up the products under it.

    y[n,i,j,f] = start[f] + sum over p, q, k of  x[n,h,w,k] * filters[p,q,k,f]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

It serves conv2d.forward, the matrix product, and conv2d.input_grad where strides are 1.

Threads:  a task owns a band of output rows of one image, for some of the filters. A worker
          of the `prange` takes neighbouring tasks, and has scratch memory of its own. Each
          number of y is one sum in a fixed order, so the tasks may depend on the number of
          threads.
Work:     N*I*J * P*Q * K*F multiplications; the tiles do most of what the machine can.
"""

import functools
from typing import NamedTuple

import numpy as np

from .compiling import compiled, compiled_part
from .geometry import (
    columns_under,
    copy_band,
    run_of_tiles,
    runs_of_tiles,
    share_of,
    three_loops,
)
from .kernel import Array
from .memory import scratch
from .packing import block_count, block_width, pack
from .planning import MOST, TASK_CYCLES, VECTOR_CYCLES, best_width, cut, flattened
from .prefetch import claim_run, fetch_run
from .registers import VECTOR_BYTES, lanes
from .row_tiles import pixels_in_row, row_tiles
from .runs import copy_run
from .sharing import share, threads
from .simd import MOST_PIXELS, WIDTHS, store_fence, tile, tiles, zero_vectors
from .threads import thread_count
from .tile_code import ADD, PASS_CACHES, REPLACE

FEW_PIXELS = 16  # for so few it does not pay to pack the filters,
SOME_PIXELS = 256  # nor for these, if the second-level cache holds
SOME_WEIGHTS = 1 << 17  # all filters of the task,
FEW_WEIGHTS = 1 << 11  # and so few do not need it
FAR_BYTES = 1 << 22  # of x and y together: so many that they come from afar
FEWEST_STEPS = 64  # of a sum, for which it costs next to nothing to ask for the line of its result
CACHED_BYTES = 1 << 24  # of y: of more, the last-level cache would not hold much until it is read
STRETCH_BYTES = 1 << 18  # of filters that are used again and again: a share of the same cache


@compiled
def _sweep(threads, arrays, g, job, scratch):
    share(threads, scratch.shape[0], sweep_tasks, (arrays, g, job, scratch))


@compiled_part
def sweep_tasks(worker, workers, arrays, g, job, scratch):
    """All tasks of one worker; a row of scratch is its own, as much as scratch_size says."""
    (x, y), memory = arrays, scratch[worker]
    spill, band = memory[: job.spill], memory[job.spill :]
    for task in share_of(worker, workers, job.shares * tasks_per_share(g)):
        n, first, rows, mine = place_of(task, g)
        target = (y, (n * g.I + first) * g.J * g.groups * g.F, spill)
        sweep_rows(x, target, band, (n, first, rows, mine), g, job)
    if job.passes:
        store_fence()


@compiled_part
def tasks_per_share(g):
    """How many tasks all pixels make, for one share of the filters."""
    return g.N * ((g.I + g.band - 1) // g.band)


@compiled_part
def place_of(task, g):
    """Image, first row, number of rows and share of the filters of a task."""
    per_image = (g.I + g.band - 1) // g.band
    share, band = divmod(task, tasks_per_share(g))
    first = band % per_image * g.band
    return band // per_image, first, min(g.band, g.I - first), share


@compiled_part
def sweep_rows(x, target, band, where, g, job):
    """Some rows of one image, for a share of the filters."""
    (n, first, rows, mine), (y, at_y, spill) = where, target
    source, row = x, g.W * g.C
    at_x = ((n * g.H + g.s * first - g.top) * g.W - g.left) * g.C
    if job.copies:
        begin = np.int64(0)  # to Numba, a plain 0 is a type of its own, to be compiled for
        copy_band(x, (n, first, rows), (begin, g.C), g, band, begin)
        source, row, at_x = band, columns_under(g) * g.C, 0
    for group in range(g.groups):
        _sweep_group(
            (source, at_x + group * g.K, row),
            (job.filters, group * (g.F if job.step else job.filters.size // g.groups), job.step),
            (job.start, job.zeros, group * g.F),
            (y, at_y + group * g.F, spill),
            (first, rows, job.floor, job.lanes, job.passes),
            (mine, job.shares, job.blocks),
            (x, (n * g.H + g.s * (first + rows)) * g.W * g.C, job.asks and not job.passes),
            g,
        )


@compiled_part
def _sweep_group(source, packed, begin, target, settings, own, ahead, g):
    """All rows of one task, for the share of one group's filters that is the task's.

    Block by block of filters, and in a block stretch by stretch of the window: a stretch is as much
    of the filters as stays in the second-level cache while all pixels of the task pass by it.
    """
    (x, at_x, row), (filters, at_w, step) = source, packed
    (start, zeros, at_start), (y, at_y, spill) = begin, target
    task_row, rows, floor, LANES, passes = settings
    A, B, K, x_a, x_b, x_k = three_loops(g, row)
    (mine, shares, blocks), (images, at_next, asks) = own, ahead
    number = f = 0
    while f < g.F:
        width = block_width(g.F, f, g.width, LANES)
        count = width * LANES
        w_step = step or count
        at_block = at_w + (f if step else A * B * K * f)
        whole = f + count <= g.F
        most = STRETCH_BYTES // (count * x.itemsize) if whole else A * B * K
        a_step, b_step, k_pieces = _stretch(A, B, K, most)
        for a in range(0, A if number * shares // blocks == mine else 0, a_step):
            for b in range(0, B, b_step):
                for k_piece in range(k_pieces):
                    k, k_end = k_piece * K // k_pieces, (k_piece + 1) * K // k_pieces
                    first = a == 0 and b == 0 and k == 0
                    last = a + a_step >= A and b + b_step >= B and k_end == K
                    mode = ADD if not first else PASS_CACHES if passes and last else REPLACE
                    _sweep_stretch(
                        (x, at_x + a * x_a + b * x_b + k * x_k, g.s * row),
                        (filters, at_block + ((a * B + b) * K + k) * w_step, w_step),
                        (start if first else zeros, at_start + f if first else 0),
                        (y, at_y + f, spill, min(g.F - f, count)),
                        (rows, mode, floor if last else -np.inf, width, count),
                        (min(a_step, A - a), b_step, k_end - k, x_a, x_b, x_k),
                        (task_row, first and last, asks and first and f == 0),
                        (images, at_next),
                        g,
                    )
        number += 1
        f += count


@compiled_part
def _stretch(A, B, K, most):
    """Cut the loops of a sum into stretches of `most` steps: (a, b at once, pieces of k)."""
    if B * K > most:
        return 1, 1, (K + most - 1) // most
    return min(A, most // (B * K)), B, 1


@compiled_part
def _window_rows(h, A, g):
    """Which of a window's A rows lie inside the image, the first of them at row h: from, to.

    Rows of zeros above and below need not be added up; but a tile wants one row at least.
    """
    begin = max(0, (g.d - 1 - h) // g.d)  # rounded up
    end = min(A, (g.H - 1 - h) // g.d + 1)
    return (begin, end) if begin < end else (0, 1)


@compiled_part
def _look_ahead(i, target, ahead, g):
    """Ask for the next row of y, and for the rows of x that the next task wants after i others."""
    (y, at_y), (x, at_x) = target, ahead
    row, x_rows = g.J * g.groups * g.F, g.s * g.W * g.C
    claim_run(y, at_y + (i + 1) * row, row)
    fetch_run(x, at_x + i * x_rows, x_rows)


@compiled_part
def _sweep_stretch(source, packed, begin, target, settings, steps, where, ahead, g):
    """All tiles of one block of filters and one stretch of the window."""
    (x, at_x, x_row), (filters, at_w, w_step) = source, packed
    (start, at_start), (y, at_y, spill, valid) = begin, target
    (rows, mode, floor, width, count), (A, B, K, x_a, x_b, x_k) = settings, steps
    most = g.across or MOST[width]
    whole = valid == count
    runs = runs_of_tiles(g.J, most, whole)
    channels = g.groups * g.F
    y_pixel = channels if whole else count
    task_row, whole_window, asks = where
    for i in range(rows):
        if asks:
            _look_ahead(i, (y, at_y), ahead, g)
        a, a_end = 0, A
        if whole_window:
            a, a_end = _window_rows(g.s * (task_row + i) - g.top, A, g)
        loops = (a_end - a, B, K, x_a, x_b, x_k, g.t * g.C, w_step, y_pixel)
        for run in range(runs):
            j, at_once, pixels = run_of_tiles(run, g.J, most, whole)
            at = at_y + (i * g.J + j) * channels
            # the last block may have more filters than y has room for: it goes by way of `spill`
            tile(
                g.tiles,
                (at_once, pixels, width),
                x,
                at_x + i * x_row + j * g.t * g.C + a * x_a,
                filters,
                at_w + a * B * K * w_step,
                start,
                at_start,
                y if whole else spill,
                at if whole else 0,
                mode,
                floor,
                loops,
            )
            if not whole:
                for m in range(pixels):
                    copy_run(spill, m * count, y, at + m * channels, valid)


class Cut(NamedTuple):
    """How the work is cut up, beside the Geometry."""

    copies: bool  # whether bands are copied, because windows hang over the border
    asks: bool  # whether memory is asked for ahead
    shares: int  # into so many the filters are cut,
    blocks: int  # of so many blocks of vectors
    lanes: int  # numbers in a vector
    spill: int  # numbers of scratch memory for a tile that has no room in y


class Job(NamedTuple):
    """What all tasks of a sweep share, beside its Geometry; from `copies` on, a Cut."""

    filters: Array  # packed, or as they are
    start: Array  # where the sums begin, (groups * F,) and up to a vector more
    zeros: Array
    floor: float  # results below it become it
    step: int  # from one step of the sum to the next in the filters, if they are not packed; or 0
    passes: bool  # whether y is written past the caches
    copies: bool
    asks: bool
    shares: int
    blocks: int
    lanes: int
    spill: int


@functools.lru_cache(maxsize=1024)
def plan(g, dtype, workers):
    """The Geometry with all its fields, and the Cut."""
    LANES = lanes(dtype)
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // LANES), g.J))
    if _suits_row_tiles(g, dtype):
        g = g._replace(tiles=row_tiles(dtype, g.Q), across=pixels_in_row(g.J, g.Q))
    blocks, cycles = block_count(g.F, g.width, LANES), functools.partial(task_cycles, g, LANES)
    band, shares = cut(g.N, g.I, g.fitting_rows(dtype.itemsize), blocks, workers, cycles)
    spill = MOST_PIXELS * max(WIDTHS) * LANES
    far = (g.N * g.H * g.W * g.C + g.N * g.I * g.J * g.F * g.groups) * dtype.itemsize > FAR_BYTES
    asks = far and g.P * g.Q * g.K >= FEWEST_STEPS
    return g._replace(band=band), Cut(g.hangs_over, asks, shares, blocks, LANES, spill)


def task_cycles(g, LANES, rows, blocks):
    """About how long a task takes that owns some rows of an image and some blocks of filters."""
    vectors = g.groups * g.P * g.Q * g.K * blocks * g.width
    copied = g.band_size(rows) // LANES if g.hangs_over else 0
    return TASK_CYCLES + rows * g.J * vectors / 2 + (vectors + copied) * VECTOR_CYCLES


def _suits_row_tiles(g, dtype):
    """Whether all filters fit into a vector, and the steps and columns of the window are one apart.

    A row of the window must fit into one stretch, too.
    """
    row_bytes = g.Q * g.K * lanes(dtype) * dtype.itemsize
    fits = g.F <= lanes(dtype) and row_bytes <= STRETCH_BYTES
    return fits and (g.t, g.e) == (1, 1) and pixels_in_row(g.J, g.Q) > 0


def prepare(filters, start, relu, g):
    """Pack the filters and cut up the work; returns a complete Geometry and a Job.

    Args:
        filters: (groups, P, Q, K, F), a view with any strides.
        start: (groups * F,), where the sums begin; or None: at 0.
        relu: whether results below 0 become 0.
        g: a Geometry; its last fields, from band on, are filled in here.
    """
    dtype = filters.dtype
    g, cut = plan(g, dtype, thread_count())
    begin = np.zeros(g.groups * g.F + cut.lanes, dtype)  # tiles read whole vectors
    if start is not None:
        begin[: start.size] = start
    in_order = filters.transpose(1, 2, 3, 0, 4)
    step = step_in_place(g, cut) if in_order.flags.c_contiguous else 0
    packed = in_order.reshape(-1) if step else pack(filters, g.width)
    floor = dtype.type(0 if relu else -np.inf)
    return g, Job(packed, begin, zero_vectors(dtype), floor, step, False, *cut)


def step_in_place(g, cut):
    """The distance between steps in filters that tiles should read as they are, or else 0.

    To pack them would take longer than to use them, where few pixels do; and where they are few,
    the nearest cache holds them in any order.
    """
    can = g.F % cut.lanes == 0  # tiles read whole vectors
    pixels, weights = g.N * g.I * g.J, g.P * g.Q * g.K * g.F * g.groups
    some = pixels <= SOME_PIXELS and weights <= SOME_WEIGHTS
    should = some or pixels <= FEW_PIXELS or weights <= FEW_WEIGHTS
    return g.groups * g.F if can and should else 0


def scratch_size(g, cut):
    """How many numbers of scratch memory a worker needs: for a tile, and a band of x."""
    return cut.spill + (g.band_size(g.band) if cut.copies else 0)


def _passes_caches(y, F, LANES):
    """Whether y is large, and its vectors are whole lines of memory: these need not be fetched."""
    return y.nbytes > CACHED_BYTES and F % LANES == 0 and y.ctypes.data % VECTOR_BYTES == 0


def sweep(x, filters, start, relu, y, g):
    """Fill y, (N, I, J, groups * F), from x, (N, H, W, C); the rest as for prepare."""
    if g.N:
        g, job = prepare(filters, start, relu, flattened(g))
        job = job._replace(passes=_passes_caches(y, g.F, job.lanes))
        memory = scratch(thread_count(), scratch_size(g, job), x.dtype)
        _sweep(threads(), (x.reshape(-1), y.reshape(-1)), g, job, memory)
