"""Register tiles of depthwise convolution, where a filter sees one channel only.

Neighbouring channels are neighbours in memory, and none of them meets another: vectors of pixels
times vectors of weights, number by number, are all there is to do. Two tiles do it:

    add_cells     sum[m]   += x[row a, column k] * w[a, q]     for all a, and all m, k, q that meet
    add_pixels    sum[p,q] += x[row i + p, column j + k] * dy[i, j + m]    for all i, j, and as above

each for `channels` neighbouring channels c. `add_cells` holds the sums of some pixels m in
registers, `add_pixels` those of some cells p, q of the window. A tile loads each number of x once
for all cells that it meets there: there are fewer loads than multiply-adds, of which a CPU can do
as many at a time. Rows and columns outside of the image are jumped over, so that nobody has to
copy images to put zeros around them.

Which m, k and q meet is decided when a tile is compiled: when it is first asked for, in a fraction
of a second. Sizes of images are arguments. simd.py explains `@intrinsic`. `_add_cells` and
`_add_pixels` say in Python what the tiles do; they run where NUMBA_DISABLE_JIT=1 switches the
compiler off.
"""

import functools
from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_for_address

INT = ir.IntType(64)


class Tile(NamedTuple):
    """What a tile is compiled for."""

    lanes: int  # channels in a vector
    width: int  # vectors side by side
    pixels: int  # at a time
    rows: int  # of the window at a time; 0: add_cells, which takes them one by one
    Q: int  # columns of the window,
    t: int  # its steps across
    e: int  # and the distance between its columns
    phase: int = -1  # for input_grad: columns from the last step of the window to the first pixel

    @property
    def channels(self):
        """How many channels the tile takes at a time."""
        return self.lanes * self.width

    @property
    def step(self):
        """How many columns there are from one `pixels` to the next."""
        return self.pixels * self.t if self.phase < 0 else self.pixels // self.t

    @property
    def meetings(self):
        """All (k, m, q) where column k, pixel m and cell q of the window meet.

        Pixel m of y wants those columns of x with k = t*m + e*q. Pixel m of dx wants those columns
        of dy with t*k + e*q = phase + m; there k may be negative.
        """
        cells = np.ndindex(self.pixels, self.Q)
        if self.phase < 0:
            return sorted((self.t * m + self.e * q, m, q) for m, q in cells)
        apart = [(self.phase + m - self.e * q, m, q) for m, q in cells]
        return sorted((columns // self.t, m, q) for columns, m, q in apart if columns % self.t == 0)


class Cells(NamedTuple):
    """The numbers that add_cells is given."""

    A: int  # rows of the window
    J: int  # pixels of a row of y
    x_row: int  # from one row of the window to the next, in x
    w_row: int  # and in w
    column: int  # of x that is column 0 for the first tile
    W: int  # columns of x
    C: int  # channels of all arrays
    channels: int  # of this task: as many as the tile takes, or more
    relu: int  # 1: results below 0 become 0


class Pixels(NamedTuple):
    """The numbers that add_pixels is given."""

    N: int  # images,
    I: int  # rows of each in dy
    J: int  # and columns
    x_image: int  # from one image to the next, in x
    dy_image: int  # and in dy
    row: int  # of x where the first row of the window stands
    column: int  # and its first column
    s: int  # steps of the window down
    d: int  # and the distance between its rows
    H: int  # rows of x
    W: int  # and columns
    C: int  # channels of all arrays


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
        total = np.zeros_like(dw[at_dw + channels])
        for n, i, j in np.ndindex(g.N, g.I, g.J):
            h, w = g.s * i + g.d * p, tile.t * j + tile.e * q
            if 0 <= g.row + h < g.H and 0 <= g.column + w < g.W:
                pixel = x[at_x + n * g.x_image + (h * g.W + w) * g.C + channels]
                total += pixel * dy[at_dy + n * g.dy_image + (i * g.J + j) * g.C + channels]
        dw[at_dw + (p * tile.Q + q) * g.C + channels] = total


@functools.cache
def tile_for(dtype, tile):
    """What call_tile wants to know of a Tile: the address of its machine code."""
    if numba.config.DISABLE_JIT:
        return tile
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
        _, pointers, numbers = (cgutils.unpack_tuple(builder, group) for group in args)
        writer = _PixelsWriter if described.rows else _CellsWriter
        writer(builder, described, pointers, numbers).write()
        return context.get_dummy_value()

    return types.void(tile, pointers, numbers), codegen


class _Writer:
    """Writes LLVM code for vectors of channels; what both tiles have in common.

    Sums are a flat list of vectors: `width` for sum 0, `width` for sum 1 and so on.
    """

    def __init__(self, builder, tile, pointers, numbers):
        self.builder, self.tile, self.pointers = builder, tile, pointers
        self.g = (Pixels if tile.rows else Cells)(*numbers)
        number = pointers[0].type.pointee
        self.vector = ir.VectorType(number, tile.lanes)
        suffix, self.alignment = ("f32", 4) if isinstance(number, ir.FloatType) else ("f64", 8)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{tile.lanes}{suffix}"
        self.fmuladd = cgutils.get_or_insert_function(builder.module, kind, name)

    def meet(self, sums, columns, place, factors):
        """Multiply and add what meets in some columns of a row of x.

        Args:
            sums: the sums so far.
            columns: {k: [(number of a sum, number of a factor), ...]}.
            place: the pointer to column 0, and which column of the image that is.
            factors: what pixels are multiplied with.
        """
        pointer, first = place
        previous = 0
        for k, met in columns.items():
            column = self.builder.add(first, INT(k))
            pointer = self.stepped(pointer, k - previous)
            previous = k

            def add(sums, pointer=pointer, met=met):
                pixel = self.load(pointer)
                for target, factor in met:
                    self.multiply_add(sums, target, pixel, factors[factor])
                return sums

            sums = self.when(self.inside(column, self.g.W), sums, add)
        return sums

    def multiply_add(self, sums, target, a, b):
        for v in range(self.tile.width):
            n = target * self.tile.width + v
            sums[n] = self.builder.call(self.fmuladd, [a[v], b[v], sums[n]])

    def load(self, pointer):
        """`width` vectors."""
        vectors = [self.builder.load(at) for at in self._each_vector(pointer)]
        for vector in vectors:
            vector.align = self.alignment
        return vectors

    def store(self, pointer, sums, target):
        """Sum number `target`."""
        first = target * self.tile.width
        for at, vector in zip(self._each_vector(pointer), sums[first:], strict=False):
            self.builder.store(vector, at).align = self.alignment

    def _each_vector(self, pointer):
        for v in range(self.tile.width):
            at = self.builder.gep(pointer, [INT(v * self.tile.lanes)])
            yield self.builder.bitcast(at, self.vector.as_pointer())

    def moved(self, pointer, *factors):
        """`pointer`, moved on by a product."""
        return self.builder.gep(pointer, [functools.reduce(self.builder.mul, factors)])

    def stepped(self, pointer, columns):
        """`pointer`, moved on by some columns, by way of an empty instruction.

        LLVM would rather keep a pointer for each column, and run out of registers for them. It
        cannot look into the instruction, so it has to go from column to column.
        """
        if columns == 0:
            return pointer
        moved = self.moved(pointer, INT(columns), self.g.C)
        kind = ir.FunctionType(moved.type, [moved.type])
        return self.builder.asm(kind, "", "=r,0", [moved], side_effect=False)

    def inside(self, place, size):
        """Whether 0 <= place < size: taken as unsigned, a negative number is a very large one."""
        return self.builder.icmp_unsigned("<", place, size)

    def rounded_up(self, count, divisor):
        """`count / divisor`, rounded up."""
        return self.builder.sdiv(self.builder.add(count, INT(divisor - 1)), INT(divisor))

    def when(self, condition, values, change):
        """`change(values)` if the condition holds, or else `values`."""
        builder, before = self.builder, self.builder.block
        with builder.if_then(condition, likely=True):
            changed = change(list(values))
            changing = builder.block
        results = []
        for old, new in zip(values, changed, strict=True):
            phi = builder.phi(old.type)
            phi.add_incoming(old, before)
            phi.add_incoming(new, changing)
            results.append(phi)
        return results

    def loop(self, count, values, body):
        """`values = body(index, values)`, `count` times; all the while they are in registers."""
        builder, before = self.builder, self.builder.block
        head, inner, after = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index, *state = (builder.phi(value.type) for value in [count, *values])
        builder.cbranch(builder.icmp_signed("<", index, count), inner, after)
        builder.position_at_end(inner)
        later = [builder.add(index, INT(1)), *body(index, list(state))]
        for phi, first, following in zip([index, *state], [INT(0), *values], later, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(following, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return state


class _CellsWriter(_Writer):
    def write(self):
        build, channels = self.builder, INT(self.tile.channels)
        last = build.sub(self.g.channels, channels)

        def block(piece, index):
            """One block of channels; the last one may repeat some of the one before."""
            c = build.mul(index, channels)
            self.fill(piece, build.select(build.icmp_signed("<", c, last), c, last))
            return []

        blocks = self.rounded_up(self.g.channels, self.tile.channels)
        pieces = self.rounded_up(self.g.J, self.tile.pixels)
        self.loop(pieces, [], lambda piece, _: self.loop(blocks, [], lambda n, _: block(piece, n)))

    def fill(self, piece, c):
        """`pixels` pixels of y, or those of them that there are."""
        build, tile = self.builder, self.tile
        _, _, y, start = (self.moved(pointer, c) for pointer in self.pointers)
        sums = self.load(start) * tile.pixels
        sums = self.loop(self.g.A, sums, lambda a, sums: self.add_row(a, sums, piece, c))
        j = build.mul(piece, INT(tile.pixels))
        at = self.moved(y, j, self.g.C)
        for m in range(tile.pixels):
            pixel = build.add(j, INT(m))
            at = self.stepped(at, min(m, 1))
            with build.if_then(self.inside(pixel, self.g.J), likely=True):
                self.store(at, self.cut_off(sums), m)

    def add_row(self, a, sums, piece, c):
        build, g, tile = self.builder, self.g, self.tile
        x, w, _, _ = (self.moved(pointer, c) for pointer in self.pointers)
        cells = self.moved(w, a, g.w_row)
        weights = []
        for q in range(tile.Q):
            cells = self.stepped(cells, min(q, 1))
            weights.append(self.load(cells))
        column = build.mul(piece, INT(tile.step))
        pointer = self.moved(self.moved(x, a, g.x_row), column, g.C)
        columns = {}
        for k, m, q in tile.meetings:
            columns.setdefault(k, []).append((m, q))
        return self.meet(sums, columns, (pointer, build.add(g.column, column)), weights)

    def cut_off(self, sums):
        """What is below 0 becomes 0, if it should; NaN stays NaN."""
        build, zero = self.builder, ir.Constant(self.vector, None)
        relu = build.icmp_signed("!=", self.g.relu, INT(0))
        cut = [build.select(build.fcmp_ordered("<", v, zero), zero, v) for v in sums]
        return [build.select(relu, *values) for values in zip(cut, sums, strict=True)]


class _PixelsWriter(_Writer):
    def write(self):
        tile, cells = self.tile, self.tile.rows * self.tile.Q
        sums = [ir.Constant(self.vector, None)] * (cells * tile.width)
        sums = self.loop(self.g.N, sums, self.add_image)
        for cell in range(cells):
            self.store(self.moved(self.pointers[2], INT(cell), self.g.C), sums, cell)

    def add_image(self, n, sums):
        x, dy, _ = self.pointers
        image = self.moved(x, n, self.g.x_image), self.moved(dy, n, self.g.dy_image)
        return self.loop(self.g.I, sums, lambda i, sums: self.add_row(i, sums, image))

    def add_row(self, i, sums, image):
        """A row of dy: pieces of `pixels` pixels, and what is left pixel by pixel."""
        build, g = self.builder, self.g
        pixels = INT(self.tile.pixels)
        pieces = build.sdiv(g.J, pixels)
        done = build.mul(pieces, pixels)

        def piece(index, sums):
            return self.add_pixels(self.tile, (i, build.mul(index, pixels)), sums, image)

        def single(index, sums):
            return self.add_pixels(alone, (i, build.add(done, index)), sums, image)

        alone = self.tile._replace(pixels=1)
        sums = self.loop(pieces, sums, piece)
        return self.loop(build.sub(g.J, done), sums, single)

    def add_pixels(self, tile, place, sums, image):
        build, g, (i, j), (x, dy) = self.builder, self.g, place, image
        at = self.moved(self.moved(dy, i, g.J, g.C), j, g.C)
        gradients = []
        for m in range(tile.pixels):
            at = self.stepped(at, min(m, 1))
            gradients.append(self.load(at))
        row, column = build.mul(i, g.s), build.mul(j, INT(tile.t))
        columns = {}
        for k, m, q in tile.meetings:
            columns.setdefault(k, []).append((q, m))
        size = tile.Q * tile.width  # of one row of sums
        for p in range(tile.rows):
            h = build.add(row, build.mul(INT(p), g.d))
            pointer = self.moved(self.moved(x, h, g.W, g.C), column, g.C)
            met = (pointer, build.add(g.column, column))
            mine = slice(p * size, (p + 1) * size)
            sums[mine] = self.when(
                self.inside(build.add(g.row, h), g.H),
                sums[mine],
                lambda sums, met=met: self.meet(sums, columns, met, gradients),
            )
        return sums


def _call_in_python(tile, arrays, places, numbers):
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
