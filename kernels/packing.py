"""Filters in the order in which register tiles read them.

The filters of a group are cut into blocks of WIDTH * LANES, of which a tile reads

    all p, q, k in order, and for each of them the numbers of the block's filters side by side.

The last blocks are narrower, so that few lanes stay idle: of the vectors that are left, each power
of two is a block. The very last vector is filled up with zeros.
"""

import numba
import numpy as np
from numpy.lib.stride_tricks import as_strided

from .compiling import compiled, compiled_part
from .geometry import share_of
from .memory import empty
from .runs import clear_run
from .sharing import share, threads
from .simd import lanes

ALONE = 1 << 15  # numbers; one thread has packed fewer of them before a second one has started
TURNED = 64  # steps that are packed together where filters have to be turned


@compiled_part
def padded(count, LANES):
    """`count`, rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


def block_count(F, width, LANES):
    """How many blocks the filters of one group are cut into."""
    vectors = -(-F // LANES)
    whole, rest = divmod(vectors, width)
    return whole + rest.bit_count()  # of the rest, each power of two is a block


@compiled_part
def block_width(F, f, width, LANES):
    """The width of the block of filters that begins at f: narrower at the end."""
    vectors = (F - f + LANES - 1) // LANES
    while width > vectors:
        width //= 2
    return width


@compiled_part
def block_at(number, F, width, LANES):
    """Where a block of filters begins, and its width."""
    f = 0
    for _ in range(number):
        f += block_width(F, f, width, LANES) * LANES
    return f, block_width(F, f, width, LANES)


def pack(filters, width):
    """Filters (groups, P, Q, K, F), a view with any strides, in the order in which tiles read them.

    Returns: flat, whole vectors only.
    """
    groups, P, Q, K, F = filters.shape
    LANES = lanes(filters.dtype)
    packed = empty((groups * P * Q * K * padded(F, LANES),), filters.dtype)
    workers = numba.get_num_threads() if packed.size > ALONE else 1
    blocks = block_count(F, width, LANES)
    _pack(threads(), workers, _in_any_order(filters), packed, blocks, width, LANES)
    return packed


def _in_any_order(filters):
    """The filters with one axis more, along which they are repeated, but not in memory.

    Numba compiles for each order of the axes in memory that NumPy has a name for; this has none.
    """
    return as_strided(filters, (*filters.shape, 2), (*filters.strides, 0))


@compiled
def _pack(threads, workers, filters, packed, blocks, width, LANES):
    share(threads, workers, _pack_pieces, (filters, packed, blocks, width, LANES))


@compiled_part
def _pack_pieces(worker, workers, filters, packed, blocks, width, LANES):
    groups, P, Q, _, _, _ = filters.shape
    for piece in share_of(worker, workers, groups * blocks * P * Q):
        pack_piece(filters, packed, piece, blocks, width, LANES)


@compiled_part
def pack_piece(filters, packed, piece, blocks, width, LANES):
    """A block of filters, (groups, P, Q, K, F, any), of one group and one cell of the window."""
    _, P, Q, K, F, _ = filters.shape
    rest, q = divmod(piece, Q)
    rest, p = divmod(rest, P)
    group, number = divmod(rest, blocks)
    f, vectors = block_at(number, F, width, LANES)
    count = vectors * LANES
    at = P * Q * K * (group * padded(F, LANES) + f) + (p * Q + q) * K * count
    here, valid = filters[group, p, q, :, f:, 0], min(count, F - f)
    if here.strides[0] < here.strides[1]:  # neighbours in k are neighbours in memory
        for k in range(0, K, TURNED):
            _turn(here, packed, at, (k, min(K, k + TURNED)), valid, count)
    else:
        for k in range(np.uint64(K)):
            to = np.uint64(at) + k * np.uint64(count)
            for lane in range(np.uint64(valid)):
                packed[to + lane] = here[k, lane]
    if valid < count:
        for k in range(K):
            clear_run(packed, at + k * count + valid, count - valid)


@compiled_part
def _turn(here, packed, at, steps, valid, count):
    """Some steps of a block, read filter by filter; what is written to stays in the cache."""
    for lane in range(np.uint64(valid)):
        for k in range(np.uint64(steps[0]), np.uint64(steps[1])):
            packed[np.uint64(at) + k * np.uint64(count) + lane] = here[k, lane]
