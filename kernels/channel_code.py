"""The code of the tiles in channel_tiles.py, written for LLVM: vectors of neighbouring channels.

`CellsWriter` and `PixelsWriter` write one tile each, out of what `Writer` offers: loads, stores and
multiply-adds of vectors, loops that carry sums in registers, and conditions. A condition jumps over
the rows and columns that lie outside of the image; as nearly all lie inside, the CPU guesses
right, and the jump costs next to nothing.
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

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


class Writer:
    """Writes LLVM code for vectors of channels; what both tiles have in common.

    Sums are a flat list of vectors: `width` for sum 0, `width` for sum 1 and so on.
    """

    def __init__(self, builder, tile, number, pointers, numbers):
        self.builder, self.tile, self.pointers = builder, tile, pointers
        self.g: Any = (Pixels if tile.rows else Cells)(*numbers)
        self.vector = ir.VectorType(number, tile.lanes)
        suffix, self.alignment = ("f32", 4) if isinstance(number, ir.FloatType) else ("f64", 8)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{tile.lanes}{suffix}"
        self.fmuladd = cgutils.get_or_insert_function(builder.module, kind, name)

    def meet(self, sums, meetings, place, factor):
        """Multiply and add what meets in some columns of a row of x.

        Args:
            sums: the sums so far.
            meetings: sorted triples: column, number of a sum, number of a factor.
            place: the pointer to column 0, and which column of the image that is.
            factor: the vectors of factor n are factor(n).
        """
        pointer, first = place
        before = 0
        for k, group in itertools.groupby(meetings, key=lambda meeting: meeting[0]):
            pointer, before = self.stepped(pointer, k - before), k
            met = [(target, factor(n)) for _, target, n in group]

            def add(sums, pointer=pointer, met=met):
                pixel = self.load(pointer)
                for target, vectors in met:
                    self.multiply_add(sums, target, pixel, vectors)
                return sums

            column = self.builder.add(first, INT(k))
            sums = self.when(self.inside(column, self.g.W), sums, add)
        return sums

    def loaded(self, pointer):
        """A function: vectors n is what stands n pixels after the pointer, loaded when wanted.

        Each is loaded once, so late that no register has to keep it for long.
        """
        vectors: list[Any] = []

        def vectors_of(n):
            nonlocal pointer
            while len(vectors) <= n:
                pointer = self.stepped(pointer, 1) if vectors else pointer
                vectors.append(self.load(pointer))
            return vectors[n]

        return vectors_of

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
        """`pointer`, moved on by some columns, in a way that LLVM cannot change.

        It would rather keep a pointer for each column, and run out of registers for them.
        """
        if columns == 0:
            return pointer
        return self.opaque(self.moved(pointer, INT(columns), self.g.C))

    def opaque(self, pointer):
        """`pointer`, by way of an instruction that LLVM cannot look into: an empty one."""
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return self.builder.asm(kind, "", "=r,0", [pointer], side_effect=False)

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


class CellsWriter(Writer):
    """Writes add_cells: a row of y."""

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
        column = build.mul(piece, INT(tile.step))
        pointer = self.moved(self.moved(x, a, g.x_row), column, g.C)
        place = (pointer, build.add(g.column, column))
        weights = self.loaded(cells)
        weights(tile.Q - 1)  # all of them, now: a column may be jumped over
        return self.meet(sums, tile.meetings, place, weights)

    def cut_off(self, sums):
        """What is below 0 becomes 0, if it should; NaN stays NaN."""
        build, zero = self.builder, ir.Constant(self.vector, None)
        relu = build.icmp_signed("!=", self.g.relu, INT(0))
        cut = [build.select(build.fcmp_ordered("<", v, zero), zero, v) for v in sums]
        return [build.select(relu, *values) for values in zip(cut, sums, strict=True)]


class PixelsWriter(Writer):
    """Writes add_pixels: some rows of dw."""

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
        row, column = build.mul(i, g.s), build.mul(j, INT(tile.t))
        gradients = self.moved(self.moved(dy, i, g.J, g.C), j, g.C)
        meetings = [(k, q, m) for k, m, q in tile.meetings]
        size = tile.Q * tile.width  # of one row of sums
        for p in range(tile.rows):
            h = build.add(row, build.mul(INT(p), g.d))
            pointer = self.moved(self.moved(x, h, g.W, g.C), column, g.C)

            def add(sums, pointer=pointer):
                place = (pointer, build.add(g.column, column))
                return self.meet(sums, meetings, place, self.loaded(self.opaque(gradients)))

            mine = slice(p * size, (p + 1) * size)
            sums[mine] = self.when(self.inside(build.add(g.row, h), g.H), sums[mine], add)
        return sums
