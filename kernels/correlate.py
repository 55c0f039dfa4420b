"""A correlation: which filters would have made dy out of x? It serves conv2d.weight_grad.

    dw[p,q,k,f] = sum over n, i, j of  x[n,h,w,k] * dy[n,i,j,f]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Tiles as in sweep.py, turned by a quarter: what they hold is a piece of dw, neighbouring k times
neighbouring f, and they walk over the pixels.

Memory:   tiles read dy and x over and over, so a unit of pixels is copied into the order in which
          they do: dy block by block of filters, x slice by slice of channels; Goto and van de Geijn
          2008, "Anatomy of high-performance matrix multiplication", doi:10.1145/1356052.1356053.
Threads:  a task owns some of the channels k and filters f, for some of the pixels. Pixels are cut
          the same way whatever the number of threads, and the parts are added in a fixed order.
Work:     N*I*J * P*Q * K*F multiplications; the tiles do most of what the machine can.
"""

import functools
import math
from typing import NamedTuple

import numba
import numpy as np

from .compiling import compiled, compiled_part
from .geometry import (
    columns_under,
    copy_band,
    rows_under,
    run_of_tiles,
    runs_of_tiles,
    share_of,
)
from .memory import empty, scratch
from .packing import block_count, block_width, padded
from .planning import MOST, TASK_CYCLES, VECTOR_CYCLES, best_width, flattened
from .registers import lanes
from .row_tiles import most_channels, row_tiles
from .runs import add_run, clear_run, copy_run
from .sharing import share, threads
from .simd import tile, tiles, zero_vectors
from .threads import thread_count

TASKS = 32  # into so many dw is cut, or the pixels, if there is enough to do
THINNEST = 8  # channels of a task, at least
BATCH = 128  # and as many as it works on at a time, about
THIN = 32  # channels in a slice, at least, if x is copied
PIXELS = 128  # in one part, at least,
READ = 8  # and numbers of x and dy that it reads for one of dw: parts must be added up afterwards
PARTS_BYTES = 1 << 23  # of all parts together
UNIT_PIXELS = 256  # at most: a tile reads a line of x and of dy for each, from the nearest cache
UNIT_BYTES = 1 << 18  # of x, for a batch of channels: they stay in the second-level cache
PIECE_BYTES = 1 << 19  # and so much the piece of dw that a task adds up
FAR_BYTES = 1 << 10  # from pixel to pixel in dy: so far apart they are slow to reach
TOGETHER = 16  # pixels of dy that are copied together, of all blocks: so memory is read row by row
MANY_BLOCKS = 4  # of filters: for so many it pays to copy x
MANY_CELLS = 96  # of dw: for so many it pays to copy what they all read of dy


class Cuts(NamedTuple):
    """How the work is cut up."""

    parts: int  # of the pixels, each with a dw of its own
    pieces: int  # of the channels of a group: a task owns one,
    slices: int  # which is made of slices; so many are there in all,
    batch: int  # and so many are worked on at a time
    shares: int  # of the filters,
    blocks: int  # of so many blocks of vectors
    units: int  # of pixels, that are worked on one after the other: `images` times `rows`
    images: int
    rows: int
    copies: bool  # whether the pixels of a unit are copied, with zeros around them
    packs: bool  # whether dy is copied, so that the filters of a block are neighbours
    in_slice: int  # numbers of x in a unit, for one slice
    in_band: int  # for a batch, if they are copied
    in_columns: int  # numbers of dy in a unit, for one share of the filters, if they are copied


@compiled
def _correlate(threads, arrays, g, cuts, LANES, scratch):
    share(threads, scratch.shape[0], _correlate_tasks, (arrays, g, cuts, LANES, scratch))


