"""Register tiles: the compiled ones do what the one in Python says, for every size and dtype."""

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir

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
