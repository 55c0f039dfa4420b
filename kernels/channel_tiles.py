"""Register tiles of depthwise convolution, where a filter sees one channel only.

Neighbouring channels are neighbours in memory, and none of them meets another: vectors of pixels
times vectors of weights, number by number, are all there is to do. Two tiles do it, for a block of
neighbouring channels and for all pixels m, columns k and cells q of the window that meet:

    add_cells     sum[m]   += x[row a, column k] * weight[a, q]           for all a
    add_pixels    sum[p,q] += x[row i + p, column j + k] * dy[i, j + m]   for all i and j

`add_cells` holds the sums of some pixels in registers, `add_pixels` those of some cells of the
window. A tile loads each number of x once for all cells that it meets there: so there are fewer
loads than multiply-adds, of which a CPU can do as many at a time. Rows and columns outside of the
image are jumped over, so that nobody has to copy images to put zeros around them.

What meets is decided when a tile is compiled, which is when it is first asked for, and takes a
tenth of a second. Sizes of images are arguments. simd.py explains `@intrinsic`; channel_code.py
writes the code. `_add_cells` and `_add_pixels` say in Python what the tiles do; they run where
NUMBA_DISABLE_JIT=1 switches the compiler off.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .channel_code import Cells, CellsWriter, Pixels, PixelsWriter, Tile
from .compiling import compiled_for_address


def _add_cells(tile, arrays, places, g):
    """Fill a row of y.

    Args:
        tile: a Tile.
        arrays: x, w, y and where the sums begin (a bias), all flat.
        places: where in each of them this task begins; in x, that is g.column or would be.
        g: a Cells.
    """
    (x, w, y, start), (at_x, at_w, at_y, at_start) = arrays, places
    channels = np.arange(g.channels)
    for j in range(g.J):
        piece, pixel = divmod(j, tile.pixels)
        columns = [(piece * tile.step + k, q) for k, m, q in tile.meetings if m == pixel]
        total = start[at_start + channels]
        for a in range(g.A):
            for k, q in columns:
                if 0 <= g.column + k < g.W:
                    weights = w[at_w + a * g.w_row + q * g.C + channels]
                    total += x[at_x + a * g.x_row + k * g.C + channels] * weights
        y[at_y + j * g.C + channels] = np.where(total < 0, 0, total) if g.relu else total


def _add_pixels(tile, arrays, places, g):
    """Fill `tile.rows` rows of dw with what some rows of dy give to them.

    Args:
        tile: a Tile.
        arrays: x, dy and dw, all flat.
        places: where in each of them this task begins; in x, that is g.row, g.column or would be.
        g: a Pixels.
    """
    (x, dy, dw), (at_x, at_dy, at_dw) = arrays, places
    channels = np.arange(tile.channels)
    for p, q in np.ndindex(tile.rows, tile.Q):
        total = np.zeros(tile.channels, dw.dtype)
        for n, i, j in np.ndindex(g.N, g.I, g.J):
            h, w = g.s * i + g.d * p, tile.t * j + tile.e * q
            if 0 <= g.row + h < g.H and 0 <= g.column + w < g.W:
                pixel = x[at_x + n * g.x_image + (h * g.W + w) * g.C + channels]
                total += pixel * dy[at_dy + n * g.dy_image + (i * g.J + j) * g.C + channels]
        dw[at_dw + (p * tile.Q + q) * g.C + channels] = total


_described: list[Tile] = []  # where there is no machine code


@functools.cache
def tile_for(dtype, tile):
    """What call_tile wants to know of a Tile: a number, the address of its machine code."""
    if numba.config.DISABLE_JIT:
        _described.append(tile)
        return len(_described) - 1
    number = types.float32 if dtype == np.float32 else types.float64
    arrays, numbers = (3, Pixels) if tile.rows else (4, Cells)
    pointers = types.UniTuple(types.CPointer(number), arrays)
    signature = types.void(pointers, types.UniTuple(types.int64, len(numbers._fields)))
    lanes, width, pixels, rows, Q, t, e, phase = tile  # Numba sees constants in plain numbers only

    def function(pointers, numbers):
        _tile((lanes, width, pixels, rows, Q, t, e, phase), pointers, numbers)

    return compiled_for_address(signature, function).address


@intrinsic(prefer_literal=True)
def _tile(typing, tile, pointers, numbers):
    """Run the tile that the constants in `tile` describe."""
    described = Tile(*(number.literal_value for number in tile))

    def codegen(context, builder, signature, args):
        number = context.get_value_type(signature.args[1].dtype.dtype)
        _, pointers, numbers = (cgutils.unpack_tuple(builder, group) for group in args)
        writer = PixelsWriter if described.rows else CellsWriter
        writer(builder, described, number, pointers, numbers).write()
        return context.get_dummy_value()

    return types.void(tile, pointers, numbers), codegen


def _call_in_python(number, arrays, places, numbers):
    tile = _described[number]
    if tile.rows:
        _add_pixels(tile, arrays, places, Pixels(*numbers))
    else:
        _add_cells(tile, arrays, places, Cells(*numbers))


@intrinsic
def _call_in_llvm(typing, address, arrays, places, numbers):
    """Run the tile at `address`; the arguments are those of _add_cells and _add_pixels."""

    def codegen(context, builder, signature, args):
        address, arrays, places, numbers = args
        make = context.make_array(signature.args[1].dtype)
        given = [make(context, builder, array) for array in cgutils.unpack_tuple(builder, arrays)]
        moved = [
            builder.gep(array.data, [place])
            for array, place in zip(given, cgutils.unpack_tuple(builder, places), strict=True)
        ]
        pointers = cgutils.pack_array(builder, moved)
        function = ir.FunctionType(ir.VoidType(), [pointers.type, numbers.type])
        builder.call(builder.inttoptr(address, function.as_pointer()), [pointers, numbers])
        return context.get_dummy_value()

    return types.void(address, arrays, places, numbers), codegen


call_tile = _call_in_python if numba.config.DISABLE_JIT else _call_in_llvm
