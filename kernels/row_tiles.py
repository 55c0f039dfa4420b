"""Register tiles for few filters, which take the columns of a window at once.

    for a, k in the two nested loops of a sum:
        for q:         filter[q] = w[row a of the window, column q, channel k]
        for column:    pixel     = x[at_x + column*x_pixel + a*x_a + k*x_k]
            for all pixels m and columns q of the window with m + q = column:
                       sum[m]   += pixel * filter[q]                a multiply-add each

The tiles of simd.py load a pixel for each vector of filters. Where all filters fit into one vector,
that is a load for each multiply-add, and a CPU can do no more loads than multiply-adds. Here a
pixel is loaded once for all Q columns of the window that meet it: PIXELS + Q - 1 pixels and Q
filters feed PIXELS * Q multiply-adds. That takes a window whose steps and columns are neighbours.

A piece of dw (correlate.py) is added up the same way, turned by a quarter: a tile has the sums of
some channels k for all columns q, and walks along the rows of x and dy.

    for n, i in the two loops of a sum:
        for column of x, and the channels k:
            number = x[at_x + n*x_image + i*x_row + column*x_column + k]
            for all columns q of the window and places j with j + q = column:
                sum[q, k] += number * dy[n, i, j]                  a multiply-add each

What meets is decided when the tiles are compiled, which is when a window of Q columns first asks
for them, and takes a third of a second. The tiles are called as those of simd.py are. Those of y
add up the same sum, so that _tile_in_python stands for them, too; those of dw are left out where
NUMBA_DISABLE_JIT=1 switches the compiler off.
"""

import functools
from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from .compiling import compiled_for_address
from .registers import REGISTERS
from .simd import tile_signature
from .tile_code import INT, Tile, call_one, flat

MOST_IN_ROW = 16  # pixels; more would hardly save loads
FEWEST_IN_ROW = 8  # of which the CPU wants as many sums at a time


def most_in_row(Q):
    """How many pixels a tile can have, for its sums, Q filters and a pixel must be in registers."""
    return min(MOST_IN_ROW, REGISTERS - Q - 1)


