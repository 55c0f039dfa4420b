"""Writes the LLVM code of register tiles, and of other kernels that work on vectors.

simd.py says what a tile does, and why its instructions are written by hand.
"""

from llvmlite import ir
from numba.core import cgutils

from .aligned_loops import align_loop
from .registers import VECTOR_BYTES

INT = ir.IntType(64)
REPLACE, ADD, PASS_CACHES = 0, 1, 2  # what a tile does with its sums; see simd.py
REACH = 8  # pixels that are reached from one pointer


def flat(builder, arguments):
    """The arguments of a tile, one after the other: those that are tuples are unpacked."""
    unpacked: list[ir.Value] = []
    for argument in arguments:
        is_tuple = isinstance(argument.type, ir.Aggregate)
        unpacked += cgutils.unpack_tuple(builder, argument) if is_tuple else [argument]
    return unpacked


def call_one(builder, which, tiles, arguments):
    """Call one of several tiles.

    Args:
        builder: writes the code.
        which: the number of the tile, known at run time.
        tiles: number -> function of a builder and a type of vectors that makes a Tile.
        arguments: what its `emit` wants; the first one is a pointer to numbers.
    """
    number = arguments[0].type.pointee
    size = 4 if isinstance(number, ir.FloatType) else 8
    vector = ir.VectorType(number, VECTOR_BYTES // size)
    kinds = [argument.type for argument in arguments]
    done = builder.append_basic_block("done")
    switch = builder.switch(which, done)
    for key, tile in tiles.items():
        block = builder.append_basic_block()
        switch.add_case(INT(key), block)
        builder.position_at_end(block)
        builder.call(_tile_function(builder.module, vector, key, tile, kinds), arguments)
        builder.branch(done)
    builder.position_at_end(done)


def _tile_function(module, vector, key, tile, kinds):
    """The LLVM function for one tile, whose arguments are of the given kinds.

    It is never inlined: one function with all tiles in it would take LLVM many times as long.
    """
    kind = ir.FunctionType(ir.VoidType(), kinds)
    function = ir.Function(module, kind, f"minicnn.tile.{key}.{vector.element}")
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    tile(builder, vector).emit(*function.args)
    builder.ret_void()
    return function


class VectorCode:
    """Writes LLVM code for vectors; what every kind of tile needs."""

    def __init__(self, builder, vector):
        self.builder, self.vector = builder, vector

    def _fmuladd(self, a, b, c):
        name = f"llvm.fmuladd.v{self.vector.count}{self._suffix()}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def _load(self, pointer, v):
        load = self.builder.load(self._vector_at(pointer, v))
        load.align = self._alignment()
        return load

    def _save(self, value, pointer, v):
        store = self.builder.store(value, self._vector_at(pointer, v))
        store.align = self._alignment()
        return store

    def _vector_at(self, pointer, v):
        at = self.builder.gep(pointer, [INT(v * self.vector.count)])
        return self.builder.bitcast(at, self.vector.as_pointer())

    def _broadcast(self, value):
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        lanes = ir.VectorType(ir.IntType(32), self.vector.count)
        return self.builder.shuffle_vector(one, undefined, ir.Constant(lanes, None))

    def _suffix(self):
        return "f32" if isinstance(self.vector.element, ir.FloatType) else "f64"

    def _alignment(self):
        return 8 if isinstance(self.vector.element, ir.DoubleType) else 4


class Tile(VectorCode):
    """Writes the LLVM code of one tile: three nested loops that carry the sums in registers."""

    def __init__(self, pixels, width, builder, vector):
        super().__init__(builder, vector)
        self.pixels, self.width = range(pixels), range(width)
        self.columns = self.pixels  # of x that are read in each step of the sum

    def emit(self, x, w, start, y, add, floor, *loops):
        count, A, B, K, x_a, x_b, x_k, x_pixel, w_step, self.y_pixel = loops
        size = INT(VECTOR_BYTES // self.vector.count)
        odd = range(1, min(REACH, len(self.columns)), 2)
        self.steps = {
            m: self._opaque(self.builder.mul(x_pixel, self.builder.mul(size, INT(m)))) for m in odd
        }
        self.leap = self.builder.mul(x_pixel, INT(REACH))
        window = self._window(A, B, K, x_a, x_b, x_k, w_step)

        def one(x, y):
            sums = [self._load(start, v) for _ in self.pixels for v in self.width]
            _, _, *sums = window([x, w, *sums])
            self._store(y, sums, add, floor)

        self._repeat(count, one, (x, x_pixel), y, len(self.pixels))

    def _repeat(self, count, one, source, y, pixels):
        """Run one(x, y) for `count` tiles that are so many pixels apart."""
        x, x_pixel = source
        steps = [self.builder.mul(step, INT(pixels)) for step in (x_pixel, self.y_pixel)]

        def body(places):
            one(*places)
            return [self.builder.gep(at, [step]) for at, step in zip(places, steps, strict=True)]

        self._loop(count, None, body)([x, y])

    def _window(self, A, B, K, x_a, x_b, x_k, w_step):
        """The loops of the sum."""
        row = self._loop(B, x_b, self._loop(K, None, self._multiply_add(x_k, w_step)))
        return self._loop(A, x_a, row)

    def _near(self, x):
        """The pointers from which this round's pixels are reached, one for REACH of them.

        LLVM likes to go from pixel to pixel with one pointer, to save registers. Then each load
        waits for an addition, and on many CPUs additions wait for the units that multiply. But an
        address may be a pointer plus 1, 2, 4 or 8 times a register, without an addition: the steps
        to 1, 3, 5 and 7 pixels in registers are enough for all up to 8. LLVM must not see how
        pointers and steps are related, or it goes back to its additions.
        """
        near = [self._opaque(x)]
        for _ in self.columns[REACH::REACH]:
            near.append(self._opaque(self.builder.gep(near[-1], [self.leap])))
        return near

    def _opaque(self, value):
        """`value`, by way of an instruction that LLVM cannot look into: an empty one."""
        kind = ir.FunctionType(value.type, [value.type])
        return self.builder.asm(kind, "", "=r,0", [value], side_effect=False)

    def _multiply_add(self, x_k, w_step):
        """One step of the sum, and the pointers moved on to the next."""
        builder = self.builder

        def body(state):
            x, w, *sums = state
            filters = [self._load(w, v) for v in self.width]
            near = self._near(x)
            for m in self.pixels:
                pixel = self._pixel(near, m)
                for v in self.width:
                    n = m * len(self.width) + v
                    sums[n] = self._fmuladd(pixel, filters[v], sums[n])
            return [builder.gep(x, [x_k]), builder.gep(w, [w_step]), *sums]

        return body

    def _pixel(self, near, column):
        """The number of a column of x, in all lanes."""
        builder = self.builder
        anchor, steps = divmod(column, REACH)
        at = near[anchor]
        if steps:
            doublings = (steps & -steps).bit_length() - 1
            step = builder.shl(self.steps[steps >> doublings], INT(doublings))
            byte = builder.bitcast(at, ir.IntType(8).as_pointer())
            at = builder.bitcast(builder.gep(byte, [step]), at.type)
        return self._broadcast(builder.load(at))

    def _loop(self, count, x_step, body):
        """`body`, repeated; x_step: how far x moves per round, or None if the body moves it itself.

        A loop's variables are phi nodes: on entry they have the value from before, at each further
        round the value from the end of the round before. LLVM keeps them in registers.
        """
        builder = self.builder

        def looped(state):
            before, head = builder.block, builder.append_basic_block()
            after = builder.append_basic_block()
            builder.branch(head)
            builder.position_at_end(head)
            index = builder.phi(INT)
            variables = [builder.phi(value.type) for value in state]
            results = body(variables)
            if x_step is not None:
                results[0] = builder.gep(variables[0], [x_step])
            following = builder.add(index, INT(1))
            for phi, first, later in zip(
                [index, *variables], [INT(0), *state], [following, *results], strict=True
            ):
                phi.add_incoming(first, before)
                phi.add_incoming(later, builder.block)
            back = builder.cbranch(builder.icmp_signed("<", following, count), head, after)
            align_loop(builder, back)
            builder.position_at_end(after)
            return results

        return looped

    def _store(self, y, sums, add, floor):
        builder = self.builder
        low = self._broadcast(floor)
        done = builder.append_basic_block()
        ways = {mode: builder.append_basic_block() for mode in (REPLACE, ADD, PASS_CACHES)}
        switch = builder.switch(add, ways[REPLACE])
        for mode, block in ways.items():
            if mode != REPLACE:
                switch.add_case(add.type(mode), block)
            builder.position_at_end(block)
            for n, value in enumerate(sums):
                m, v = divmod(n, len(self.width))
                row = builder.gep(y, [builder.mul(self.y_pixel, self._place(m))])
                if mode == ADD:
                    value = builder.fadd(self._load(row, v), value)
                value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
                store = self._save(value, row, v)
                if mode == PASS_CACHES:
                    store.align = VECTOR_BYTES
                    one = ir.IntType(32)(1)
                    store.set_metadata("nontemporal", builder.module.add_metadata([one]))
            builder.branch(done)
        builder.position_at_end(done)

    def _place(self, m):
        """How many pixels there are in y from sum 0 to sum m."""
        return INT(m)
