"""Turned, stretched and moved images: each pixel comes from some place between four others.

    y[n,i,j,c]  = sum over the pixels h', w' near h, w of  share * x[n,h',w',c]        gather
    dx[n,h,w,c] = sum of  share * dy[n,i,j,c]  over all i, j that pixel h, w is near   scatter

    where  w = a[0]*j + a[1]*i + a[2]  and  h = a[3]*j + a[4]*i + a[5],  a = transforms[n]

Bilinear: the four pixels that are less than one row and one column away, each with the share
(1 - |h - h'|) * (1 - |w - w'|). Otherwise only the nearest one, with the share 1; of two
equally near ones the later. A pixel beyond
the border is another one inside, as the fill mode says:

    reflect   d c b a | a b c d | d c b a     as in a mirror on the border
    wrap      a b c d | a b c d | a b c d     as on a tiled floor
    nearest   a a a a | a b c d | d d d d     the last one again and again
    constant  k k k k | a b c d | k k k k     a number, to which dy does not lead

Work:     4*N*H*W*C multiply-adds.
Threads:  none, so that it may run in the background as well as in a training step.
Versions: NumPy reference, Numba loops, CUDA (warp.cu).
"""

import numpy as np

from . import cuda
from .compiling import compiled
from .kernel import Kernel
from .memory import empty, zeros

FILL_MODES = ("reflect", "wrap", "nearest", "constant")
REFLECT, WRAP, NEAREST, CONSTANT = range(4)


def _inside_reference(place, size, fill_mode):
    """The pixel that a place stands for; -1 for none."""
    there_and_back = place % (2 * size)
    return {
        "reflect": np.minimum(there_and_back, 2 * size - 1 - there_and_back),
        "wrap": place % size,
        "nearest": np.clip(place, 0, size - 1),
        "constant": np.where((place >= 0) & (place < size), place, -1),
    }[fill_mode]


def _near_reference(at, size, bilinear, fill_mode):
    """Pixels near the places `at` along one axis, and their shares."""
    if not bilinear:
        return [
            (_inside_reference(np.floor(at + 0.5).astype(int), size, fill_mode), np.ones_like(at))
        ]
    first = np.floor(at).astype(int)
    return [
        (_inside_reference(first, size, fill_mode), 1 - (at - first)),
        (_inside_reference(first + 1, size, fill_mode), at - first),
    ]


def _parts_reference(shape, transforms, bilinear, fill_mode):
    """For each of the four: rows and columns of the pixels, (N, H, W), and shares (N, H, W, 1)."""
    N, H, W, _ = shape
    a = np.asarray(transforms, np.float64)[:, :, None, None]
    i, j = np.arange(H)[:, None], np.arange(W)
    w, h = a[:, 0] * j + a[:, 1] * i + a[:, 2], a[:, 3] * j + a[:, 4] * i + a[:, 5]
    for rows, row_share in _near_reference(h, H, bilinear, fill_mode):
        for columns, column_share in _near_reference(w, W, bilinear, fill_mode):
            yield rows, columns, (row_share * column_share)[..., None]


def _gather_reference(x, transforms, bilinear, fill_mode, fill):
    n, y = np.arange(len(x))[:, None, None], np.zeros(x.shape)
    for rows, columns, share in _parts_reference(x.shape, transforms, bilinear, fill_mode):
        outside = ((rows < 0) | (columns < 0))[..., None]
        y += np.where(share == 0, 0, share * np.where(outside, fill, x[n, rows, columns]))
    return y.astype(x.dtype)


def _scatter_reference(dy, transforms, bilinear, fill_mode):
    n, dx = np.arange(len(dy))[:, None, None], np.zeros(dy.shape)
    for rows, columns, share in _parts_reference(dy.shape, transforms, bilinear, fill_mode):
        nowhere = ((rows < 0) | (columns < 0))[..., None] | (share == 0)
        np.add.at(dx, (n, rows, columns), np.where(nowhere, 0, share * dy))
    return dx.astype(dy.dtype)


@compiled
def _inside(place, size, mode):
    """The pixel that a place stands for; -1 for none."""
    if 0 <= place < size:
        return place
    if mode == REFLECT:
        there_and_back = place % (2 * size)
        return min(there_and_back, 2 * size - 1 - there_and_back)
    if mode == WRAP:
        return place % size
    if mode == NEAREST:
        return min(max(place, 0), size - 1)
    return -1


