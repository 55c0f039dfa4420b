"""Depthwise convolution: each filter sees one channel. It serves conv2d where groups == C.

    y[n,i,j,c]  = sum over p, q    of  x[n,h,w,c] * weight[p,q,c]         forward
    dx[n,h,w,c] = sum over p, q    of dy[n,i,j,c] * weight[p,q,c]         input_grad
    dw[p,q,c]   = sum over n, i, j of  x[n,h,w,c] * dy[n,i,j,c]           weight_grad

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Several filters for a channel are as many channels that happen to be equal: x is repeated.

Threads:  a task owns a row of y or dx of one image, for some of the channels, in the first two
          maps. In `weight_grad` it owns some of the channels, for some images and rows; these are
          cut the same way whatever the number of threads, and the parts are added in order.
Work:     N*I*J * P*Q * C multiplications: so few for each number of x and y that memory is the
          limit, unless the images stay in the cache. The tiles are in channel_tiles.py.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numba import prange

from .channel_tiles import Tile, call_tile, tile_for
from .compiling import compiled_parallel
from .kernel import Array
from .memory import empty
from .simd import REGISTERS, lanes

TASKS = 16  # at least, so that threads of unequal speed finish together
PIXELS = (7, 8, 6, 5)  # in a tile: images are often 7 * 2^k or 2^k pixels wide


class Plan(NamedTuple):
    """All that _fill_rows wants to know beside the arrays."""

    tile: int  # its address
    rows: Array  # of y: (rows of the window inside the image, where in x and in w they begin)
    size: tuple[int, ...]  # N, shares of channels, channels at a time, numbers in an image of x
    numbers: tuple[int, ...]  # of Cells, from J to C


@compiled_parallel
def _fill_rows(tile, arrays, rows, size, numbers, relu):
    N, shares, at_once, x_image = size
    J, x_row, w_row, column, W, C = numbers
    I = rows.shape[0]
    for task in prange(shares * N * I):
        share, n, i = task // (N * I), task // I % N, task % I
        c = share * (C // at_once) // shares * at_once
        end = (share + 1) * (C // at_once) // shares * at_once if share + 1 < shares else C
        A, at_x, at_w = rows[i]
        call_tile(
            tile,
            arrays,
            (n * x_image + at_x + column * C + c, at_w + c, (n * I + i) * J * C + c, c),
            (A, J, x_row, w_row, column, W, C, end - c, relu),
        )


@compiled_parallel
def _fill_parts(tile, arrays, cuts, window, numbers):
    """Fill parts of dw: part number k is what some rows of some images give."""
    (x, dy, parts), (shares, images, bands) = arrays, cuts
    P, Q, rows, at_once = window
    N, I, J, x_image, top, left, s, d, H, W, C = numbers
    blocks = (C + at_once - 1) // at_once
    for task in prange(shares * images * bands):
        share, part = task // (images * bands), task % (images * bands)
        image, band = part // bands, part % bands
        n, n_end = image * N // images, (image + 1) * N // images
        i, i_end = band * I // bands, (band + 1) * I // bands
        for block in range(share * blocks // shares, (share + 1) * blocks // shares):
            c = min(block * at_once, C - at_once)  # the last one may repeat some channels
            for p in range(0, P, rows):
                h = s * i + d * p - top
                at_x = n * x_image + (h * W - left) * C + c
                at_dy = (n * I + i) * J * C + c
                call_tile(
                    tile,
                    (x, dy, parts),
                    (at_x, at_dy, (part * P + p) * Q * C + c),
                    (n_end - n, i_end - i, J, x_image, I * J * C, h, -left, s, d, H, W, C),
                )


@functools.lru_cache(maxsize=256)
def _plan_forward(dtype, x_shape, y_shape, window, arrangement):
    N, H, W, C = x_shape
    _, I, J, _ = y_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    tile = Tile(*_vectors(C, dtype), _pixels(J), 0, Q, t, e)
    h = np.add.outer(s * np.arange(I) - top, d * np.arange(P))
    rows = _rows_met(h, (h >= 0) & (h < H), W * C, Q * C)
    numbers = (J, d * W * C, Q * C, -left, W, C)
    return _plan(dtype, tile, rows, x_shape, numbers)


@functools.lru_cache(maxsize=256)
def _plan_input_grad(dtype, dy_shape, x_shape, window, arrangement):
    """As for `forward`, but x and y have changed places.

    Row h of dx meets those rows p of the window for which (h + top - d*p) / s is a row of dy: every
    so manieth, and from one to the next it is rows of dy backwards.
    """
    N, H, W, C = x_shape
    _, I, J, _ = dy_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    pixels = -(-_pixels(W) // t) * t  # so that all tiles of a row are in the same phase
    tile = Tile(*_vectors(C, dtype), pixels, 0, Q, t, e, left % t)
    ways = np.subtract.outer(np.arange(H) + top, d * np.arange(P))
    rows = _rows_met(ways // s, (ways % s == 0) & (ways >= 0) & (ways < s * I), J * C, Q * C)
    apart = math.gcd(s, d)
    numbers = (W, -(d // apart) * J * C, s // apart * Q * C, left // t, J, C)
    return _plan(dtype, tile, rows, dy_shape, numbers)


def _plan(dtype, tile, rows, x_shape, numbers):
    N, H, W, C = x_shape
    shares = min(C // tile.channels, -(-TASKS // max(1, N * len(rows))))
    size = (N, shares, tile.channels, H * W * C)
    return Plan(tile_for(dtype, tile), rows, size, numbers)


def _rows_met(source, met, x_row, w_row):
    """For each row of y: how many rows of the window it meets, and where the first begins.

    Args:
        source: (rows of y, P): which row of x it is.
        met: (rows of y, P): whether there is such a row.
        x_row, w_row: numbers in a row of x and of weight.
    """
    first = met.argmax(axis=1)
    at_x = source[np.arange(len(first)), first] * x_row
    return np.stack([met.sum(axis=1), at_x, first * w_row], axis=1)


def _vectors(C, dtype):
    """How many channels a vector holds, and how many vectors are side by side."""
    count = lanes(dtype)
    while count > C:
        count //= 2
    double = REGISTERS > 16 and C >= 2 * count and -(-C // count) % 2 == 0
    return count, 2 if double else 1


def _pixels(J):
    """How many of J pixels a tile takes, so that little of the last tile is wasted."""
    return J if J <= max(PIXELS) else min(PIXELS, key=lambda m: -J % m)


@functools.lru_cache(maxsize=256)
def _plan_weight_grad(dtype, x_shape, dy_shape, window, arrangement):
    """The address of the tile, and the arguments cuts, window and numbers of _fill_parts."""
    N, H, W, C = x_shape
    _, I, J, _ = dy_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    fitting = [n for n in range(1, P + 1) if P % n == 0 and n * Q <= REGISTERS - 6]
    rows = max(fitting, default=1)
    vector, width = _vectors(C, dtype)
    import os
    if rows * Q > int(os.environ.get("SQ", 4)): width = 1
    most = max(1, min(max(PIXELS), (REGISTERS - 2) // width - rows * Q))
    pixels = J if J <= most else min((m for m in PIXELS if m <= most), key=lambda m: J % m, default=most)
    tile = Tile(vector, width, pixels, rows, Q, t, e)
    cuts = _cuts(dy_shape, -(-C // tile.channels), x_shape, P*Q*C)
    window = (P, Q, rows, tile.channels)
    return tile_for(dtype, tile), cuts, window, (N, I, J, H * W * C, top, left, s, d, H, W, C)


def _cuts(dy_shape, blocks, x_shape, cells):
    import os
    N, I, J, C = dy_shape
    if os.environ.get("OLD"):
        shares = min(blocks, TASKS)
        parts = -(-TASKS // shares)
        images = max(1, min(N, parts))
        return shares, images, min(I, -(-parts // images))
    images = min(N, 32)
    image = math.prod(x_shape[1:]) + math.prod(dy_shape[1:])
    bands = max(1, min(I, int(os.environ.get("PARTS", 32)) // images, image // (int(os.environ.get("CELLS", 8)) * cells)))
    shares = min(blocks, -(-TASKS // (images * bands)))
    return shares, images, bands


def forward(x, weight, bias, relu, y, arrangement):
    """Fill y, (N, I, J, F).

    Args:
        x: (N, H, W, C).
        weight: (P, Q, 1, F), F a multiple of C.
        bias: (F,) or None.
        relu: whether results below 0 become 0.
        y: to be filled.
        arrangement: strides, padding, dilation.
    """
    P, Q, _, F = weight.shape
    x = _repeated(x, F)
    plan = _plan_forward(x.dtype, x.shape, y.shape, (P, Q), arrangement)
    _run(plan, x, weight, bias, relu, y)


def input_grad(dy, weight, dx, arrangement):
    """Fill dx, (N, H, W, C), from dy, (N, I, J, F); the rest as in `forward`."""
    P, Q, _, F = weight.shape
    *pixels, C = dx.shape
    target = dx if C == F else empty((*pixels, F), dx.dtype)
    plan = _plan_input_grad(dy.dtype, dy.shape, target.shape, (P, Q), arrangement)
    _run(plan, dy, weight, None, False, target)
    if C != F:
        target.reshape(*dx.shape, -1).sum(axis=-1, out=dx)


def weight_grad(x, dy, dw, arrangement):
    """Fill dw, (P, Q, 1, F), from dy, (N, I, J, F), and x, (N, H, W, C)."""
    P, Q, _, F = dw.shape
    x = _repeated(x, F)
    tile, cuts, *rest = _plan_weight_grad(x.dtype, x.shape, dy.shape, (P, Q), arrangement)
    parts = empty((cuts[1] * cuts[2], dw.size), dw.dtype)
    arrays = (x.reshape(-1), dy.reshape(-1), parts.reshape(-1))
    _fill_parts(tile, arrays, cuts, *rest)
    parts.sum(axis=0, out=dw.reshape(-1))


def _repeated(x, F):
    """x with as many channels as there are filters."""
    return x if x.shape[3] == F else np.repeat(x, F // x.shape[3], axis=3)


def _run(plan, x, weight, bias, relu, y):
    start = np.zeros(y.shape[3], y.dtype) if bias is None else bias
    arrays = (x.reshape(-1), weight.reshape(-1), y.reshape(-1), start)
    _fill_rows(plan.tile, arrays, plan.rows, plan.size, plan.numbers, int(relu))
