"""A correlation: which filters would have made dy out of x? It serves conv2d.weight_grad.

    dw[p,q,k,f] = sum over n, i, j of  x[n,h,w,k] * dy[n,i,j,f]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Tiles as in sweep.py, turned by a quarter: what they hold is a piece of dw, neighbouring k times
neighbouring f, and they walk over the pixels.

Threads:  a task owns some of the filters' cells, for some of the images. The images are cut the
          same way whatever the number of threads, and the parts are added in a fixed order.
Work:     N*I*J * P*Q * K*F multiplications; the tiles do most of what the machine can.
"""

import functools

import numba
import numpy as np
from numba import prange

from .compiling import compiled, compiled_parallel
from .geometry import (
    BAND_BYTES,
    MOST,
    best_width,
    columns_under,
    copy_band,
    even_share,
    flattened,
    three_loops,
)
from .memory import empty, scratch
from .packing import block_count, block_width, padded
from .runs import add_run, clear_run, copy_run
from .simd import WIDTHS, lanes, tile, tiles

PARTS_BYTES = 1 << 23  # of all partial filter gradients together
TASKS = 32  # so many that threads of unequal speed finish together; the same on every machine
SPLITS = 4  # of the filters' cells, at least; but 1 where each of them would copy the images anew


@compiled_parallel
def _correlate(x, dy, parts, g, cuts, copies, LANES, scratch):
    workers = scratch.shape[0]
    images, splits, blocks, in_band = cuts
    f_padded = padded(g.F, LANES)
    zeros = np.zeros(max(WIDTHS) * LANES, x.dtype)
    for worker in prange(workers):
        band, columns = scratch[worker, :in_band], scratch[worker, in_band:]
        for task in range(worker, images * splits, workers):
            cut, split = task // splits, task % splits
            begin, end = cut * g.N // images, (cut + 1) * g.N // images
            for n in range(begin, end, g.at_once):
                count = min(g.at_once, end - n)
                for first in range(0, g.I, g.band):
                    rows = min(g.band, g.I - first)
                    source, row, image = x, g.W * g.C, g.H * g.W * g.C
                    at_x = n * image + ((g.s * first - g.top) * g.W - g.left) * g.C
                    if copies[0]:
                        row, at_x = columns_under(g) * g.C, 0
                        image = (g.s * (rows - 1) + g.d * (g.P - 1) + 1) * row
                        source = band
                        for k in range(count):
                            copy_band(x, n + k, first, rows, g, source, k * image)
                    gradient, dy_pixel, group_step = dy, g.groups * g.F, g.F
                    at_dy = (n * g.I + first) * g.J * g.groups * g.F
                    if copies[1]:
                        pixels = count * rows * g.J * g.groups
                        _widen(dy, at_dy, pixels, g.F, f_padded, columns)
                        gradient, dy_pixel, at_dy = columns, g.groups * f_padded, 0
                        group_step = f_padded
                    _correlate_band(
                        (source, at_x, row, image),
                        (gradient, at_dy, dy_pixel, group_step),
                        (parts[cut], zeros),
                        (split, splits, blocks, count, rows, LANES),
                        n > begin or first > 0,
                        g,
                    )


@compiled
def _widen(dy, at, pixels, F, f_padded, wide):
    """Copy `pixels` runs of F numbers, with room for whole vectors between them."""
    for k in range(pixels):
        copy_run(dy, at + k * F, wide, k * f_padded, F)
        clear_run(wide, k * f_padded + F, f_padded - F)


