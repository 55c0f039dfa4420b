"""Depthwise convolution: each filter sees one channel. It serves conv2d where groups == C.

    y[n,i,j,c]  = sum of  x[n,h,w,c] * weight[p,q,c]   over p, q      forward
    dx[n,h,w,c] = sum of dy[n,i,j,c] * weight[p,q,c]   over p, q      input_grad
    dw[p,q,c]   = sum of  x[n,h,w,c] * dy[n,i,j,c]     over n, i, j   weight_grad

    where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Where a channel has several filters, it is repeated, as if there were as many equal channels.

Threads:  in `forward` and `input_grad` a task owns some channels of one row of y or dx: each number
          is one sum in a fixed order, so the tasks may depend on anything. In `weight_grad` a task
          owns some channels, for some images and rows. These are cut the same way whatever the
          number of threads, and the parts are added in order.
Work:     N*I*J * P*Q * C multiplications: so few for each number of x and y that memory sets the
          pace, unless the images stay in the cache. channel_tiles.py does them.
CUDA:     depthwise.cu, at the end of this file.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numba import prange

from . import cuda
from .channel_code import Tile
from .channel_tiles import call_tile, tile_for
from .compiling import compiled_parallel, compiled_part
from .kernel import Array
from .memory import empty
from .registers import REGISTERS, lanes

TASKS = 16  # at least, so that threads of unequal speed finish together
PIXELS = (7, 8, 6, 5)  # of a tile, most wanted first: images are often 7 * 2^k or 2^k wide
PARTS = 32  # of a sum over images and rows, at most;
PART = 20  # and numbers that each reads for one that it writes, at least


class Rows(NamedTuple):
    """What fill_row is told beside its arrays."""

    tile: int  # as tile_for says
    rows: Array  # for each of y: rows of the window in the image; where in x and w they begin
    cuts: tuple[int, ...]  # images, shares of the channels, channels at a time, size of an image
    numbers: tuple[int, ...]  # of Cells, from J to C


class Parts(NamedTuple):
    """What _fill_parts is told beside its arrays."""

    tile: int  # as tile_for says
    cuts: tuple[int, int, int]  # shares of the channels, of the images and of their rows
    window: tuple[int, ...]  # P, Q, rows of the window at a time, channels at a time
    numbers: tuple[int, ...]  # N, I, J, size of an image of x, top, left, s, d, H, W, C


@compiled_parallel
def _fill_rows(tile, arrays, rows, cuts, numbers, relu):
    for task in prange(cuts[1] * cuts[0] * rows.shape[0]):
        fill_row(task, tile, arrays, rows, cuts, numbers, relu)


@compiled_part
def fill_row(task, tile, arrays, rows, cuts, numbers, relu):
    """Fill some channels of a row of y; returns where it begins, and the channels from, to."""
    N, shares, at_once, x_image = cuts
    J, x_row, w_row, column, W, C = numbers
    I = rows.shape[0]
    share, n, i = task // (N * I), task // I % N, task % I
    c = share * (C // at_once) // shares * at_once
    end = (share + 1) * (C // at_once) // shares * at_once if share + 1 < shares else C
    (A, at_x, at_w), at_y = rows[i], (n * I + i) * J * C
    call_tile(
        tile,
        arrays,
        (n * x_image + at_x + column * C + c, at_w + c, at_y + c, c),
        (A, J, x_row, w_row, column, W, C, end - c, relu),
    )
    return at_y, (c, end)


@compiled_parallel
def _fill_parts(tile, arrays, cuts, window, numbers):
    shares, images, bands = cuts
    P, Q, rows, at_once = window
    N, I, J, x_image, top, left, s, d, H, W, C = numbers
    blocks = (C + at_once - 1) // at_once
    for task in prange(shares * images * bands):
        share, part = task // (images * bands), task % (images * bands)
        image, band = part // bands, part % bands
        n, n_end = image * N // images, (image + 1) * N // images
        i, i_end = band * I // bands, (band + 1) * I // bands
        for block in range(share * blocks // shares, (share + 1) * blocks // shares):
            c = min(block * at_once, C - at_once)  # the last block may repeat some channels
            for p in range(0, P, rows):
                h = s * i + d * p - top
                at_x = n * x_image + (h * W - left) * C + c
                at_dy = (n * I + i) * J * C + c
                call_tile(
                    tile,
                    arrays,
                    (at_x, at_dy, (part * P + p) * Q * C + c),
                    (n_end - n, i_end - i, J, x_image, I * J * C, h, -left, s, d, H, W, C),
                )


@functools.lru_cache(maxsize=256)
def plan_forward(dtype, x_shape, y_shape, window, arrangement):
    """Rows for an x of as many channels as y."""
    _, H, W, C = x_shape
    _, I, J, _ = y_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    vector, width = _vectors(C, dtype)
    tile = Tile(vector, width, _pixels(J), 0, Q, t, e)
    h = np.add.outer(s * np.arange(I) - top, d * np.arange(P))
    rows = _rows(h, (h >= 0) & (h < H), W * C, Q * C)
    return _plan(dtype, tile, rows, x_shape, (J, d * W * C, Q * C, -left, W, C))


@functools.lru_cache(maxsize=256)
def _plan_input_grad(dtype, dy_shape, dx_shape, window, arrangement):
    """As for `forward`, with dy in the place of x.

    Row h of dx meets row (h + top - d*p) / s of dy, if that is one: from one such p to the next it
    is some rows back.
    """
    _, H, W, C = dx_shape
    _, I, J, _ = dy_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    vector, width = _vectors(C, dtype)
    pixels = -(-_pixels(W) // t) * t  # so that the steps of the window fall on each tile alike
    tile = Tile(vector, width, pixels, 0, Q, t, e, left % t)
    steps = np.subtract.outer(np.arange(H) + top, d * np.arange(P))
    met = (steps % s == 0) & (steps >= 0) & (steps < s * I)
    rows = _rows(steps // s, met, J * C, Q * C)
    apart = math.gcd(s, d)
    numbers = (W, -(d // apart) * J * C, s // apart * Q * C, left // t, J, C)
    return _plan(dtype, tile, rows, dy_shape, numbers)


def _vectors(C, dtype):
    """How many channels make a vector, and how many vectors lie side by side in a tile."""
    count = lanes(dtype)
    while count > C:
        count //= 2
    even = C >= 2 * count and -(-C // count) % 2 == 0
    return count, 2 if even and REGISTERS > 16 else 1


def _pixels(count):
    """How many of `count` pixels a tile takes, so that the last tile of a row is full."""
    return count if count <= max(PIXELS) else min(PIXELS, key=lambda pixels: -count % pixels)


def _rows(source, met, x_row, w_row):
    """For each row of y: how many rows of the window it meets, and where the first begins.

    Args:
        source: which row of x it is, (rows of y, P).
        met: whether there is such a row, (rows of y, P).
        x_row: numbers in a row of x.
        w_row: numbers in a row of the window.
    """
    first = met.argmax(axis=1)
    at_x = source[np.arange(len(first)), first] * x_row
    return np.stack([met.sum(axis=1), at_x, first * w_row], axis=1)


def _plan(dtype, tile, rows, x_shape, numbers):
    N, H, W, C = x_shape
    shares = min(C // tile.channels, -(-TASKS // max(1, N * len(rows))))
    return Rows(tile_for(dtype, tile), rows, (N, shares, tile.channels, H * W * C), numbers)


@functools.lru_cache(maxsize=256)
def _plan_weight_grad(dtype, x_shape, dy_shape, window, arrangement):
    N, H, W, C = x_shape
    _, I, J, _ = dy_shape
    (P, Q), ((s, t), ((top, _), (left, _)), (d, e)) = window, arrangement
    rows = max((n for n in range(1, P + 1) if P % n == 0 and _fit(n, Q, 1)), default=1)
    vector, width = _vectors(C, dtype)
    width = width if _fit(rows, Q, width) else 1
    pixels = J if J <= max(PIXELS) else min(PIXELS, key=lambda pixels: J % pixels)
    tile = Tile(vector, width, pixels, rows, Q, t, e)
    read = N * (H * W + I * J) * C
    parts = max(1, min(PARTS, read // (PART * P * Q * C)))
    images = max(1, min(N, parts))
    bands = min(I, parts // images)
    shares = min(-(-C // tile.channels), -(-TASKS // (images * bands)))
    return Parts(
        tile_for(dtype, tile),
        (shares, images, bands),
        (P, Q, rows, tile.channels),
        (N, I, J, H * W * C, top, left, s, d, H, W, C),
    )


def _fit(rows, Q, width):
    """Whether the registers can hold the sums of some rows of the window, Q gradients and an x."""
    return width * (rows * Q + Q + 1) <= REGISTERS


def forward(x, weight, bias, relu, y, arrangement):
    """Fill y.

    Args:
        x: (N, H, W, C).
        weight: (P, Q, 1, F), where F is a multiple of C.
        bias: (F,), or None.
        relu: whether results below 0 become 0.
        y: (N, I, J, F).
        arrangement: strides, padding and dilation, as for conv2d.forward.
    """
    P, Q, _, F = weight.shape
    x = _repeated(x, F)
    _run(plan_forward(x.dtype, x.shape, y.shape, (P, Q), arrangement), x, weight, bias, relu, y)


def input_grad(dy, weight, dx, arrangement):
    """Fill dx, (N, H, W, C), from dy, (N, I, J, F), and weight; the rest as for `forward`."""
    P, Q, _, F = weight.shape
    several = dx.shape[3] != F
    wide = empty((*dx.shape[:3], F), dx.dtype) if several else dx
    plan = _plan_input_grad(dy.dtype, dy.shape, wide.shape, (P, Q), arrangement)
    _run(plan, dy, weight, None, False, wide)
    if several:
        wide.reshape(*dx.shape, -1).sum(axis=-1, out=dx)


def _run(plan, x, weight, bias, relu, y):
    start = np.zeros(y.shape[3], y.dtype) if bias is None else bias
    arrays = (x.reshape(-1), weight.reshape(-1), y.reshape(-1), start)
    _fill_rows(plan.tile, arrays, plan.rows, plan.cuts, plan.numbers, int(relu))


def weight_grad(x, dy, dw, arrangement):
    """Fill dw, (P, Q, 1, F), from x, (N, H, W, C), and dy, (N, I, J, F)."""
    P, Q, _, F = dw.shape
    x = _repeated(x, F)
    plan = _plan_weight_grad(x.dtype, x.shape, dy.shape, (P, Q), arrangement)
    _, images, bands = plan.cuts
    parts = empty((images * bands, dw.size), dw.dtype)
    arrays = (x.reshape(-1), dy.reshape(-1), parts.reshape(-1))
    _fill_parts(plan.tile, arrays, plan.cuts, plan.window, plan.numbers)
    parts.sum(axis=0, out=dw.reshape(-1))


def _repeated(x, F):
    """`x`, each channel as many times as it has filters."""
    return x if x.shape[3] == F else np.repeat(x, F // x.shape[3], axis=3)


def forward_gpu(x, weight, bias, relu, shape, g):
    """y, of that shape; g: a geometry.Geometry with a group for each channel."""
    y = cuda.empty(shape, x.dtype, x)
    _launch("forward", cuda.blocks(y.size), (256,), (x, weight, bias, y, relu), g)
    return y


def input_grad_gpu(dy, weight, x_shape, g):
    """dx, of that shape."""
    dx = cuda.empty(x_shape, dy.dtype, dy)
    _launch("input_grad", cuda.blocks(dx.size), (256,), (dy, weight, dx), g)
    return dx


def weight_grad_gpu(x, dy, pieces, g):
    """The sums of all pieces, (pieces, P, Q, 1, filters), that together make dw."""
    filters = g.groups * g.F
    parts = cuda.empty((pieces, g.P, g.Q, 1, filters), x.dtype, x)
    grid = (-(-filters // 32), g.P * g.Q, pieces)
    _launch("weight_grad", grid, (32, 8), (x, dy, parts, pieces), g)
    return parts


def _launch(function, grid, block, given, g):
    window = (g.N, g.H, g.W, g.C, g.P, g.Q, g.groups * g.F, g.I, g.J)
    steps = (g.s, g.t, g.d, g.e, g.top, g.left)
    cuda.launch("depthwise", f"depthwise_{function}", grid, block, *given, *window, *steps)