@compiled_part
def _correlate_tasks(worker, workers, arrays, g, cuts, LANES, scratch):
    """All tasks of one worker; a row of scratch is memory of its own."""
    x, dy, parts, zeros = arrays
    memory = scratch[worker, : cuts.in_band], scratch[worker, cuts.in_band :]
    tasks = cuts.pieces * cuts.shares  # for each part
    for task in share_of(worker, workers, cuts.parts * tasks):
        part, (piece, share) = task // tasks, divmod(task % tasks, cuts.shares)
        slices = _piece(piece, cuts.pieces, cuts.slices)
        begin = part * cuts.units // cuts.parts
        for unit in range(begin, (part + 1) * cuts.units // cuts.parts):
            target = (parts[part], zeros, unit > begin, LANES)
            _correlate_unit(x, dy, target, (unit, share, *slices), g, cuts, memory)


@compiled_part
def _correlate_unit(x, dy, target, where, g, cuts, memory):
    """Add what the pixels of one unit contribute to the cells of some channels and filters.

    Group by group, and in it batch by batch of channels, so that what is copied of x stays near.
    """
    (unit, share, first_slice, end_slice), (band, columns), LANES = where, memory, target[3]
    per_image = (g.I + cuts.rows - 1) // cuts.rows
    n, first = unit // per_image * cuts.images, unit % per_image * cuts.rows
    here = n, min(cuts.images, g.N - n), first, min(cuts.rows, g.I - first)
    for group in range(g.groups):
        if cuts.packs:
            _pack_share(dy, here, (group, share), columns, g, cuts, LANES)
        for begin in range(first_slice, end_slice, cuts.batch):
            slices = begin, min(begin + cuts.batch, end_slice)
            if cuts.copies:
                for number in range(*slices):
                    at = (number - begin) * cuts.in_slice
                    _copy_slice(x, here, (group, number), g, cuts, band, at)
            _correlate_batch(
                (x, band), (dy, columns), target, (here, group, share, slices), g, cuts
            )


@compiled_part
def _piece(number, pieces, count):
    """From where to where a piece goes, if `count` things are cut into so many."""
    return number * count // pieces, (number + 1) * count // pieces


@compiled_part
def _copy_slice(x, here, which, g, cuts, band, at):
    """Copy a slice of a group's channels of what lies under some rows of windows of some images."""
    (n, images, first, rows), (group, number) = here, which
    k, k_end = _piece(number, cuts.slices, g.K)
    image = rows_under(g, rows) * columns_under(g) * (k_end - k)
    for m in range(images):
        channels = group * g.K + k, k_end - k
        copy_band(x, (n + m, first, rows), channels, g, band, at + m * image)


@compiled_part
def _pack_share(dy, here, which, columns, g, cuts, LANES):
    """Copy a share of a group's filters: all pixels of one block, then those of the next one."""
    (n, images, first, rows), (group, share) = here, which
    channels, pixels = g.groups * g.F, images * rows * g.J
    at_dy = (n * g.I + first) * g.J * channels + group * g.F
    for begin in range(0, pixels, TOGETHER):
        f = to = 0
        for number in range(cuts.blocks):
            count = block_width(g.F, f, g.width, LANES) * LANES
            if number * cuts.shares // cuts.blocks == share:
                valid = min(count, g.F - f)
                for m in range(begin, min(begin + TOGETHER, pixels)):
                    copy_run(dy, at_dy + m * channels + f, columns, to + m * count, valid)
                    clear_run(columns, to + m * count + valid, count - valid)
                to += pixels * count
            f += count


@compiled_part
def _correlate_batch(sources, gradients, target, where, g, cuts):
    """All blocks of one share of the filters, and with each of them all slices of a batch."""
    ((x, band), (dy, columns)), (here, group, share, slices) = (sources, gradients), where
    (n, images, first, rows), (part, zeros, add, LANES) = here, target
    filters, f, to = g.groups * padded(g.F, LANES), 0, 0
    for number in range(cuts.blocks):
        width = block_width(g.F, f, g.width, LANES)
        count = width * LANES
        if number * cuts.shares // cuts.blocks == share:
            at_dy = ((n * g.I + first) * g.J * g.groups + group) * g.F + f
            gradient = (columns, to, count) if cuts.packs else (dy, at_dy, g.groups * g.F)
            to += images * rows * g.J * count
            for k_slice in range(*slices):
                k, k_end = _piece(k_slice, cuts.slices, g.K)
                at_x = ((n * g.H + g.s * first - g.top) * g.W - g.left) * g.C + group * g.K + k
                source = (x, at_x, g.C, g.W * g.C, g.H * g.W * g.C)
                if cuts.copies:
                    row = columns_under(g) * (k_end - k)
                    at_x = (k_slice - slices[0]) * cuts.in_slice
                    source = (band, at_x, k_end - k, row, rows_under(g, rows) * row)
                _correlate_block(
                    source,
                    gradient,
                    (part, (g.P * g.Q * k * g.groups + group) * padded(g.F, LANES) + f, zeros, add),
                    (images, rows, k_end - k, width, filters),
                    g,
                )
        f += count


@compiled_part
def _correlate_block(source, gradient, target, settings, g):
    """All tiles for the pixels of one unit, some channels and one block of filters."""
    (x, at_x, pixel, row, image), (dy, at_dy, apart) = source, gradient
    (part, at_part, zeros, add), (images, rows, channels, width, y_pixel) = target, settings
    A, B, K, x_b = g.P, g.Q, channels, g.e * pixel
    if g.e == 1 and pixel == K:  # the columns of a window are neighbours: one long run
        B, K, x_b = 1, g.Q * K, 0
    if g.across:  # the tile goes through the columns
        B, K, x_b = 1, channels, 0
    most = g.across or MOST[width]
    loops = (images, rows, g.J, image, g.s * row, g.t * pixel, 1, apart, y_pixel)
    for a in range(A):
        for b in range(B):
            for run in range(runs_of_tiles(K, most, True)):
                k, at_once, size = run_of_tiles(run, K, most, True)
                cell = a * g.Q * channels + b * K + k
                tile(
                    g.tiles,
                    (at_once, size, width),
                    x,
                    at_x + a * g.d * row + b * x_b + k,
                    dy,
                    at_dy,
                    zeros,
                    0,
                    part,
                    at_part + cell * y_pixel,
                    add,
                    -np.inf,
                    loops,
                )


@compiled
def _add_parts(threads, workers, parts, dw, shape, slices, LANES):
    share(threads, workers, _add_rows, (parts, dw, shape, slices, LANES))


@compiled_part
def _add_rows(worker, workers, parts, dw, shape, slices, LANES):
    """Unpack and add up: dw is (P*Q, K, groups, F), and a worker owns some of its rows."""
    cells, K, groups, F = shape
    apart = padded(F, LANES)
    for row in share_of(worker, workers, cells * K * groups):
        cell, k, group = row // (K * groups), row // groups % K, row % groups
        begin, end = _piece(((k + 1) * slices - 1) // K, slices, K)
        at = ((cells * begin + cell * (end - begin) + k - begin) * groups + group) * apart
        copy_run(parts[0], at, dw, row * F, F)
        for part in range(1, parts.shape[0]):
            add_run(parts[part], at, dw, row * F, F)


def correlate(x, dy, dw, g):
    """Fill dw, (P, Q, K, groups * F), from x, (N, H, W, C), and dy, (N, I, J, groups * F)."""
    if g.N == 0:
        dw.fill(0)
        return
    dtype, LANES, workers = x.dtype, lanes(x.dtype), thread_count()
    g, cuts = _plan(flattened(g), dtype, workers)
    parts = empty((cuts.parts, dw.size // g.F * padded(g.F, LANES)), dtype)
    memory = scratch(workers, cuts.in_band + cuts.in_columns, dtype)
    arrays = (x.reshape(-1), dy.reshape(-1), parts, zero_vectors(dtype))
    _correlate(threads(), arrays, g, cuts, LANES, memory)
    shape = (g.P * g.Q, g.K, g.groups, g.F)
    _add_parts(threads(), workers, parts, dw.reshape(-1), shape, cuts.slices, LANES)


@functools.lru_cache(maxsize=1024)
def _plan(g, dtype, workers):
    """The Geometry with all its fields, and the Cuts. Sums are cut the same for all `workers`."""
    LANES, itemsize = lanes(dtype), dtype.itemsize
    g = g._replace(tiles=tiles(dtype), width=_width(g, -(-g.F // LANES)))
    if _suits_turned_tiles(g, LANES):
        g = g._replace(tiles=row_tiles(dtype, g.Q, turned=True), across=most_channels(g.Q))
    blocks, filters = block_count(g.F, g.width, LANES), g.groups * padded(g.F, LANES)
    size = g.P * g.Q * g.K * filters
    parts = _part_count(g, size, blocks, itemsize)
    images, rows = _unit(g, parts, itemsize)
    units = -(-g.N // images) * -(-g.I // rows)
    parts = min(parts, units)

    pieces, shares = _cut(g, dtype, (parts, blocks, workers), size * itemsize)
    copies = g.hangs_over or g.P * g.Q > 1 or blocks // shares >= MANY_BLOCKS
    slices = pieces * max(1, g.K // pieces // THIN) if copies else pieces
    batch = max(1, BATCH * slices // g.K)
    packs = _packs(g, LANES, itemsize, g.P * g.Q * g.K // pieces)
    in_slice = images * rows_under(g, rows) * columns_under(g) * -(-g.K // slices)
    in_columns = images * rows * g.J * -(-blocks // shares) * g.width * LANES
    return g, Cuts(
        parts,
        pieces,
        slices,
        batch,
        shares,
        blocks,
        units,
        images,
        rows,
        copies,
        packs,
        in_slice,
        in_band=in_slice * min(batch, -(-slices // pieces)) if copies else 0,
        in_columns=in_columns if packs else 0,
    )


def _packs(g, LANES, itemsize, cells):
    """Whether a block's numbers of dy are copied, which a tile reads for a few of `cells` cells.

    Where they are only some of each pixel, their lines of memory compete for the same few places
    in the nearest cache.
    """
    numbers = g.groups * g.F
    far, some = numbers * itemsize >= FAR_BYTES, numbers > g.width * LANES
    return g.F % LANES != 0 or far or (some and cells >= MANY_CELLS)


def _width(g, vectors):
    """How many vectors wide tiles should be; of equals the widest, which reads dy in one go."""
    channels = min(g.K, BATCH)
    run = g.Q * channels if _merges_columns(g) else channels
    return best_width(vectors, run, widest=True)


def _merges_columns(g):
    """Whether tiles may reach over the columns of a window, which are neighbours in a band."""
    return g.e == 1 and g.groups == 1


def _suits_turned_tiles(g, LANES):
    """Whether the tiles for all columns of a window have enough registers and work."""
    fits = _merges_columns(g) and g.t == 1 and g.F <= LANES and 1 < g.Q <= g.J
    return fits and most_channels(g.Q) > 1 and not numba.config.DISABLE_JIT


def _part_count(g, size, blocks, itemsize):
    """Into how many parts the pixels are cut, a power of two: one where dw has enough pieces.

    More of them where dw is so small that adding them up is nothing, for then each number of x and
    dy is fetched by one task only.
    """
    pixels = g.N * g.I * g.J
    pieces = max(1, g.K // THINNEST if g.groups == 1 else 1) * blocks
    read = g.N * g.H * g.W * g.C + pixels * g.groups * g.F
    wanted = max(-(-TASKS // pieces), read // (READ * size))
    most = min(TASKS, pixels // PIXELS, PARTS_BYTES // (size * itemsize))
    return 1 << max(1, min(wanted, most)).bit_length() - 1


def _unit(g, parts, itemsize):
    """(images, rows) in a unit: as many as fit, so that all parts have the same number of units."""

    def fits(images, rows):
        x = images * rows_under(g, rows) * columns_under(g) * g.groups * min(g.K, BATCH)
        return x * itemsize <= UNIT_BYTES and images * rows * g.J <= UNIT_PIXELS

    rows = max((n for n in range(1, g.I + 1) if fits(1, n)), default=1)
    if rows == g.I and parts <= g.N:
        images = max((n for n in range(1, g.N + 1) if fits(n, g.I)), default=1)
        groups = _rounded_up(-(-g.N // images), parts)
        return -(-g.N // groups), g.I
    bands = _rounded_up(-(-g.I // rows), parts // math.gcd(parts, g.N))
    return 1, -(-g.I // bands)


def _rounded_up(count, divisor):
    return -(-count // divisor) * divisor


def _cut(g, dtype, settings, size):
    """(pieces of channels, shares of filters), for which the busiest worker is done first."""
    parts, blocks, workers = settings
    LANES, pixels = lanes(dtype), g.N * g.I * g.J / parts
    most = max(1, g.K // THINNEST) if g.groups == 1 else 1
    fewest = -(-size // PIECE_BYTES)
    choices = [(n, m) for n in range(1, most + 1) for m in range(1, blocks + 1)]
    wanted = [c for c in choices if fewest <= math.prod(c) <= 4 * max(fewest, workers)]

    def finish(choice):
        pieces, shares = choice
        channels, vectors = g.groups * -(-g.K // pieces), -(-blocks // shares) * g.width
        worked = g.P * g.Q * channels * vectors / 2
        fetched = (g.s * g.t * channels / LANES + g.groups * vectors) * VECTOR_CYCLES
        rounds = -(-parts * pieces * shares // workers)
        return rounds * (TASK_CYCLES + pixels * (worked + fetched))

    return min(wanted or choices, key=finish)
