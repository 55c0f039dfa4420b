"""The largest pixel of a window, for a vector of channels at a time.

LLVM makes vectors of a plain loop over channels, too, but four at a time, and channels that do not
fill all four it takes one by one; before each loop it asks whether x, y and where overlap. Layers
have as few as 8 or 16 channels, so the few instructions are written by hand.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .registers import VECTOR_BYTES, lanes
from .tile_code import VectorCode

NUMBER = ir.IntType(32)  # of a pixel


def _largest_in_python(x, at, window, size, first, y, where, here, floor, single):
    """One window and one vector of channels, in Python; the compiled one does the same.

    A value wins if it is larger, or the first NaN: `not <=` is true for a NaN in value, and
    `best == best` is false for one in best.

    x, at: flat array, and where in it the first pixel of the window is.
    window: (rows, columns) of it.
    size: (W, C, down) of the image; `down`: how many pixels a row counts in their numbers.
    first: the number of the first pixel in its image.
    y, where, here: flat arrays for the largest value and its pixel's number, and where in them;
        where may be None: nobody asks.
    floor: results below it become it; NaN stays NaN.
    single: whether it is one channel only.
    """
    count = 1 if single else lanes(x.dtype)
    W, C, down = size
    best, winner = x[at : at + count], np.full(count, first)
    for p, q in np.ndindex(*window):
        value = x[at + (p * W + q) * C :][:count]
        wins = ~(value <= best) & (best == best)
        number = first + p * down + q
        best, winner = np.where(wins, value, best), np.where(wins, number, winner)
    y[here : here + count] = np.where(best < floor, floor, best)
    if where is not None:
        where[here : here + count] = winner


@intrinsic(prefer_literal=True)
def _largest_in_llvm(typing, x, at, window, size, first, y, where, here, floor, single):
    """The arguments are those of _largest_in_python."""
    given = (x, at, window, size, first, y, where, here, floor, single)

    def codegen(context, builder, signature, args):
        def pointer(k, index):
            array = context.make_array(signature.args[k])(context, builder, value=args[k])
            return builder.gep(array.data, [args[index]])

        count = 1 if single.literal_value else VECTOR_BYTES * 8 // x.dtype.bitwidth
        code = Largest(builder, ir.VectorType(context.get_value_type(x.dtype), count))
        window, size = (cgutils.unpack_tuple(builder, args[k]) for k in (2, 3))
        best, winner = code.search(pointer(0, 1), window, size, args[4])
        code.keep(best, pointer(5, 7), args[8])
        if where != types.none:  # else LLVM finds out that the numbers are of no use
            code.numbers._save(winner, pointer(6, 7), 0)
        return context.get_dummy_value()

    return types.void(*given), codegen


class Largest(VectorCode):
    """Writes the LLVM code for one vector of channels."""

    def __init__(self, builder, vector):
        super().__init__(builder, vector)
        self.numbers = VectorCode(builder, ir.VectorType(NUMBER, vector.count))

    def search(self, x, window, size, first):
        """The largest values and the numbers of their pixels."""
        builder, (rows, columns), (W, C, down) = self.builder, window, size
        best = cgutils.alloca_once_value(builder, self._load(x, 0))
        winner = cgutils.alloca_once_value(builder, self._number(first))
        with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, columns) as column:
            pixel = builder.add(builder.mul(row.index, W), column.index)
            value = self._load(builder.gep(x, [builder.mul(pixel, C)]), 0)
            former = builder.load(best)
            larger = builder.fcmp_unordered(">", value, former)
            wins = builder.and_(larger, builder.fcmp_ordered("==", former, former))
            above = builder.add(first, builder.mul(row.index, down))
            number = self._number(builder.add(above, column.index))
            builder.store(builder.select(wins, value, former), best)
            builder.store(builder.select(wins, number, builder.load(winner)), winner)
        return builder.load(best), builder.load(winner)

    def keep(self, best, y, floor):
        """Write to y what is not below the floor."""
        low = self._broadcast(floor)
        self._save(self.builder.select(self.builder.fcmp_ordered("<", best, low), low, best), y, 0)

    def _number(self, pixel):
        return self.numbers._broadcast(self.builder.trunc(pixel, NUMBER))


largest: Any = _largest_in_python if numba.config.DISABLE_JIT else _largest_in_llvm
