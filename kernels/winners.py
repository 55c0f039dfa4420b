"""The way back through a convolution and the max pooling after it: only the winners count.

    dw[p,q,k,f] = sum of dy[n,i,j,f] * x[n, h + d*p, w + q, k]     over n, i, j
    dx[n, h + d*p, w + q, k] += dy[n,i,j,f] * weight[p,q,k,f]      for all n, i, j, f, p, q

    where the window at  h, w  of x made the number of z = conv2d(x) that won the pooling of i, j

Of four numbers of z that meet in a pooling window, one wins, and the gradient of the others is 0;
relu takes away about half of the rest. To fill dz with all these zeros, and to multiply with them,
would take several times as long as what is done here: for each filter, the winners whose gradient
is not 0 are listed, and the tiles of list_tiles.py walk along the lists.

The letters are those of conv2d.py; I and J count the places in z, `wins` those in y.

Threads:  weight_grad: a worker owns neighbouring filters, and lists the winners of its own.
          input_grad: a worker owns neighbouring images.
          Either way each number is a sum in a fixed order, whatever the number of threads.
Work:     as many multiplications as there are winners, times P*Q*K.
"""

import functools
from typing import NamedTuple

import numpy as np

from .compiling import compiled, compiled_part
from .geometry import columns_under, copy_band, paste_band, share_of
from .list_tiles import list_tiles, tile_rows, walk
from .memory import empty, scratch
from .registers import lanes
from .runs import clear_run
from .sharing import share, threads
from .threads import thread_count

AT_ONCE = 64  # places in y whose winners are listed, filter by filter, while they are in the cache
UNIT_BYTES = 1 << 15  # of x, whose winners are listed together: a share of the first-level cache


class Plan(NamedTuple):
    """How the work is cut up."""

    P: int  # rows of a window,
    run: int  # and numbers in a row of it, filled up to whole vectors
    rows: int  # of a tile, at most
    width: int  # vectors in a row of a tile, at most
    lanes: int  # numbers in a vector
    wins: int  # per image and filter
    images: int  # in a unit
    copies: bool  # whether the images are copied, because windows hang over the border
    row: int  # numbers from row to row of a window in an image, or its copy
    image: int  # numbers in an image, or its copy
    tiles: int  # the address of the compiled tiles


def suits(g, where, dtype):
    """Whether it pays to list the winners.

    A row of the window must be one run of numbers, of two vectors at least, because each run is
    read from where it happens to begin; and most numbers of z must have lost.
    """
    _, I, J, _ = where.shape
    one_run = g.groups == 1 and g.e == 1 and g.Q * g.K >= 2 * lanes(dtype)
    return one_run and g.N > 0 and 2 * I * J <= g.I * g.J


@compiled_part
def _list_winners(arrays, places_of, images, filters, plan, lists):
    """List, for some filters and images, each gradient that is not 0, and where it leads in x."""
    (dy, where, F), (numbers, places, counts) = arrays, lists
    (n, n_end), (f, f_end) = images, filters
    room, apart = np.uint64(plan.images * plan.wins), np.uint64(F)
    for k in range(np.uint64(f_end - f)):
        counts[k] = 0
    for m in range(n_end - n):
        image = np.int32(m * plan.image)
        for win in range(0, plan.wins, AT_ONCE):
            begin = np.uint64(((n + m) * plan.wins + win) * F + f)
            many = np.uint64(min(AT_ONCE, plan.wins - win))
            for k in range(np.uint64(f_end - f)):
                entry = k * room + np.uint64(counts[k])
                for at in range(begin + k, begin + k + many * apart, apart):
                    number = dy[at]
                    numbers[entry] = number
                    places[entry] = places_of[np.uint64(where[at])] + image
                    entry += np.uint64(number != 0)  # if it is 0, the next one takes its place
                counts[k] = np.int64(entry - k * room)


