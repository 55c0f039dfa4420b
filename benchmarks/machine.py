"""What this machine can do at most: multiply-adds, and bytes to and from memory and caches.

    python benchmarks/machine.py

No program computes faster than the multiply-add units of its cores, and none fetches its numbers
faster than the memory hands them out, or a cache where they fit into one. Every other benchmark
states its speed as a share of these, for "twice as fast as before" does not say how much is left to
gain.

Each figure is the highest of many short runs: what disturbs a run can only make it slower.
"""

import time

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from minicnn.kernels.compiling import compiled_parallel
from minicnn.kernels.memory import empty, release
from minicnn.kernels.registers import REGISTERS, VECTOR_BYTES, lanes
from minicnn.kernels.tile_code import INT
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

CHAINS = REGISTERS - 4  # vectors under way at a time; the others hold what all of them need
FLOPS = 2  # a multiply-add counts as two operations
RUNS = 50
ROUNDS = 500_000  # of all chains, in one run: about two milliseconds
CACHED_BYTES = 1 << 18  # per thread: fits into the second-level cache of any CPU of today
SHARED_BYTES = 1 << 23  # of all threads: too many for those, but not for the last-level cache
MEMORY_BYTES = 1 << 28  # of all threads: far more than the last-level cache holds


def multiply_add_peak(dtype: type = np.float32, threads: int | None = None) -> float:
    """How many floating-point operations per second the multiply-add units do.

    A multiply-add takes about four cycles, but a core begins two or more in each, each on a vector
    of numbers. So it is kept busy only by many that do not wait for one another.

    Args:
        dtype: float32 or float64.
        threads: how many of them; None: all that Numba uses.

    Returns:
        FLOP/s, a multiply-add counted as two.
    """
    threads = threads or numba.get_num_threads()
    vectors = np.ones((threads, CHAINS * lanes(dtype)), dtype)
    seconds = _shortest(lambda: _run_chains(vectors, ROUNDS, dtype(0.5)), threads)
    return FLOPS * ROUNDS * vectors.size / seconds


def memory_bandwidth(threads: int | None = None) -> float:
    """How many bytes per second go from memory to the cores and back, both ways added up."""
    threads = threads or numba.get_num_threads()
    return _bandwidth(MEMORY_BYTES // threads, threads, rounds=1)


def shared_cache_bandwidth(threads: int | None = None) -> float:
    """The same for arrays that stay in the last-level cache: half of them copied to the others.

    To change them in place would be faster, but that is not what layers do: they read one array and
    write another.
    """
    threads = threads or numba.get_num_threads()
    source, target = (
        np.ones((threads, SHARED_BYTES // threads // 8), np.float32) for _ in range(2)
    )
    seconds = _shortest(lambda: _copy(source, target), threads)
    return (source.nbytes + target.nbytes) / seconds


def cache_bandwidth(threads: int | None = None) -> float:
    """As memory_bandwidth, for numbers that stay in the second-level cache of a core."""
    return _bandwidth(CACHED_BYTES, threads or numba.get_num_threads(), rounds=100)


def _bandwidth(bytes_per_thread, threads, rounds):
    numbers = empty((threads, bytes_per_thread // 4), np.float32)
    release()  # or the memory would be kept for later arrays
    numbers.fill(1)
    seconds = _shortest(lambda: _change_signs(numbers, rounds), threads)
    return 2 * rounds * numbers.nbytes / seconds


def _shortest(run, threads):
    """The time of the fastest of RUNS runs, after one that compiles."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        times = []
        for _ in range(1 + RUNS):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    finally:
        numba.set_num_threads(before)
    return min(times[1:])


@compiled_parallel
def _run_chains(vectors, rounds, factor):
    for thread in prange(vectors.shape[0]):
        _chains(vectors[thread], rounds, factor)


@compiled_parallel
def _change_signs(numbers, rounds):
    for thread in prange(numbers.shape[0]):
        mine = numbers[thread]
        for _ in range(rounds):
            for k in range(mine.size):  # in place: no line is read only to be overwritten
                mine[k] = -mine[k]


@compiled_parallel
def _copy(source, target):
    for thread in prange(source.shape[0]):
        mine, its = source[thread], target[thread]
        for k in range(mine.size):
            its[k] = mine[k]


@intrinsic
def _chains(typing, numbers, rounds, factor):
    """Make x * factor + factor of x, for all vectors of `numbers`, `rounds` times, in registers.

    From factor 1/2 all numbers run towards 1, so that none becomes too large or too small.
    """

    def codegen(context, builder, signature, args):
        numbers, rounds, factor = args
        data = context.make_array(signature.args[0])(context, builder, value=numbers).data
        count = lanes(str(signature.args[2]))
        vector = ir.VectorType(factor.type, count)
        name = f"llvm.fmuladd.v{count}f{VECTOR_BYTES * 8 // count}"
        kind = ir.FunctionType(vector, [vector] * 3)
        fmuladd = cgutils.get_or_insert_function(builder.module, kind, name)

        everywhere = ir.Constant(vector, ir.Undefined)
        for lane in range(count):
            everywhere = builder.insert_element(everywhere, factor, INT(lane))
        places = [
            builder.bitcast(builder.gep(data, [INT(m * count)]), vector.as_pointer())
            for m in range(CHAINS)
        ]
        # LLVM keeps these variables in registers, for nobody asks for their addresses
        chains = [
            cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places
        ]
        with cgutils.for_range(builder, rounds):
            for chain in chains:
                value = builder.call(fmuladd, [builder.load(chain), everywhere, everywhere])
                builder.store(value, chain)
        for chain, place in zip(chains, places, strict=True):
            builder.store(builder.load(chain), place, align=4)
        return context.get_dummy_value()

    return types.void(numbers, rounds, factor), codegen


def main():
    """Print what was measured."""
    threads = numba.get_num_threads()
    cpu = llvmlite.binding.get_host_cpu_name()
    print(f"{cpu}, {threads} threads, {REGISTERS} vector registers of {VECTOR_BYTES * 8} bits")
    for dtype in (np.float32, np.float64):
        one, every = multiply_add_peak(dtype, 1), multiply_add_peak(dtype)
        print(f"{dtype.__name__}: {one / 1e9:.0f} GFLOP/s per core, {every / 1e9:.0f} in all")
    cache, shared, memory = cache_bandwidth(), shared_cache_bandwidth(), memory_bandwidth()
    print(f"GB/s, both ways: second-level cache {cache / 1e9:.0f}, ", end="")
    print(f"last-level cache {shared / 1e9:.0f}, memory {memory / 1e9:.0f}")
    ratio = multiply_add_peak() / memory
    print(f"a program that does fewer than {ratio:.1f} FLOP (float32) for each byte", end=" ")
    print("to or from memory waits for the memory")


if __name__ == "__main__":
    main()