@compiled
def _correlate_band(source, gradient, target, settings, add, g):
    """Add what some images or rows contribute to this task's share of the filters' cells."""
    (x, at_x, row, image), (dy, at_dy, dy_pixel, group_step) = source, gradient
    (part, zeros), (split, splits, blocks, images, rows, LANES) = target, settings
    A, B, K, x_a, x_b, _ = three_loops(g, row)
    number = 0  # of the block of cells: the tasks share them out by it
    for group in range(g.groups):
        f = 0
        while f < g.F:
            width = block_width(g.F, f, g.width, LANES)
            count = width * LANES
            pieces = (K + MOST[width] - 1) // MOST[width]
            loops = (images, rows, g.J, image, g.s * row, g.t * g.C, 1, dy_pixel, count)
            for a in range(A):
                for b in range(B):
                    mine = number * splits // blocks == split
                    number += 1
                    for piece in range(pieces if mine else 0):
                        k, end = piece * K // pieces, (piece + 1) * K // pieces
                        cell = g.P * g.Q * g.K * (group * padded(g.F, LANES) + f)
                        tile(
                            g.tiles,
                            (end - k, width),
                            x,
                            at_x + a * x_a + b * x_b + group * g.K + k,
                            dy,
                            at_dy + group * group_step + f,
                            zeros,
                            0,
                            part,
                            cell + ((a * B + b) * K + k) * count,
                            add,
                            -np.inf,
                            loops,
                        )
            f += count


@compiled_parallel
def _add_parts(parts, dw, shape, width, LANES):
    """Unpack and add up: dw is (P*Q*K, groups, F), each row owned by one prange step."""
    steps, groups, F = shape
    for step in prange(steps):
        for group in range(groups):
            f = 0
            at = group * steps * padded(F, LANES)
            while f < F:
                count = block_width(F, f, width, LANES) * LANES
                to = (step * groups + group) * F + f
                copy_run(parts[0], at + step * count, dw, to, min(count, F - f))
                for part in range(1, parts.shape[0]):
                    add_run(parts[part], at + step * count, dw, to, min(count, F - f))
                at += steps * count
                f += count


def correlate(x, dy, dw, g):
    """Fill dw, (P, Q, K, groups * F), from x, (N, H, W, C), and dy, (N, I, J, groups * F)."""
    if g.N == 0:
        dw.fill(0)
        return
    dtype, workers = x.dtype, numba.get_num_threads()
    g, cuts, copies, columns = _plan(flattened(g), dtype)
    parts = empty((cuts[0], dw.size // g.F * padded(g.F, lanes(dtype))), dtype)
    memory = scratch(workers, cuts[3] + columns, dtype)
    _correlate(x.reshape(-1), dy.reshape(-1), parts, g, cuts, copies, lanes(dtype), memory)
    _add_parts(parts, dw.reshape(-1), (g.P * g.Q * g.K, g.groups, g.F), g.width, lanes(dtype))


@functools.lru_cache(maxsize=1024)
def _plan(g, dtype):
    """How the work is cut up, the same for any number of threads.

    Returns: the Geometry with all its fields; (cuts of the images, splits of the filters' cells,
    blocks of cells, numbers in a band); whether bands of x are copied, and columns of dy widened;
    numbers in widened columns.
    """
    LANES = lanes(dtype)
    run = g.Q * g.K if g.e == 1 and g.groups == 1 else g.K
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // LANES), run))
    band = g.rows_per_task(dtype.itemsize, 1)
    fitting = BAND_BYTES // (dtype.itemsize * g.band_size(band))
    g = g._replace(band=band, at_once=max(1, fitting if band == g.I else 1))
    size = g.groups * g.P * g.Q * g.K * padded(g.F, LANES)
    blocks = block_count(g.F, g.width, LANES) * g.groups * g.P * g.Q * g.K // run
    copies = (g.hangs_over, g.F % LANES != 0)
    most = TASKS if any(copies) else TASKS // SPLITS
    images = max(1, min(g.N, most, PARTS_BYTES // (size * dtype.itemsize)))
    splits = even_share(blocks, -(-TASKS // images))
    in_band = g.at_once * g.band_size(g.band) if copies[0] else 0
    columns = g.at_once * g.band * g.J * g.groups * padded(g.F, LANES) if copies[1] else 0
    return g, (images, splits, blocks, in_band), copies, columns