@compiled_part
def _walk_along(lists, k, source, target, plan):
    """All tiles for the list of filter k; the filter has its cells in `target`."""
    (numbers, places, counts), (x, at_x), (y, at_y) = lists, source, target
    across = plan.width * plan.lanes
    for p in range(0, plan.P, plan.rows):
        for begin in range(0, plan.run, across):
            walk(
                plan.tiles,
                (min(plan.rows, plan.P - p), min(across, plan.run - begin) // plan.lanes),
                numbers,
                places,
                k * plan.images * plan.wins,
                counts[k],
                x,
                at_x + p * plan.row + begin,
                plan.row,
                y,
                at_y + p * plan.run + begin,
                plan.run,
            )


@compiled_part
def _turn_cells(worker, workers, weight, turned, g, run, back):
    """A worker's share of the cells of all filters, from one array to the other.

    In `weight` the filters are neighbours, in `turned` the cells of each of them are.
    """
    apart = np.uint64(g.P * run)
    for cell in share_of(worker, workers, g.P * g.Q * g.K):
        p, k = cell // (g.Q * g.K), cell % (g.Q * g.K)
        here, there = np.uint64(cell * g.F), np.uint64(p * run + k)
        for f in range(np.uint64(g.F)):
            if back:
                weight[here + f] = turned[there + f * apart]
            else:
                turned[there + f * apart] = weight[here + f]


@compiled
def _weight_grad(threads, x, arrays, places_of, dw, turned, g, plan, lists, scratch):
    workers = scratch.shape[0]
    share(threads, workers, _collect, (x, arrays, places_of, turned, g, plan, lists, scratch))
    share(threads, workers, _turn_cells, (dw, turned, g, plan.run, True))


@compiled_part
def _collect(worker, workers, x, arrays, places_of, turned, g, plan, lists, scratch):
    """Gradients of a worker's share of the filters, from all images."""
    mine, band = (lists[0][worker], lists[1][worker], lists[2][worker]), scratch[worker]
    filters, size = share_of(worker, workers, g.F), g.P * plan.run
    f, f_end = filters.start, filters.stop
    clear_run(turned, f * size, (f_end - f) * size)
    for n in range(0, g.N if f < f_end else 0, plan.images):
        end = min(g.N, n + plan.images)
        _list_winners(arrays, places_of, (n, end), (f, f_end), plan, mine)
        source, at_x = x, n * plan.image
        if plan.copies:
            source, at_x = band, 0
            for m in range(end - n):
                copy_band(x, (n + m, 0, g.I), (0, g.C), g, band, m * plan.image)
        for k in range(f_end - f):
            _walk_along(mine, k, (source, at_x), (turned, (f + k) * size), plan)


@compiled
def _input_grad(threads, dx, arrays, places_of, weight, turned, g, plan, lists, scratch):
    workers = scratch.shape[0]
    share(threads, workers, _turn_cells, (weight, turned, g, plan.run, False))
    share(threads, workers, _give, (dx, arrays, places_of, turned, g, plan, lists, scratch))


@compiled_part
def _give(worker, workers, dx, arrays, places_of, turned, g, plan, lists, scratch):
    """Gradients of a worker's share of the images, from all filters."""
    mine, band = (lists[0][worker], lists[1][worker], lists[2][worker]), scratch[worker]
    for unit in share_of(worker, workers, (g.N + plan.images - 1) // plan.images):
        n, end = unit * plan.images, min(g.N, (unit + 1) * plan.images)
        _list_winners(arrays, places_of, (n, end), (0, g.F), plan, mine)
        target, at = (band, 0) if plan.copies else (dx, n * plan.image)
        clear_run(target, at, (end - n) * plan.image)
        for k in range(g.F):
            _walk_along(mine, k, (target, at), (turned, k * g.P * plan.run), plan)
        if plan.copies:
            for m in range(end - n):
                paste_band(band, m * plan.image, dx, n + m, g)


@functools.lru_cache(maxsize=256)
def _plan(g, wins, dtype, gives):
    """The Plan, and where in an image each place of z leads."""
    LANES = lanes(dtype)
    run = -(-g.Q * g.K // LANES) * LANES
    rows, width = tile_rows(g.P, run // LANES)
    # a vector that is not full would reach over the end of the last image
    copies = g.hangs_over or run > g.Q * g.K
    row = (columns_under(g) if copies else g.W) * g.C
    image = g.band_size(g.I) if copies else g.H * g.W * g.C
    images = max(1, UNIT_BYTES // (image * dtype.itemsize))
    i, j = np.indices((g.I, g.J))
    places_of = (g.s * row * i + g.t * g.C * j).reshape(-1).astype(np.int32)
    tiles = list_tiles(dtype, gives)
    size = (g.P, run, rows, width, LANES, wins, images)
    return Plan(*size, copies, g.d * row, image, tiles), places_of


def _walk_all(loops, images, winners, filters, g, gives):
    """Plan, make room, and run the `loops`: the arrays are x or dx, dy and where, dw or weight."""
    (dy, where), dtype, workers = winners, images.dtype, thread_count()
    plan, places_of = _plan(g, where.size // (g.N * g.F), dtype, gives)
    turned = empty((g.F * g.P * plan.run,), dtype)
    listed = g.F if gives else -(-g.F // workers)  # filters, by each worker
    room = (workers, listed * plan.images * plan.wins)
    lists = (empty(room, dtype), empty(room, np.int32), empty((workers, listed), np.int64))
    # the last vector of the last image may reach over its end
    memory = scratch(workers, plan.images * plan.image + plan.lanes if plan.copies else 1, dtype)
    arrays = (dy.reshape(-1), where.reshape(-1), g.F)
    flat = (images.reshape(-1), arrays, places_of, filters.reshape(-1), turned)
    loops(threads(), *flat, g, plan, lists, memory)


def weight_grad(x, dy, where, dw, g):
    """Fill dw, (P, Q, K, F), from x, (N, H, W, K), and dy and where, both (N, wins, F)."""
    _walk_all(_weight_grad, x, (dy, where), dw, g, gives=False)


def input_grad(dy, where, weight, dx, g):
    """Fill dx, (N, H, W, K), from weight, (P, Q, K, F), and dy and where, both (N, wins, F)."""
    _walk_all(_input_grad, dx, (dy, where), weight, g, gives=True)
