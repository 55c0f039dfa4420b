"""A correlation: which filters would have made dy out of x? It serves conv2d.weight_grad.

    dw[p,q,k,f] = sum over n, i, j of  x[n,h,w,k] * dy[n,i,j,f]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Tiles as in sweep.py, turned by a quarter: what they hold is a piece of dw, neighbouring k times
neighbouring f, and they walk over the pixels.

Threads:  a task owns some of the channels k, for some of the pixels. Pixels and channels are cut
          the same way whatever the number of threads, and the parts are added in a fixed order.
Work:     N*I*J * P*Q * K*F multiplications; the tiles do most of what the machine can.
"""

import functools
from typing import NamedTuple

import numba
import numpy as np

from .compiling import compiled, compiled_part
from .geometry import columns_under, copy_band, rows_under, share_of
from .memory import empty, scratch
from .packing import block_width, padded
from .planning import MOST, best_width, flattened
from .row_tiles import most_channels, row_tiles
from .runs import add_run, clear_run, copy_run
from .sharing import share, threads
from .simd import lanes, tile, tiles, zero_vectors

TASKS = 32  # so many that threads of unequal speed finish together; the same on every machine
PIXELS = 128  # in one part, at least: adding up the parts must not take long
THINNEST = 8  # channels in a slice, at least
PART_BYTES = 1 << 19  # of dw in one task: a share of the second-level cache,
UNIT_BYTES = 1 << 17  # as are the pixels of x, and those of dy for one block of filters
PARTS_BYTES = 1 << 23  # of all parts together


class Cuts(NamedTuple):
    """How the work is cut up."""

    parts: int  # of the pixels, each with a dw of its own
    slices: int  # of the channels
    units: int  # of pixels, that are worked on one after the other: `images` times `rows`
    images: int
    rows: int
    copies: bool  # whether the pixels of a unit are copied, with zeros around them
    widens: bool  # whether dy is copied, with room for whole vectors
    in_band: int  # numbers of x in a unit
    in_columns: int  # numbers of dy in a unit


@compiled
def _correlate(threads, arrays, g, cuts, LANES, scratch):
    share(threads, scratch.shape[0], _correlate_tasks, (arrays, g, cuts, LANES, scratch))


