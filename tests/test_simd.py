"""Register tiles: the compiled ones do what the one in Python says, for every size and dtype."""

import inspect
import itertools
from functools import partial

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir
from written_code import Job, let_numba_compile, use_vectors

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import geometry, registers, row_tiles, simd, tile_code  # noqa: E402
from minicnn.kernels.compiling import compiled  # noqa: E402

SIZES = [(m, v) for v in simd.WIDTHS for m in range(1, simd.most_pixels(v) + 1)]


@compiled
def run(tiles, shape, x, w, start, y, add, floor, loops):
    simd.tile(tiles, shape, x, 0, w, 0, start, 0, y, 0, add, floor, loops)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is nothing compiled to compare with")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_every_tile_computes_the_sum(count, add, dtype):
    rng = np.random.default_rng(0)
    for pixels, width in SIZES:
        shape, F = (count, pixels, width), width * registers.lanes(dtype)
        x, w = rng.normal(size=2000).astype(dtype), rng.normal(size=(2 * 3 * 5, F)).astype(dtype)
        start = rng.normal(size=F).astype(dtype)
        y = rng.normal(size=(count * pixels, F)).astype(dtype)
        expected = y.copy()
        loops = (2, 3, 5, 100, 30, 1, 7, F, F)
        run(simd.tiles(np.dtype(dtype)), shape, x, w.ravel(), start, y.ravel(), add, 0.5, loops)
        given = (x, 0, w.ravel(), 0, start, 0, expected.ravel(), 0, add, 0.5, loops)
        simd._tile_in_python(0, shape, *given)
        np.testing.assert_allclose(y, expected, rtol=0, atol=200 * np.finfo(dtype).eps)
        assert y.min() >= 0.5


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is nothing compiled to compare with")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("Q", [2, 3, 5, 7])
def test_every_tile_of_whole_rows_computes_the_sum(Q, dtype):
    rng = np.random.default_rng(0)
    tiles, F = row_tiles.row_tiles(np.dtype(dtype), Q), registers.lanes(dtype)
    for pixels in range(1, row_tiles.most_in_row(Q) + 1):
        shape = (2, pixels, 1)
        x, w = rng.normal(size=2000).astype(dtype), rng.normal(size=(2 * Q * 5, F)).astype(dtype)
        start, y = rng.normal(size=F).astype(dtype), rng.normal(size=(2 * pixels, F)).astype(dtype)
        expected = y.copy()
        loops = (2, Q, 5, 200, 6, 1, 6, F, F)
        run(tiles, shape, x, w.ravel(), start, y.ravel(), True, 0.5, loops)
        given = (x, 0, w.ravel(), 0, start, 0, expected.ravel(), 0, True, 0.5, loops)
        simd._tile_in_python(0, shape, *given)
        np.testing.assert_allclose(y, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


def test_tiles_of_whole_rows_fit_into_the_registers():
    for J, Q in np.ndindex(60, registers.REGISTERS):
        pixels = row_tiles.pixels_in_row(J + 1, Q)
        assert pixels + Q + 1 <= registers.REGISTERS or not pixels
    assert row_tiles.pixels_in_row(32, 1) == 0  # a window of one column has nothing to share
    assert row_tiles.pixels_in_row(32, registers.REGISTERS) == 0
    assert row_tiles.pixels_in_row(5, 3) == 5


@pytest.mark.parametrize("together", [False, True])
def test_the_tiles_of_a_row_lie_side_by_side(together):
    for count, most in np.ndindex(40, 14):
        pixels = []
        for run in range(geometry.runs_of_tiles(count + 1, most + 1, together)):
            begin, tiles, size = geometry.run_of_tiles(run, count + 1, most + 1, together)
            assert begin == sum(pixels) and (tiles == 1 or together)
            pixels += tiles * [size]
        assert sum(pixels) == count + 1
        assert max(pixels) <= most + 1 and max(pixels) - min(pixels) <= 1
        assert len(pixels) == -(-(count + 1) // (most + 1))


@pytest.mark.skipif(llvm.llvm_version_info < (18,), reason="before LLVM 18, loops cannot say so")
def test_a_loop_begins_at_a_block():
    module = ir.Module()
    visit = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "visit")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)]), "loop")
    builder = ir.IRBuilder(function.append_basic_block())
    tile = tile_code.Tile(1, 1, builder, ir.VectorType(ir.FloatType(), 4))

    def body(state):
        builder.call(visit, [])
        return state

    tile._loop(function.args[0], None, body)([])
    builder.ret_void()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    lines = machine.emit_assembly(llvm.parse_assembly(str(module))).splitlines()
    assert [".p2align", "5"] in [line.split() for line in lines]