def pixels_in_row(J, Q):
    """How many pixels the tiles of a row of J should have, for a window of Q columns; or 0: none.

    Tiles of about the same size: two of 9 and 8 pixels are faster than 16 and 1.
    """
    most = most_in_row(Q)
    return -(-J // -(-J // most)) if Q > 1 and most >= FEWEST_IN_ROW else 0


def most_channels(Q):
    """How many channels a tile of dw can have: each with Q sums and a number of x, beside Q of dy.

    All numbers of a column, because LLVM loads them at once.
    """
    return (REGISTERS - Q - 1) // (Q + 1)


@functools.cache
def row_tiles(dtype, Q, turned=False):
    """The address of the compiled tiles of all sizes, for Q columns of the window.

    With turned=True of those that hold a piece of dw.
    """
    if numba.config.DISABLE_JIT:
        return 0

    def any_tile(
        n, m, v, x, w, start, y, add, floor, A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel
    ):
        loops = (n, A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel)
        _choose((Q, turned), m, (x, w, start, y), add, floor, loops)

    return compiled_for_address(tile_signature(dtype), any_tile).address


@intrinsic(prefer_literal=True)
def _choose(typing, kind, pixels, pointers, add, floor, loops):
    """Run the tile of the given size; `kind` are the constants (Q, turned)."""
    Q, turned = (constant.literal_value for constant in kind)

    def codegen(context, builder, signature, args):
        tile, most = (TurnedTile, most_channels(Q)) if turned else (RowTile, most_in_row(Q))
        tiles = {m: functools.partial(tile, m, Q) for m in range(1, most + 1)}
        call_one(builder, args[1], tiles, flat(builder, args[2:]))
        return context.get_dummy_value()

    return types.void(kind, pixels, pointers, add, floor, loops), codegen


class RowTile(Tile):
    """Writes the LLVM code of one tile; see the top."""

    def __init__(self, pixels, Q, builder, vector):
        super().__init__(pixels, 1, builder, vector)
        self.Q, self.columns = range(Q), range(pixels + Q - 1)

    def _window(self, A, B, K, x_a, x_b, x_k, w_step):
        builder = self.builder
        column = builder.mul(K, w_step)
        others = builder.mul(column, INT(len(self.Q) - 1))
        channels = self._loop(K, None, self._meet(x_k, w_step, column))

        def row(state):
            x, w, *sums = channels(state)
            return [x, builder.gep(w, [others]), *sums]

        return self._loop(A, x_a, row)

    def _meet(self, x_k, w_step, column):
        """One step of the sum: all pixels meet all columns of the window."""
        builder = self.builder

        def body(state):
            x, w, *sums = state
            cells = [builder.gep(w, [builder.mul(column, INT(q))]) for q in self.Q]
            filters = [self._load(cell, 0) for cell in cells]
            near = self._near(x)
            for k in self.columns:
                pixel = self._pixel(near, k)
                for q in self.Q:
                    if k - q in self.pixels:
                        sums[k - q] = self._fmuladd(pixel, filters[q], sums[k - q])
            return [builder.gep(x, [x_k]), builder.gep(w, [w_step]), *sums]

        return body


class TurnedTile(Tile):
    """Writes the LLVM code of a tile of dw; see the top.

    Its pixels are `channels` neighbours for each of Q columns of the window. A column of a row of x
    meets the dy of Q places: the new one, which is loaded, and those that the columns before have
    left in registers. At both ends of the row there are fewer of them.
    """

    def __init__(self, channels, Q, builder, vector):
        super().__init__(channels * Q, 1, builder, vector)
        self.Q, self.channels = Q, range(channels)

    def emit(self, x, w, start, y, add, floor, *loops):  # w is dy here
        count, N, I, J, x_image, x_row, self.x_column, _, self.dy_step, self.y_pixel = loops
        row = functools.partial(self._row, self.builder.sub(J, INT(self.Q - 1)))
        rows = self._loop(N, x_image, self._loop(I, x_row, row))

        def one(x, y):
            _, _, *sums = rows([x, w, *(self._load(start, 0) for _ in self.pixels)])
            self._store(y, sums, add, floor)

        self._repeat(count, one, (x, INT(1)), y, len(self.channels))

    def _row(self, whole, state):
        """A row of dy; `whole` columns of x meet Q of its places, those beside them fewer."""
        x, dy, *sums = state
        late: list[Any] = []  # dy of the places before, the latest first
        for _ in range(self.Q - 1):
            late = [self._load(dy, 0), *late]
            x, dy, sums = self._meet(x, dy, late, 0, sums)
        x, dy, *state = self._loop(whole, None, self._whole)([x, dy, *late, *sums])
        late, sums = state[: self.Q - 1], state[self.Q - 1 :]
        for first in range(1, self.Q):
            x, _, sums = self._meet(x, dy, late[: self.Q - first], first, sums)
        return [x, dy, *sums]

    def _whole(self, state):
        x, dy, *state = state
        late, sums = [self._load(dy, 0), *state[: self.Q - 1]], state[self.Q - 1 :]
        x, dy, sums = self._meet(x, dy, late, 0, sums)
        return [x, dy, *late[:-1], *sums]

    def _meet(self, x, dy, late, first, sums):
        """A column of x meets some places, by way of the columns of the window from `first` on."""
        builder, sums = self.builder, list(sums)
        for k in self.channels:
            number = self._broadcast(builder.load(builder.gep(x, [INT(k)])))
            for q, gradient in enumerate(late, start=first):
                n = q * len(self.channels) + k
                sums[n] = self._fmuladd(number, gradient, sums[n])
        return builder.gep(x, [self.x_column]), builder.gep(dy, [self.dy_step]), sums

    def _place(self, m):
        q, k = divmod(m, len(self.channels))
        return self.builder.add(self.builder.mul(self.x_column, INT(q)), INT(k))
