"""Sweeps: a window moves over images, and register tiles add up the products under it.

The three maps of a convolution are two sweeps. One makes images out of images and filters:

    sweep      y[n,i,j,f]  = start[f] + sum over p, q, k of  x[n,h,w,k] * filters[p,q,k,f]

It serves `forward`, and `input_grad` with the gradient in the place of x and the filters turned
around. The other makes filters out of two images:

    correlate  dw[p,q,k,f] = sum over n, i, j of  x[n,h,w,k] * dy[n,i,j,f]

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Windows that hang over the border would need a question per pixel. Instead a band of rows is copied
with zeros around it, into scratch memory that stays in the cache. Filters are packed so that a tile
reads them one after the other: for a block of VECTORS * LANES filters, all p, q, k in order; the
last block is filled up with zeros.

Threads:  in `sweep` a task owns a band of output rows of one image, for some of the filters. In `correlate` a task owns some
          of the filters' cells for some of the images; the images are cut the same way whatever the
          number of threads, and the parts are added in a fixed order. Worker number k of the
          `prange` takes tasks k, k + workers, ... and has scratch memory of its own.
Work:     as in conv2d.py. The tiles reach most of the machine's multiply-adds per second.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from .compiling import compiled, compiled_parallel
from .memory import empty, zeros
from .simd import MOST_PIXELS, WIDTHS, lanes, most_pixels, tile, tiles

BAND_BYTES = 1 << 18  # of input rows in one task: a share of the second-level cache
STRETCH_BYTES = 1 << 18  # of filters that are used again and again, likewise
FILTERS_BYTES = 1 << 19  # of the filters in one task
PARTS_BYTES = 1 << 23  # of all partial filter gradients together
TASKS_PER_WORKER = 4
TASKS = 32  # so many that threads of unequal speed finish together; the same on every machine
SPLITS = 4  # of the filters' cells, at least
IN_FLIGHT = 12  # multiply-adds that a CPU wants to have under way at a time

MOST = tuple(most_pixels(width) if width in WIDTHS else 0 for width in range(max(WIDTHS) + 1))


class Geometry(NamedTuple):
    """Who stands where; counts and steps are whole numbers, steps into y count numbers."""

    N: int  # images,
    H: int  # their rows,
    W: int  # columns
    C: int  # and channels
    P: int  # rows of the window,
    Q: int  # columns
    K: int  # and channels: C / groups
    F: int  # filters of one group
    I: int  # places of the window, down
    J: int  # and across
    s: int  # steps of the window, down
    t: int  # and across
    d: int  # distance between its rows
    e: int  # and columns
    top: int  # zeros above the image
    left: int  # and on its left
    groups: int = 1
    y_image: int = 0  # from an image of y to the next; sweep only, like those below
    y_row: int = 0
    y_pixel: int = 0
    y_first: int = 0
    band: int = 1  # rows of y in one task
    at_once: int = 1  # images in one task; correlate only
    width: int = 1  # vectors side by side in a tile
    tiles: int = 0  # the address of the compiled tiles

    @property
    def hangs_over(self) -> bool:
        """Whether a window reaches over the border."""
        below = self.s * (self.I - 1) + self.d * (self.P - 1) - self.top >= self.H
        right = self.t * (self.J - 1) + self.e * (self.Q - 1) - self.left >= self.W
        return self.top > 0 or self.left > 0 or below or right

    def band_size(self, rows: int) -> int:
        """How many numbers of x lie under the windows of `rows` rows of y."""
        across = self.t * (self.J - 1) + self.e * (self.Q - 1) + 1
        return (self.s * (rows - 1) + self.d * (self.P - 1) + 1) * across * self.C

    def rows_per_task(self, itemsize: int, tasks: int) -> int:
        """As many rows as fit into the cache, but so few that there are `tasks` tasks."""
        one, two = self.band_size(1), self.band_size(2)
        fitting = 1 + max(0, BAND_BYTES // itemsize - one) // max(1, two - one)
        bands = -(-tasks // self.N)
        return max(1, min(self.I, fitting, -(-self.I // bands)))


def best_width(vectors, pixels):
    """How many vectors wide the tiles should be, for so many vectors of filters and pixels in a row.

    A step of a tile costs pixels * width multiply-adds and pixels + width loads, the CPU does two
    of each at a time, and too few multiply-adds wait for one another.
    """

    def share_of_peak(width):
        pieces = -(-pixels // MOST[width])
        m = pixels / pieces
        return m * width / max(m * width, m + width, IN_FLIGHT)

    return max((w for w in WIDTHS if w <= max(1, vectors)), key=share_of_peak)


def padded(count, dtype):
    """`count` filters, rounded up to whole vectors."""
    return -(-count // lanes(dtype)) * lanes(dtype)


def pack(filters, width):
    """Filters (groups, P, Q, K, F) in the order in which tiles read them, flat."""
    groups, P, Q, K, F = filters.shape
    packed = zeros((groups * P * Q * K * padded(F, filters.dtype),), filters.dtype)
    flat = np.ascontiguousarray(filters).reshape(groups, P * Q * K, F)
    _pack(flat, packed, width, lanes(filters.dtype))
    return packed


@compiled
def _block_width(F, f, width, LANES):
    """The width of the block of filters that begins at f: narrower at the end."""
    vectors = (F - f + LANES - 1) // LANES
    while width > vectors:
        width //= 2
    return width


@compiled
def _pack(filters, packed, width, LANES):
    groups, steps, F = filters.shape
    at = 0
    for group in range(groups):
        f = 0
        while f < F:
            count = _block_width(F, f, width, LANES) * LANES
            for step in range(steps):
                for k in range(min(count, F - f)):
                    packed[at + k] = filters[group, step, f + k]
                at += count
            f += count


@compiled
def _copy_band(x, n, first, rows, g, band, at):
    """Copy what lies under `rows` rows of windows, from row `first` on, with zeros around it."""
    across = len_across(g)
    begin = min(max(g.left, 0), across)  # columns of zeros on the left
    end = min(max(g.left + g.W, begin), across)  # from here on zeros again
    for r in range(g.s * (rows - 1) + g.d * (g.P - 1) + 1):
        h = g.s * first + r - g.top
        inside = 0 <= h < g.H
        source = ((n * g.H + h) * g.W - g.left) * g.C
        to = at + r * across * g.C
        for k in range(begin * g.C if inside else across * g.C):
            band[to + k] = 0
        if inside:
            for k in range(begin * g.C, end * g.C):
                band[to + k] = x[source + k]
            for k in range(end * g.C, across * g.C):
                band[to + k] = 0


@compiled
def len_across(g):
    """How many columns of x lie under a row of windows."""
    return g.t * (g.J - 1) + g.e * (g.Q - 1) + 1


@compiled
def _three_loops(g, row):
    """Counts and steps in x of the sum over a window: (A, B, K, x_a, x_b, x_k).

    The columns of a window without gaps are neighbours in memory: one long run instead of Q.
    """
    if g.e == 1 and g.groups == 1:
        return g.P, 1, g.Q * g.K, g.d * row, 0, 1
    return g.P, g.Q, g.K, g.d * row, g.e * g.C, 1


@compiled_parallel
def _sweep(x, filters, start, y, floor, g, shares, copies, LANES, bands, spills):
    workers = spills.shape[0]
    zeros = np.zeros(max(WIDTHS) * LANES, x.dtype)
    per_image = (g.I + g.band - 1) // g.band
    per_share = g.N * per_image
    for worker in prange(workers):
        for task in range(worker, shares[0] * per_share, workers):
            n, first = task % per_share // per_image, task % per_image * g.band
            rows = min(g.band, g.I - first)
            source, row = x, g.W * g.C
            at_x = ((n * g.H + g.s * first - g.top) * g.W - g.left) * g.C
            if copies:
                _copy_band(x, n, first, rows, g, bands[worker], 0)
                source, row, at_x = bands[worker], len_across(g) * g.C, 0
            at_y = n * g.y_image + first * g.y_row + g.y_first
            for group in range(g.groups):
                _sweep_group(
                    (source, at_x + group * g.K, row),
                    (filters, group * (filters.size // g.groups)),
                    (start, zeros, group * g.F),
                    (y, at_y + group * g.F, spills[worker]),
                    (first, rows, floor, LANES),
                    (task // per_share, *shares),
                    g,
                )


@compiled
def _sweep_group(source, packed, begin, target, settings, share, g):
    """All rows of one task, for the share of one group's filters that is the task's.

    Block by block of filters, and in a block stretch by stretch of the window: a stretch is as much
    of the filters as stays in the second-level cache while all pixels of the task pass by it.
    """
    (x, at_x, row), (filters, at_w), (start, zeros, at_start) = source, packed, begin
    (y, at_y, spill), (task_row, rows, floor, LANES) = target, settings
    A, B, K, x_a, x_b, x_k = _three_loops(g, row)
    mine, shares, blocks = share
    number = f = 0
    while f < g.F:
        width = _block_width(g.F, f, g.width, LANES)
        count = width * LANES
        whole = f + count <= g.F
        most = STRETCH_BYTES // (count * x.itemsize) if whole else A * B * K
        a_step, b_step, k_pieces = _stretch(A, B, K, most)
        for a in range(0, A if number * shares // blocks == mine else 0, a_step):
            for b in range(0, B, b_step):
                for k_piece in range(k_pieces):
                    k, k_end = k_piece * K // k_pieces, (k_piece + 1) * K // k_pieces
                    first = a == 0 and b == 0 and k == 0
                    last = a + a_step >= A and b + b_step >= B and k_end == K
                    _sweep_stretch(
                        (x, at_x + a * x_a + b * x_b + k * x_k, g.s * row),
                        (filters, at_w + ((a * B + b) * K + k) * count),
                        (start if first else zeros, at_start + f if first else 0),
                        (y, at_y + f, spill, min(g.F - f, count)),
                        (rows, not first, floor if last else -np.inf, width, count),
                        (min(a_step, A - a), b_step, k_end - k, x_a, x_b, x_k),
                        (task_row, first and last),
                        g,
                    )
        number += 1
        at_w += A * B * K * count
        f += count


@compiled
def _stretch(A, B, K, most):
    """Cut the loops of a sum into stretches of at most `most` steps: (a at once, b, pieces of k)."""
    if B * K > most:
        return 1, 1, (K + most - 1) // most
    return min(A, most // (B * K)), B, 1


@compiled
def _window_rows(h, A, g):
    """Which of a window's A rows lie inside the image, the first of them at row h: from, to.

    Rows of zeros above and below need not be added up; but a tile wants one row at least.
    """
    begin = max(0, (g.d - 1 - h) // g.d)  # rounded up
    end = min(A, (g.H - 1 - h) // g.d + 1)
    return (begin, end) if begin < end else (0, 1)


@compiled
def _sweep_stretch(source, packed, begin, target, settings, steps, where, g):
    """All tiles of one block of filters and one stretch of the window."""
    (x, at_x, x_row), (filters, at_w), (start, at_start) = source, packed, begin
    (y, at_y, spill, valid), (rows, add, floor, width, count) = target, settings
    A, B, K, x_a, x_b, x_k = steps
    pieces = (g.J + MOST[width] - 1) // MOST[width]
    whole = valid == count
    y_pixel = g.y_pixel if whole else count
    task_row, whole_window = where
    for i in range(rows):
        a, a_end = 0, A
        if whole_window:
            a, a_end = _window_rows(g.s * (task_row + i) - g.top, A, g)
        loops = (a_end - a, B, K, x_a, x_b, x_k, g.t * g.C, count, y_pixel)
        for piece in range(pieces):
            j, end = piece * g.J // pieces, (piece + 1) * g.J // pieces
            at = at_y + i * g.y_row + j * g.y_pixel
            # the last block may have more filters than y has room for: it goes by way of `spill`
            tile(
                g.tiles,
                (end - j, width),
                x,
                at_x + i * x_row + j * g.t * g.C + a * x_a,
                filters,
                at_w + a * B * K * count,
                start,
                at_start,
                y if whole else spill,
                at if whole else 0,
                add,
                floor,
                loops,
            )
            if not whole:
                for m in range(end - j):
                    for k in range(valid):
                        y[at + m * g.y_pixel + k] = spill[m * count + k]


def sweep(x, filters, start, y, floor, g):
    """Fill y, or the part of it that `g` describes.

    Args:
        x: images, (N, H, W, C).
        filters: (groups, P, Q, K, F), of the dtype of x.
        start: (groups * F,), where the sums begin; or None: at 0.
        y: any contiguous array; g says where the results go.
        floor: results below it become it.
        g: a Geometry; its last fields, from band on, are filled in here.
    """
    if g.N == 0:
        return
    dtype = x.dtype
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // lanes(dtype)), g.J))
    workers = numba.get_num_threads()
    shares = _shares_of_filters(g, dtype, workers)
    tasks = -(-TASKS_PER_WORKER * workers // shares[0])
    g = g._replace(band=g.rows_per_task(dtype.itemsize, tasks))
    begin = np.zeros(g.groups * g.F + padded(g.F, dtype), dtype)  # tiles read whole vectors
    if start is not None:
        begin[: start.size] = start
    copies = g.hangs_over
    bands = empty((workers, g.band_size(g.band) if copies else 1), dtype)
    spills = empty((workers, MOST_PIXELS * max(WIDTHS) * lanes(dtype)), dtype)
    packed = pack(filters, g.width)
    settings = (dtype.type(floor), g, shares, copies, lanes(dtype))
    _sweep(x.reshape(-1), packed, begin, y.reshape(-1), *settings, bands, spills)


def _shares_of_filters(g, dtype, workers):
    """Into how many shares the filters of a group are cut for the tasks, of how many blocks.

    So many that a share stays in the cache, and that there is work for all where images are few.
    """
    blocks = _block_count(g.F, g.width, lanes(dtype))
    size = g.P * g.Q * g.K * padded(g.F, dtype) * dtype.itemsize
    wanted = max(-(-size // FILTERS_BYTES), TASKS_PER_WORKER * workers // (g.N * g.I))
    return _even_share(blocks, max(1, wanted)), blocks


@compiled_parallel
def _correlate(x, dy, parts, g, cuts, copies, LANES, bands, columns):
    workers = bands.shape[0]
    images, splits, blocks = cuts
    f_padded = padded_in(g.F, LANES)
    zeros = np.zeros(max(WIDTHS) * LANES, x.dtype)
    for worker in prange(workers):
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
                        row, at_x = len_across(g) * g.C, 0
                        image = (g.s * (rows - 1) + g.d * (g.P - 1) + 1) * row
                        source = bands[worker]
                        for k in range(count):
                            _copy_band(x, n + k, first, rows, g, source, k * image)
                    gradient, dy_pixel, group_step = dy, g.groups * g.F, g.F
                    at_dy = (n * g.I + first) * g.J * g.groups * g.F
                    if copies[1]:
                        pixels = count * rows * g.J * g.groups
                        _widen(dy, at_dy, pixels, g.F, f_padded, columns[worker])
                        gradient, dy_pixel, at_dy = columns[worker], g.groups * f_padded, 0
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
        for f in range(F):
            wide[k * f_padded + f] = dy[at + k * F + f]
        for f in range(F, f_padded):
            wide[k * f_padded + f] = 0


@compiled
def _correlate_band(source, gradient, target, settings, add, g):
    """Add what some images or rows contribute to this task's share of the filters' cells."""
    (x, at_x, row, image), (dy, at_dy, dy_pixel, group_step) = source, gradient
    (part, zeros), (split, splits, blocks, images, rows, LANES) = target, settings
    A, B, K, x_a, x_b, _ = _three_loops(g, row)
    number = 0  # of the block of cells: the tasks share them out by it
    for group in range(g.groups):
        f = 0
        while f < g.F:
            width = _block_width(g.F, f, g.width, LANES)
            count = width * LANES
            pieces = (K + MOST[width] - 1) // MOST[width]
            loops = (images, rows, g.J, image, g.s * row, g.t * g.C, 1, dy_pixel, count)
            for a in range(A):
                for b in range(B):
                    mine = number * splits // blocks == split
                    number += 1
                    for piece in range(pieces if mine else 0):
                        k, end = piece * K // pieces, (piece + 1) * K // pieces
                        cell = g.P * g.Q * g.K * (group * padded_in(g.F, LANES) + f)
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


@compiled
def padded_in(count, LANES):
    """`count`, rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