def test_tiles_fit_into_the_registers():
    for pixels, width in SIZES:
        assert pixels * width + width + 1 <= registers.REGISTERS


def test_a_vector_is_as_wide_as_a_register():
    assert registers.VECTOR_BYTES in (16, 32, 64)
    assert (
        registers.lanes(np.float32)
        == 2 * registers.lanes(np.float64)
        == registers.VECTOR_BYTES // 4
    )


@pytest.mark.parametrize(
    "count, most",
    [(5, (3, 1, 0)), (8, (6, 2, 0)), (16, (14, 6, 2)), (17, (14, 7, 3)), (32, (14, 14, 6))],
)
def test_tiles_are_as_large_as_the_registers_allow(count, most, monkeypatch):
    monkeypatch.setattr(simd, "REGISTERS", count)
    assert tuple(map(simd.most_pixels, (1, 2, 4))) == most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_that_begin_at_0_may_have_any_width(dtype):
    zeros = simd.zero_vectors(np.dtype(dtype))
    assert zeros.dtype == dtype and not zeros.any()
    assert len(zeros) == 4 * registers.lanes(dtype)


MODES = [*itertools.product((False, True, tile_code.REPLACE, tile_code.ADD), (-np.inf, 2.0))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_tile_in_python_computes_the_sum(size, dtype, monkeypatch):
    use_vectors(monkeypatch, size)
    for shape, (add, floor) in itertools.product([(1, 1), (3, 2), (1, 4)], MODES):
        job = Job(2, shape, dtype)
        found = job.found_by(partial(simd._tile_in_python, None), add, floor)
        np.testing.assert_array_equal(found, job.expected(add, floor))
    found = job.found_by(partial(simd._tile_in_python, None), tile_code.PASS_CACHES, 2)
    np.testing.assert_array_equal(found, job.expected(tile_code.REPLACE, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_in_python_that_is_not_a_number_stays_so(dtype):
    job = Job(1, (1, 1), dtype)
    job.start.numbers[1] = job.sums[:, 1] = np.nan
    found = job.found_by(partial(simd._tile_in_python, None), False, 2)
    np.testing.assert_array_equal(found, job.expected(False, 2))


@pytest.mark.parametrize("count, size, dtype", [(5, 16, np.float32), (9, 32, np.float64)])
def test_compiled_functions_call_tiles_of_all_sizes(count, size, dtype, monkeypatch):
    """Those of an imaginary CPU, which has fewer registers, and so fewer tiles."""
    let_numba_compile(monkeypatch)
    use_vectors(monkeypatch, size)
    monkeypatch.setattr(simd, "REGISTERS", count)
    address = simd.tiles.__wrapped__(np.dtype(dtype))

    @numba.njit
    def tile(shape, x, at_x, w, at_w, start, at_start, y, at_y, add, floor, loops):
        given = (shape, x, at_x, w, at_w, start, at_start, y, at_y, add, floor, loops)
        simd._tile_in_llvm(address, *given)

    sizes = [(m, v) for v in (1, 2, 4) for m in range(1, simd.most_pixels(v) + 1)]
    for shape, (add, floor) in itertools.product(sizes, MODES):
        job = Job(2, shape, dtype)
        found = job.found_by(tile, add, floor)
        np.testing.assert_array_equal(found, job.expected(add, floor))


def test_there_are_no_tiles_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert simd.tiles.__wrapped__(np.dtype("float32")) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_address_and_a_size_are_an_array(dtype, monkeypatch):
    let_numba_compile(monkeypatch)
    in_llvm = numba.njit(inspect.unwrap(simd._array_in_llvm))

    @numba.njit
    def double_in_llvm(address, size, like):
        array = in_llvm(address, size, like)
        array *= 2
        return array.size

    def double_in_python(address, size, like):
        array = simd._array_in_python(address, size, like)
        array *= 2
        return array.size

    for double in (double_in_llvm, double_in_python):
        numbers, like = np.arange(7, dtype=dtype), np.zeros(1, dtype)
        assert double(numbers.ctypes.data + 2 * numbers.itemsize, 3, like) == 3
        np.testing.assert_array_equal(numbers, [0, 1, 4, 6, 8, 5, 6])


def test_a_fence_waits_for_what_passes_the_caches(monkeypatch):
    let_numba_compile(monkeypatch)

    @numba.njit
    def wait():
        simd._store_fence_in_llvm()

    wait()
    (text,) = wait.inspect_llvm().values()
    assert "fence seq_cst" in text
    assert simd._store_fence_in_python() is None
