"""Register tiles that walk along a list: of places in images, and of a number for each of them.

    collect:   y[r, v]           += number * x[place + r, v]     for all r, v, for each of the list
    give:      x[place + r, v]   += number * y[r, v]

r counts the rows of a window, v the vectors in a row of it. y, one row of vectors for each row of
the window, stays in registers while the list goes by: as in simd.py, but there is nothing regular
about where the next piece of x is. winners.py says what that is good for.

A place is where in x the first number is. The rows of y are `y_row` numbers apart, those of x
`x_row`; all rows must have room for whole vectors.
"""

import functools
import itertools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_for_address
from .registers import REGISTERS, lanes
from .tile_code import INT, VectorCode, call_one, flat

LONGEST = 8  # vectors in a row of a tile
MOST_ROWS = 3
COLLECTS, GIVES = 0, 1
MOST_SUMS = REGISTERS - 8 if REGISTERS > 16 else REGISTERS - 4  # the others hold what passes by


def tile_rows(P, vectors):
    """How to cut P rows of so many vectors into tiles: (rows, vectors) of the largest of them."""
    longest = min(LONGEST, MOST_SUMS)
    width = -(-vectors // -(-vectors // longest))
    return min(P, MOST_ROWS, MOST_SUMS // width), width


def _walk_in_python(
    address, shape, numbers, places, at_list, count, x, at_x, x_row, y, at_y, y_row
):
    """One tile, in Python; the compiled one does the same.

    address: of the compiled tiles; in Python, as list_tiles says.
    shape: (rows, width): the tile's size, width counted in vectors.
    numbers, places, at_list, count: the list is the `count` entries from at_list on.
    x, at_x, x_row: flat array of images, the number that place 0 means, and from row to row.
    y, at_y, y_row: flat array of rows of a window, where the tile begins, and from row to row.
    """
    rows, width = shape
    size = width * lanes(x.dtype)
    for entry in range(at_list, at_list + count):
        for r in range(rows):
            here = x[at_x + places[entry] + r * x_row :][:size]
            there = y[at_y + r * y_row :][:size]
            if address == GIVES:
                here += numbers[entry] * there
            else:
                there += numbers[entry] * here


@functools.cache
def list_tiles(dtype, gives):
    """The address of the compiled tiles of all sizes: those that give, or those that collect.

    Where there is no compiler, GIVES or COLLECTS.
    """
    if numba.config.DISABLE_JIT:
        return GIVES if gives else COLLECTS
    number = types.float32 if dtype == np.float32 else types.float64
    pointer, place = types.CPointer(number), types.CPointer(types.int32)
    size = types.int64
    kinds = (size, size, pointer, place, size, pointer, size, pointer, size)

    def any_tile(rows, width, numbers, places, count, x, x_row, y, y_row):
        _choose(gives, (rows, width), numbers, places, count, x, x_row, y, y_row)

    return compiled_for_address(types.void(*kinds), any_tile).address


@intrinsic(prefer_literal=True)
def _choose(typing, gives, shape, numbers, places, count, x, x_row, y, y_row):
    """Run the tile of the given shape; `gives` is a constant."""

    def codegen(context, builder, signature, args):
        rows, width = cgutils.unpack_tuple(builder, args[1])
        which = builder.add(builder.mul(rows, INT(LONGEST + 1)), width)
        sizes = [(r, v) for r in range(1, MOST_ROWS + 1) for v in range(1, LONGEST + 1)]
        tiles = {
            r * (LONGEST + 1) + v: functools.partial(ListTile, gives.literal_value, r, v)
            for r, v in sizes
            if r * v <= MOST_SUMS
        }
        call_one(builder, which, tiles, flat(builder, args[2:]))
        return context.get_dummy_value()

    return types.void(gives, shape, numbers, places, count, x, x_row, y, y_row), codegen


class ListTile(VectorCode):
    """Writes the LLVM code of one tile."""

    def __init__(self, gives, rows, width, builder, vector):
        super().__init__(builder, vector)
        self.gives, self.shape = gives, (range(rows), range(width))

    def emit(self, numbers, places, count, x, x_row, y, y_row):
        builder = self.builder
        cells = list(itertools.product(*self.shape))
        rows = [builder.mul(x_row, INT(r)) for r in self.shape[0]]
        kept = [(builder.gep(y, [builder.mul(y_row, INT(r))]), v) for r, v in cells]
        # variables in memory; LLVM moves them into registers
        values = [cgutils.alloca_once_value(builder, self._load(*cell)) for cell in kept]
        with cgutils.for_range(builder, count) as loop:
            number = self._broadcast(builder.load(builder.gep(numbers, [loop.index])))
            place = builder.sext(builder.load(builder.gep(places, [loop.index])), INT)
            here = builder.gep(x, [place])
            for (r, v), variable in zip(cells, values, strict=True):
                row, value = builder.gep(here, [rows[r]]), builder.load(variable)
                if self.gives:
                    self._save(self._fmuladd(number, value, self._load(row, v)), row, v)
                else:
                    builder.store(self._fmuladd(number, self._load(row, v), value), variable)
        if not self.gives:
            for cell, variable in zip(kept, values, strict=True):
                self._save(builder.load(variable), *cell)


@intrinsic
def _walk_in_llvm(
    typing, address, shape, numbers, places, at_list, count, x, at_x, x_row, y, at_y, y_row
):
    """Call the compiled tiles at `address`; the arguments are those of _walk_in_python."""
    given = (address, shape, numbers, places, at_list, count, x, at_x, x_row, y, at_y, y_row)

    def codegen(context, builder, signature, args):
        def size(k):
            return context.cast(builder, args[k], signature.args[k], types.int64)

        def pointer(k, at):
            array = context.make_array(signature.args[k])(context, builder, value=args[k])
            return builder.gep(array.data, [size(at)])

        lists = (pointer(2, 4), pointer(3, 4), size(5))
        arguments = [
            *flat(builder, args[1:2]),
            *lists,
            pointer(6, 7),
            size(8),
            pointer(9, 10),
            size(11),
        ]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(*given), codegen


walk = _walk_in_python if numba.config.DISABLE_JIT else _walk_in_llvm