@compiled_part
def _correlate_tasks(worker, workers, arrays, g, cuts, LANES, scratch):
    """All tasks of one worker; a row of scratch is memory of its own."""
    x, dy, parts, zeros = arrays
    memory = scratch[worker, : cuts.in_band], scratch[worker, cuts.in_band :]
    for task in share_of(worker, workers, cuts.parts * cuts.slices):
        part, mine = task // cuts.slices, task % cuts.slices
        channels = mine * g.K // cuts.slices, (mine + 1) * g.K // cuts.slices
        begin = part * cuts.units // cuts.parts
        for unit in range(begin, (part + 1) * cuts.units // cuts.parts):
            target = (parts[part], zeros, unit > begin, LANES)
            _correlate_unit(x, dy, target, (unit, *channels), g, cuts, memory)


@compiled_part
def _correlate_unit(x, dy, target, where, g, cuts, memory):
    """Add what the pixels of one unit contribute to the cells of some channels."""
    unit, k, k_end = where
    band, columns = memory
    per_image = (g.I + cuts.rows - 1) // cuts.rows
    n, first = unit // per_image * cuts.images, unit % per_image * cuts.rows
    images, rows = min(cuts.images, g.N - n), min(cuts.rows, g.I - first)

    source, pixel, image = x, g.C, g.H * g.W * g.C
    at_x = n * image + ((g.s * first - g.top) * g.W - g.left) * g.C + k
    row = g.W * g.C
    if cuts.copies:
        pixel = g.groups * (k_end - k)
        row = columns_under(g) * pixel
        source, image, at_x = band, rows_under(g, rows) * row, 0
        for m in range(images):
            copy_band(x, (n + m, first, rows), (k, pixel), g, band, m * image)
    gradient, at_dy, apart = dy, (n * g.I + first) * g.J * g.groups * g.F, g.F
    if cuts.widens:
        _widen(dy, at_dy, images * rows * g.J * g.groups, g.F, target[3], columns)
        gradient, at_dy, apart = columns, 0, padded(g.F, target[3])
    _correlate_pixels(
        (source, at_x, pixel, row, image),
        (gradient, at_dy, apart),
        target,
        (images, rows, k, k_end),
        g,
    )


@compiled_part
def _widen(dy, at, pixels, F, LANES, wide):
    """Copy `pixels` runs of F numbers, with room for whole vectors between them."""
    apart = padded(F, LANES)
    for k in range(pixels):
        copy_run(dy, at + k * F, wide, k * apart, F)
        clear_run(wide, k * apart + F, apart - F)


@compiled_part
def _correlate_pixels(source, gradient, target, settings, g):
    """All tiles for the pixels of one unit."""
    (x, at_x, pixel, row, image), (dy, at_dy, apart) = source, gradient
    (part, zeros, add, LANES), (images, rows, k_begin, k_end) = target, settings
    A, B, K, x_b = g.P, g.Q, k_end - k_begin, g.e * pixel
    if g.e == 1 and pixel == K:  # the columns of a window are neighbours: one long run
        B, K, x_b = 1, g.Q * K, 0
    y_pixel = g.groups * padded(g.F, LANES)
    if g.across:  # the tile goes through the columns
        B, K, x_b = 1, k_end - k_begin, 0
    cells = g.Q * (k_end - k_begin)  # in a row of the window
    first_cell = g.P * g.Q * k_begin * y_pixel
    for group in range(g.groups):
        f = 0
        while f < g.F:
            width = block_width(g.F, f, g.width, LANES)
            most = g.across or MOST[width]
            pieces = (K + most - 1) // most
            w_step = apart * g.groups
            loops = (images, rows, g.J, image, g.s * row, g.t * pixel, 1, w_step, y_pixel)
            for a in range(A):
                for b in range(B):
                    for piece in range(pieces):
                        k, end = piece * K // pieces, (piece + 1) * K // pieces
                        cell = a * cells + b * K + k
                        tile(
                            g.tiles,
                            (end - k, width),
                            x,
                            at_x + a * g.d * row + b * x_b + group * g.K + k,
                            dy,
                            at_dy + group * apart + f,
                            zeros,
                            0,
                            part,
                            first_cell + cell * y_pixel + group * padded(g.F, LANES) + f,
                            add,
                            -np.inf,
                            loops,
                        )
            f += width * LANES


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
        mine = ((k + 1) * slices - 1) // K
        begin, end = mine * K // slices, (mine + 1) * K // slices
        at = ((cells * begin + cell * (end - begin) + k - begin) * groups + group) * apart
        copy_run(parts[0], at, dw, row * F, F)
        for part in range(1, parts.shape[0]):
            add_run(parts[part], at, dw, row * F, F)


def correlate(x, dy, dw, g):
    """Fill dw, (P, Q, K, groups * F), from x, (N, H, W, C), and dy, (N, I, J, groups * F)."""
    if g.N == 0:
        dw.fill(0)
        return
    dtype, LANES, workers = x.dtype, lanes(x.dtype), numba.get_num_threads()
    g, cuts = _plan(flattened(g), dtype)
    parts = empty((cuts.parts, dw.size // g.F * padded(g.F, LANES)), dtype)
    memory = scratch(workers, cuts.in_band + cuts.in_columns, dtype)
    arrays = (x.reshape(-1), dy.reshape(-1), parts, zero_vectors(dtype))
    _correlate(threads(), arrays, g, cuts, LANES, memory)
    shape = (g.P * g.Q, g.K, g.groups, g.F)
    _add_parts(threads(), workers, parts, dw.reshape(-1), shape, cuts.slices, LANES)


def _suits_turned_tiles(Q, J):
    """Whether a window of Q columns, at J places, leaves enough registers and work for them."""
    return 1 < Q <= J and most_channels(Q) > 1 and not numba.config.DISABLE_JIT


@functools.lru_cache(maxsize=1024)
def _plan(g, dtype):
    """The Geometry with all its fields, and the Cuts: the same for any number of threads."""
    LANES, itemsize = lanes(dtype), dtype.itemsize
    f_padded, pixels = padded(g.F, LANES), g.N * g.I * g.J
    size = g.groups * g.P * g.Q * g.K * f_padded * itemsize

    parts = max(1, min(TASKS, pixels // PIXELS, PARTS_BYTES // size))
    wanted = max(-(-size // PART_BYTES), -(-TASKS // parts))
    slices = 1 if g.groups > 1 else max(1, min(g.K // THINNEST, wanted))
    widest = -(-g.K // slices)
    copies = g.hangs_over or (slices > 1 and g.P * g.Q > 1)
    runs = g.e == 1 and g.groups == 1 and (copies or slices == 1)
    run = g.Q * widest if runs else widest
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // LANES), run))
    if runs and g.t == 1 and g.F <= LANES and _suits_turned_tiles(g.Q, g.J):
        g = g._replace(tiles=row_tiles(dtype, g.Q, turned=True), across=most_channels(g.Q))

    row = columns_under(g) * widest * g.groups
    dy_row = g.J * g.width * LANES

    def in_band(rows):
        return rows_under(g, rows) * row

    most = UNIT_BYTES // itemsize
    rows = max(r for r in range(1, g.I + 1) if r == 1 or max(in_band(r), r * dy_row) <= most)
    rows = min(rows, max(1, g.N * g.I // parts))
    images = 1
    if rows == g.I:
        fitting = most // max(in_band(rows), rows * dy_row)
        images = max(1, min(fitting, g.N // parts))
    units = -(-g.N // images) * -(-g.I // rows)
    parts = min(parts, units)
    widens = g.F % LANES != 0
    return g, Cuts(
        parts,
        slices,
        units,
        images,
        rows,
        copies,
        widens,
        in_band=images * in_band(rows) if copies else 0,
        in_columns=images * rows * g.J * g.groups * f_padded if widens else 0,
    )