@compiled_parallel
def _add_parts(parts, dw, width, LANES, groups):
    """Unpack and add up: dw (P*Q*K, groups*F), each row owned by one prange step."""
    steps, F = dw.shape[0], dw.shape[1] // groups
    for step in prange(steps):
        for group in range(groups):
            f = 0
            at = group * steps * padded_in(F, LANES)
            while f < F:
                count = _block_width(F, f, width, LANES) * LANES
                for k in range(min(count, F - f)):
                    total = parts[0, at + step * count + k]
                    for part in range(1, parts.shape[0]):
                        total += parts[part, at + step * count + k]
                    dw[step, group * F + f + k] = total
                at += steps * count
                f += count


def _block_count(F, width, LANES):
    """How many blocks the filters of one group are cut into."""
    vectors = -(-F // LANES)
    whole, rest = divmod(vectors, width)
    return whole + rest.bit_count()  # of the rest, each power of two is a block


def _even_share(blocks, wanted):
    """The smallest number of equal shares of `blocks` that is at least `wanted`, if there is one."""
    return next((n for n in range(wanted, blocks) if blocks % n == 0), blocks)


def correlate(x, dy, dw, g):
    """Fill dw, (P, Q, K, groups * F), from x, (N, H, W, C), and dy, (N, I, J, groups * F)."""
    if g.N == 0:
        dw.fill(0)
        return
    dtype = x.dtype
    run = g.Q * g.K if g.e == 1 and g.groups == 1 else g.K
    g = g._replace(tiles=tiles(dtype), width=best_width(-(-g.F // lanes(dtype)), run))
    band = g.rows_per_task(dtype.itemsize, 1)
    fitting = BAND_BYTES // (dtype.itemsize * g.band_size(band))
    g = g._replace(band=band, at_once=max(1, fitting if band == g.I else 1))
    size = g.groups * g.P * g.Q * g.K * padded(g.F, dtype)
    blocks = _block_count(g.F, g.width, lanes(dtype)) * g.groups * g.P * g.Q * g.K // run
    images = max(1, min(g.N, TASKS // SPLITS, PARTS_BYTES // (size * dtype.itemsize)))
    splits = _even_share(blocks, -(-TASKS // images))
    parts = empty((images, size), dtype)
    workers = numba.get_num_threads()
    copies = (g.hangs_over, g.F % lanes(dtype) != 0)
    bands = empty((workers, g.at_once * g.band_size(g.band) if copies[0] else 1), dtype)
    columns = g.at_once * g.band * g.J * g.groups * padded(g.F, dtype) if copies[1] else 1
    wide = empty((workers, columns), dtype)
    cuts = (images, splits, blocks)
    _correlate(x.reshape(-1), dy.reshape(-1), parts, g, cuts, copies, lanes(dtype), bands, wide)
    _add_parts(parts, dw.reshape(-1, g.groups * g.F), g.width, lanes(dtype), g.groups)
