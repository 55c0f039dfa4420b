"""Filters in the order in which register tiles read them.

The filters of a group are cut into blocks of WIDTH * LANES, of which a tile reads

    all p, q, k in order, and for each of them the numbers of the block's filters side by side.

The last blocks are narrower, so that few lanes stay idle: of the vectors that are left, each power
of two is a block. The very last vector is filled up with zeros.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .compiling import compiled, compiled_part
from .geometry import share_of
from .memory import empty
from .registers import lanes
from .runs import clear_run
from .sharing import share, threads
from .threads import thread_count

ALONE = 1 << 15  # numbers; one thread has packed fewer of them before a second one has started
STEPS = 64  # that are packed together, of all blocks: so memory is read row by row


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
def filters_of(share, shares, blocks, F, width, LANES):
    """From which filter of a group to which one a share of its blocks goes: (begin, end)."""
    first, behind = -(-share * blocks // shares), -(-(share + 1) * blocks // shares)
    begin = f = 0
    for block in range(behind):
        begin = f if block == first else begin
        f += block_width(F, f, width, LANES) * LANES
    return begin, min(f, F)


@compiled_part
def piece_count(P, Q, K):
    """How many pieces the filters of a group are packed in."""
    return P * Q * ((K + STEPS - 1) // STEPS)


def pack(filters, width):
    """Filters (groups, P, Q, K, F), a view with any strides, in the order in which tiles read them.

    Returns: flat, whole vectors only.
    """
    groups, P, Q, K, F = filters.shape
    LANES = lanes(filters.dtype)
    packed = empty((groups * P * Q * K * padded(F, LANES),), filters.dtype)
    workers = thread_count() if packed.size > ALONE else 1
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
    groups, P, Q, K, _, _ = filters.shape
    for piece in share_of(worker, workers, groups * piece_count(P, Q, K)):
        pack_piece(filters, packed, piece, blocks, width, LANES)


@compiled_part
def pack_piece(filters, packed, piece, blocks, width, LANES):
    """A few steps of all blocks of filters, (groups, P, Q, K, F, any): of one group and cell."""
    _, P, Q, K, F, _ = filters.shape
    group, rest = divmod(piece, piece_count(P, Q, K))
    cell, k = rest % (P * Q), rest // (P * Q) * STEPS
    p, q = divmod(cell, Q)
    steps = min(STEPS, K - k)
    f = 0
    for _ in range(blocks):
        count, valid = block_width(F, f, width, LANES) * LANES, F - f
        at = P * Q * K * (group * padded(F, LANES) + f) + (cell * K + k) * count
        _pack_steps(filters[group, p, q, k:, f:, 0], packed, at, steps, min(count, valid), count)
        f += count


@compiled_part
def _pack_steps(here, packed, at, steps, valid, count):
    """Some steps of one block, from (steps, filters): in the order in which they are in memory."""
    steps, valid, at = np.uint64(steps), np.uint64(valid), np.uint64(at)
    if here.strides[0] < here.strides[1]:  # neighbours in k are neighbours in memory
        for lane in range(valid):
            for k in range(steps):
                packed[at + k * np.uint64(count) + lane] = here[k, lane]
    else:
        for k in range(steps):
            for lane in range(valid):
                packed[at + k * np.uint64(count) + lane] = here[k, lane]
    if valid < np.uint64(count):
        for k in range(steps):
            first = at + k * np.uint64(count) + valid
            clear_run(packed, first, np.uint64(count) - valid)
