"""Register tiles: the innermost loop of convolution, written for the vector registers of the CPU.

A tile of the output, PIXELS positions times WIDTH * LANES filters, stays in registers for a whole
sum, while its factors stream by:

    for a, b, k in the three nested loops of a sum:
        for v:      filter[v]  = w[at_w + v*LANES : ... + LANES]           a load for all pixels
        for m:      pixel      = x[at_x + m*x_pixel + a*x_a + b*x_b + k*x_k]
        for m, v:   sum[m, v] += pixel * filter[v]                         a multiply-add each

Loops that LLVM vectorises by itself keep their sums in memory, so that every multiply-add also
loads and stores; they reach a fraction of the speed. Here PIXELS + WIDTH loads feed PIXELS * WIDTH
multiply-adds. The price is that we write LLVM's instructions by hand: `@intrinsic` lets a Numba
function call a piece of LLVM code as if it were a function. `_tile_in_python` says in Python what
the piece does; it runs where NUMBA_DISABLE_JIT=1 switches the compiler off.

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

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .aligned_loops import align_loop
from .compiling import compiled_for_address, compiled_part

INT = ir.IntType(64)
WIDTHS = (1, 2, 4)  # vectors side by side
MOST_PIXELS = 14
REPLACE, ADD, PASS_CACHES = 0, 1, 2  # what a tile does with its sums; see _tile_in_python
REACH = 8  # pixels that are reached from one pointer


def _vector_registers():
    """(bytes in a vector register, number of registers), as the compiler sees this CPU.

    Asking for its features by name would miss NUMBA_CPU_NAME and the compiler's own preferences, so
    we let it translate a sum of 64-byte vectors and look which registers it took.
    """
    host, asked = llvm.get_host_cpu_name(), numba.config.CPU_NAME
    cpu = host if asked in (None, "", "host") else asked
    features = numba.config.CPU_FEATURES
    if features is None:
        features = llvm.get_host_cpu_features().flatten() if cpu == host else ""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features)

    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    module.triple = llvm.get_default_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [vector.as_pointer()]), "probe")
    builder = ir.IRBuilder(function.append_basic_block())
    value = builder.load(function.args[0])
    builder.store(builder.fadd(value, value), function.args[0])
    builder.ret_void()

    assembly = machine.emit_assembly(llvm.parse_assembly(str(module)))
    for register, size, count in (("zmm", 64, 32), ("ymm", 32, 16), ("xmm", 16, 16)):
        if register in assembly:
            return size, count
    return 16, 32  # NEON


VECTOR_BYTES, REGISTERS = _vector_registers()


def lanes(dtype):
    """How many numbers of `dtype` fit into one vector register."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


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
