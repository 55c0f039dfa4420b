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

What meets is decided when the tiles are compiled, which is when a window of Q columns first asks
for them, and takes a third of a second. The tiles are called as those of simd.py are, and
_tile_in_python there says what they do: the same sum.
"""

import functools

import numba
from numba import types
from numba.extending import intrinsic

from .compiling import compiled_for_address
from .simd import INT, REGISTERS, Tile, call_one, tile_signature

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


@functools.cache
def row_tiles(dtype, Q):
    """The address of the compiled tiles of all sizes, for Q columns of the window."""
    if numba.config.DISABLE_JIT:
        return 0

    def any_tile(
        pixels, width, x, w, start, y, add, floor, A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel
    ):
        loops = (A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel)
        _choose(Q, pixels, (x, w, start, y), add, floor, loops)

    return compiled_for_address(tile_signature(dtype), any_tile).address


@intrinsic(prefer_literal=True)
def _choose(typing, columns, pixels, pointers, add, floor, loops):
    """Run the tile of the given size; `columns` is the constant Q."""
    Q = columns.literal_value

    def codegen(context, builder, signature, args):
        tiles = {m: functools.partial(RowTile, m, Q) for m in range(1, most_in_row(Q) + 1)}
        call_one(builder, args[1], tiles, args[2:])
        return context.get_dummy_value()

    return types.void(columns, pixels, pointers, add, floor, loops), codegen


class RowTile(Tile):
    """Writes the LLVM code of one tile; see the top."""

    def __init__(self, pixels, Q, builder, vector):
        super().__init__(pixels, 1, builder, vector)
        self.Q, self.columns = range(Q), range(pixels + Q - 1)

    def _window(self, A, B, K, x_a, x_b, x_k, w_step):
        builder, w = self.builder, len(self.anchors)  # the place of the pointer in a state
        column = builder.mul(K, w_step)
        others = builder.mul(column, INT(len(self.Q) - 1))
        channels = self._loop(K, None, self._meet(x_k, w_step, column))

        def row(state):
            state = channels(state)
            state[w] = builder.gep(state[w], [others])
            return state

        return self._loop(A, x_a, row)

    def _meet(self, x_k, w_step, column):
        """One step of the sum: all pixels meet all columns of the window."""
        builder, count = self.builder, len(self.anchors)

        def body(state):
            anchors, w, sums = state[:count], state[count], state[count + 1 :]
            cells = [builder.gep(w, [builder.mul(column, INT(q))]) for q in self.Q]
            filters = [self._load(cell, 0) for cell in cells]
            near = self._near(anchors)
            for k in self.columns:
                pixel = self._pixel(near, k)
                for q in self.Q:
                    if k - q in self.pixels:
                        sums[k - q] = self._fmuladd(pixel, filters[q], sums[k - q])
            moved = [builder.gep(anchor, [x_k]) for anchor in anchors]
            return [*moved, builder.gep(w, [w_step]), *sums]

        return body
