"""Runs the LLVM code of register tiles, also that of other CPUs than this one.

LLVM cuts vectors that are too long for this CPU, so that it can run tiles for any length of them.
It is there where NUMBA_DISABLE_JIT=1 switches Numba's compiler off, too. The tests of how Numba
calls tiles switch that on. Numbers stand in the midst of memory full of NaN: what is read beside
them spoils the results.
"""

import ctypes
import functools

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import compiling, registers, tile_code  # noqa: E402

INT = ir.IntType(64)
MARGIN = 300  # numbers beside those that are to be read or written
LOOPS = 2, 3, 2, 211, 67, 131, 7  # of a Job: A, B, K, x_a, x_b, x_k, x_pixel


def number_of(dtype):
    """LLVM's name for a type."""
    return ir.FloatType() if dtype == np.float32 else ir.DoubleType()


def use_vectors(monkeypatch, size):
    """Let vectors have so many bytes."""
    for module in (registers, tile_code):
        monkeypatch.setattr(module, "VECTOR_BYTES", size)


def kinds_of_tiles(dtype):
    """What a tile is given: pointers, mode, floor, and the loops with their counts and steps."""
    number = number_of(dtype)
    return [*[number.as_pointer()] * 4, ir.IntType(8), number, *[INT] * 10]


def let_numba_compile(monkeypatch):
    """Let Numba compile, and keep nothing of it."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", False)
    monkeypatch.setattr(compiling, "cache_folder", lambda: None)


def written(write, kinds):
    """The text of a function of LLVM; write(builder, arguments) writes what it does."""
    module = ir.Module()
    module.triple = llvm.get_process_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "written")
    builder = ir.IRBuilder(function.append_basic_block())
    write(builder, function.args)
    builder.ret_void()
    return str(module)


class Running:
    """A function that runs LLVM's text."""

    def __init__(self, text, kinds):
        for prepare in ("target", "asmprinter", "asmparser"):
            getattr(llvm, f"initialize_native_{prepare}")()
        features = llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        machine = target.create_target_machine(llvm.get_host_cpu_name(), features, opt=1)
        module = llvm.parse_assembly(text)
        module.verify()
        self.engine = llvm.create_mcjit_compiler(module, machine)  # its end is that of the code
        self.engine.finalize_object()
        self.function = function_at(self.engine.get_function_address("written"), kinds)

    def __call__(self, *arguments):
        self.function(*arguments)


def function_at(address, kinds):
    """The function at an address; arrays are pointers to it."""
    function = ctypes.CFUNCTYPE(None, *map(_ctype, kinds))(address)

    def call(*arguments):
        function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))

    return call


def _ctype(kind):
    if isinstance(kind, ir.IntType):
        return ctypes.c_int64 if kind.width == 64 else ctypes.c_int8
    if isinstance(kind, ir.PointerType):
        return ctypes.c_void_p
    return ctypes.c_float if isinstance(kind, ir.FloatType) else ctypes.c_double


class Memory:
    """NaN, but for the numbers at some indices, which may be negative.

    Number 0 is where a vector may begin, or, unless lined_up, is not.
    """

    def __init__(self, values, indices, dtype, lined_up=False):
        indices = np.asarray(indices, dtype=int).reshape(-1)
        self.first, after = MARGIN - min(0, indices.min()), MARGIN + max(0, indices.max())
        size, vector = self.first + after, 64 // np.dtype(dtype).itemsize
        room = np.full(size + vector, np.nan, dtype)
        ahead = -(room.ctypes.data // room.itemsize + self.first) + (not lined_up)
        self.all = room[ahead % vector :][:size]
        self.numbers = self.all[self.first :]
        self.all[self.first + indices] = np.reshape(values, -1)


class Job:
    """Arguments for `count` tiles side by side, and the sums by definition."""

    def __init__(self, count, shape, dtype, loops=LOOPS, lined_up=False):
        rng, (pixels, width) = np.random.default_rng(0), shape
        F, places = width * registers.lanes(dtype), count * pixels
        A, B, K, x_a, x_b, x_k, x_pixel = loops
        w_step, y_pixel = F + 3, 3 * F if lined_up else F + 2
        self.loops, self.shape = (*loops, w_step, y_pixel), (count, pixels, width)
        m, a, b, k = np.ogrid[:places, :A, :B, :K]
        at = m * x_pixel + a * x_a + b * x_b + k * x_k
        x, w, start = (rng.integers(-4, 5, size) for size in (at.shape, (A, B, K, F), F))
        self.x = Memory(x, at, dtype)
        self.w = Memory(w, np.add.outer(w_step * np.arange(A * B * K), np.arange(F)), dtype)
        self.start = Memory(start, np.arange(F), dtype)
        x = self.x.numbers[at]  # where places are the same, the last number counts
        self.sums = np.einsum("mabk,abkf->mf", x, w) + start
        self.y = rng.integers(-9, 10, self.sums.shape)
        places = np.add.outer(y_pixel * np.arange(places), np.arange(F))
        self.in_memory = functools.partial(Memory, indices=places, dtype=dtype, lined_up=lined_up)

    def expected(self, add, floor):
        """What y shall be, in memory."""
        total = self.y + self.sums if add == tile_code.ADD else self.sums
        return self.in_memory(np.maximum(total, floor)).all

    def found(self, run, which, add, floor):
        """What tile `which` of those that are running makes of y."""
        arrays = self.x.numbers, self.w.numbers, self.start.numbers
        y = self._y_before(add)
        run(which, *arrays, y.numbers, add, floor, self.shape[0], *self.loops)
        return y.all

    def found_by(self, tile, add, floor):
        """What a function like simd._tile_in_python, without its first argument, makes of y."""
        y = self._y_before(add)
        places = [(m.all, m.first) for m in (self.x, self.w, self.start, y)]
        tile(self.shape, *(n for place in places for n in place), add, floor, self.loops)
        return y.all

    def _y_before(self, add):
        return self.in_memory(self.y if add == tile_code.ADD else np.full(self.y.shape, np.nan))