@compiled
def _near(at, size, bilinear, mode):
    """The two pixels near a place along one axis, and the share of the second one."""
    if bilinear:
        first = np.int64(np.floor(at))
        return _inside(first, size, mode), _inside(first + 1, size, mode), at - first
    nearest = _inside(np.int64(np.floor(at + 0.5)), size, mode)
    return nearest, nearest, 0.0


@compiled
def _gather_loops(x, transforms, bilinear, mode, fill, y, size):
    H, W, C = size
    count = np.uint64(C)
    for n in range(transforms.shape[0]):
        a = transforms[n]
        for i in range(H):
            for j in range(W):
                h, lower, row_share = _near(a[3] * j + a[4] * i + a[5], H, bilinear, mode)
                w, right, column_share = _near(a[0] * j + a[1] * i + a[2], W, bilinear, mode)
                to = np.uint64(((n * H + i) * W + j) * C)
                for c in range(count):
                    y[to + c] = 0
                for p, row_part in ((h, 1 - row_share), (lower, row_share)):
                    for q, column_part in ((w, 1 - column_share), (right, column_share)):
                        share = row_part * column_part
                        if share == 0:
                            continue
                        if p < 0 or q < 0:
                            for c in range(count):
                                y[to + c] += share * fill
                        else:
                            at = np.uint64(((n * H + p) * W + q) * C)
                            for c in range(count):
                                y[to + c] += share * x[at + c]


@compiled
def _scatter_loops(dy, transforms, bilinear, mode, dx, size):
    H, W, C = size
    count = np.uint64(C)
    for n in range(transforms.shape[0]):
        a = transforms[n]
        for i in range(H):
            for j in range(W):
                h, lower, row_share = _near(a[3] * j + a[4] * i + a[5], H, bilinear, mode)
                w, right, column_share = _near(a[0] * j + a[1] * i + a[2], W, bilinear, mode)
                at = np.uint64(((n * H + i) * W + j) * C)
                for p, row_part in ((h, 1 - row_share), (lower, row_share)):
                    for q, column_part in ((w, 1 - column_share), (right, column_share)):
                        share = row_part * column_part
                        if share == 0 or p < 0 or q < 0:
                            continue
                        to = np.uint64(((n * H + p) * W + q) * C)
                        for c in range(count):
                            dx[to + c] += share * dy[at + c]


def _gather_cpu(x, transforms, bilinear, fill_mode, fill):
    y = empty(x.shape, x.dtype)
    table, mode = np.asarray(transforms, np.float64), FILL_MODES.index(fill_mode)
    fill = float(fill)
    _gather_loops(x.reshape(-1), table, bilinear, mode, fill, y.reshape(-1), x.shape[1:])
    return y


def _scatter_cpu(dy, transforms, bilinear, fill_mode):
    dx = zeros(dy.shape, dy.dtype)
    table, mode = np.asarray(transforms, np.float64), FILL_MODES.index(fill_mode)
    _scatter_loops(dy.reshape(-1), table, bilinear, mode, dx.reshape(-1), dy.shape[1:])
    return dx


def _gather_gpu(x, transforms, bilinear, fill_mode, fill):
    y = cuda.empty(x.shape, x.dtype, like=x)
    table, mode = transforms.astype(np.float64, copy=False), FILL_MODES.index(fill_mode)
    args = x, table, bilinear, mode, float(fill), y, *x.shape[1:], x.size
    cuda.launch("warp", "gather", cuda.blocks(x.size), 256, *args)
    return y


def _scatter_gpu(dy, transforms, bilinear, fill_mode):
    (N, H, W, C), dx = dy.shape, cuda.empty(dy.shape, dy.dtype, like=dy)
    table, mode = transforms.astype(np.float64, copy=False), FILL_MODES.index(fill_mode)
    rows = N * H * C
    args = dy, table, bilinear, mode, dx, H, W, C, rows
    cuda.launch("warp", "scatter", cuda.blocks(rows, 64), 64, *args)
    return dx


# transforms (N, 6); bilinear: true or false; fill_mode: one of FILL_MODES
gather = Kernel("warp.gather", reference=_gather_reference, cpu=_gather_cpu, gpu=_gather_gpu)
scatter = Kernel("warp.scatter", reference=_scatter_reference, cpu=_scatter_cpu, gpu=_scatter_gpu)
