"""Register tiles: the innermost loop of convolution, written for the vector registers of the CPU.

A tile of the output, PIXELS positions times WIDTH * LANES filters, stays in registers for a whole
sum, while its factors stream by:

    for a, b, k in the three nested loops of a sum:
        for v:      filter[v]  = w[at_w + v*LANES : ... + LANES]           a load for all pixels
        for m:      pixel      = x[at_x + m*x_pixel + a*x_a + b*x_b + k*x_k]
        for m, v:   sum[m, v] += pixel * filter[v]                         a multiply-add each

Loops that LLVM vectorises by itself keep their sums in memory, so that every multiply-add also
loads and stores; they reach a fraction of the speed. Here PIXELS + WIDTH loads feed PIXELS * WIDTH
multiply-adds. The price is that LLVM's instructions are written by hand, in tile_code.py:
`@intrinsic` lets a Numba function call a piece of LLVM code as if it were a function.
`_tile_in_python` says what it does; it runs where NUMBA_DISABLE_JIT=1 switches the compiler off.

A tile must fit into the registers: PIXELS * WIDTH sums + WIDTH filters + 1 pixel.

    registers                        16 (SSE, AVX2)     32 (AVX-512, NEON)
    1 vector  wide                   14 pixels          14 pixels
    2 vectors wide                    6 pixels          14 pixels
    4 vectors wide                    2 pixels           6 pixels

All these and every smaller number of pixels are compiled into one `switch`. Nothing else depends on
the CPU; sizes and steps are run-time arguments, so that one compiled kernel serves every layer.
A call takes as long as a dozen steps of a sum, so it computes all tiles that lie side by side.
"""

import ctypes
import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_for_address, compiled_part
from .registers import REGISTERS, lanes
from .tile_code import ADD, INT, Tile, call_one, flat

WIDTHS = (1, 2, 4)  # vectors side by side
MOST_PIXELS = 14


@functools.cache
def zero_vectors(dtype):
    """Where the sums of a tile begin that adds up from 0."""
    return np.zeros(max(WIDTHS) * lanes(dtype), dtype)


def most_pixels(width):
    """How many pixels a tile of `width` vectors can have without running out of registers."""
    return min(MOST_PIXELS, (REGISTERS - width - 1) // width)


def _tile_in_python(address, shape, x, at_x, w, at_w, start, at_start, y, at_y, add, floor, loops):
    """Tiles, in Python; the compiled ones do the same.

    address: of the compiled tiles; not used in Python.
    shape: (count, pixels, width): how many tiles lie side by side, which are computed one after the
        other, and their size; width is counted in vectors.
    x, at_x: flat array of images, and where in it the tile's first pixel is.
    w, at_w: flat array of packed filters; from at_w on, width * LANES numbers per step of the sum.
    start, at_start: the sums of each pixel begin at the numbers that stand there (a bias).
    y, at_y: where the sums of the first pixel go.
    add: ADD to what stands in y or REPLACE it (False and True will do); or PASS_CACHES: replace it
        in memory, without fetching it first; then each vector of y must begin at a multiple of its
        size, and who lets other threads read y must call store_fence before.
    floor: results below it become it: 0 for relu, -infinity for nothing. NaN stays NaN.
    loops: (A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel): three counts, then steps.
    """
    count, pixels, width = shape
    A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel = loops
    filters = width * lanes(x.dtype)
    for m in range(count * pixels):
        total = start[at_start : at_start + filters].copy()
        step = at_w
        for a, b, k in np.ndindex(A, B, K):
            pixel = x[at_x + m * x_pixel + a * x_a + b * x_b + k * x_k]
            total += pixel * w[step : step + filters]
            step += w_step
        target = y[at_y + m * y_pixel :][:filters]
        total = target + total if add == ADD else total
        target[:] = np.where(total < floor, x.dtype.type(floor), total)


@functools.cache
def tiles(dtype):
    """The address of the compiled tiles for float32 or float64.

    Kernels call them by address, so that they are compiled once and not into every kernel anew.
    """
    if numba.config.DISABLE_JIT:
        return 0
    return compiled_for_address(tile_signature(dtype), _any_tile).address


def tile_signature(dtype):
    """The C types of what a tile is called with: those of _any_tile."""
    number = types.float32 if dtype == np.float32 else types.float64
    pointers, counts = [types.CPointer(number)] * 4, [types.int64] * 9
    return types.void(*[types.int64] * 3, *pointers, types.int8, number, *counts)


def _any_tile(
    n, m, v, x, w, start, y, add, floor, A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel
):
    loops = (n, A, B, K, x_a, x_b, x_k, x_pixel, w_step, y_pixel)
    _switch((m, v), (x, w, start, y), add, floor, loops)


@intrinsic
def _switch(typing, shape, pointers, add, floor, loops):
    """Run tiles of the given shape, (pixels, width)."""

    def codegen(context, builder, signature, args):
        pixels, width = cgutils.unpack_tuple(builder, args[0])
        which = builder.add(builder.mul(width, INT(MOST_PIXELS + 1)), pixels)
        sizes = [(m, v) for v in WIDTHS for m in range(1, most_pixels(v) + 1)]
        tiles = {v * (MOST_PIXELS + 1) + m: functools.partial(Tile, m, v) for m, v in sizes}
        call_one(builder, which, tiles, flat(builder, args[1:]))
        return context.get_dummy_value()

    return types.void(shape, pointers, add, floor, loops), codegen


@intrinsic
def _tile_in_llvm(
    typing, address, shape, x, at_x, w, at_w, start, at_start, y, at_y, add, floor, loops
):
    """Call the compiled tiles at `address`; the arguments are those of _tile_in_python."""
    given = (address, shape, x, at_x, w, at_w, start, at_start, y, at_y, add, floor, loops)

    def codegen(context, builder, signature, args):
        address, shape = args[:2]
        add, floor, loops = args[10:]

        def pointer(k):
            array = context.make_array(signature.args[k])(context, builder, value=args[k])
            return builder.gep(array.data, [args[k + 1]])

        arguments = [
            *cgutils.unpack_tuple(builder, shape),
            *(pointer(k) for k in (2, 4, 6, 8)),
            context.cast(builder, add, signature.args[10], types.int8),
            context.cast(builder, floor, signature.args[11], signature.args[2].dtype),
            *cgutils.unpack_tuple(builder, loops),
        ]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.inttoptr(address, kind.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(*given), codegen


def _array_in_python(address, size, like):
    number = np.ctypeslib.as_ctypes_type(like.dtype)
    return np.ctypeslib.as_array(ctypes.cast(int(address), ctypes.POINTER(number)), (int(size),))


def _store_fence_in_python():
    pass


@intrinsic
def _store_fence_in_llvm(typing):
    """Wait until everything that was written past the caches has arrived."""

    def codegen(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _pointer(typing, address, like):
    """The address as a pointer to numbers of the dtype of the array `like`."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), codegen


@compiled_part
def _array_in_llvm(address, size, like):
    return numba.carray(_pointer(address, like), (size,))


store_fence = _store_fence_in_python if numba.config.DISABLE_JIT else _store_fence_in_llvm
tile = _tile_in_python if numba.config.DISABLE_JIT else _tile_in_llvm
# (address, size, like): the array of `size` numbers at an address, of the dtype of an array `like`
array_at = _array_in_python if numba.config.DISABLE_JIT else _array_in_llvm
