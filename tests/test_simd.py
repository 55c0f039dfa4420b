"""Register tiles: the compiled ones do what the one in Python says, for every size and dtype."""

import numba
import numpy as np
import pytest

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import simd  # noqa: E402
from minicnn.kernels.compiling import compiled  # noqa: E402

SIZES = [(m, v) for v in simd.WIDTHS for m in range(1, simd.most_pixels(v) + 1)]


@compiled
def run(tiles, shape, x, w, start, y, add, floor, loops):
    simd.tile(tiles, shape, x, 0, w, 0, start, 0, y, 0, add, floor, loops)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is nothing compiled to compare with")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [False, True])
def test_every_tile_computes_the_sum(add, dtype):
    rng = np.random.default_rng(0)
    for shape in SIZES:
        pixels, width = shape
        F = width * simd.lanes(dtype)
        x, w = rng.normal(size=2000).astype(dtype), rng.normal(size=(2 * 3 * 5, F)).astype(dtype)
        start, y = rng.normal(size=F).astype(dtype), rng.normal(size=(pixels, F)).astype(dtype)
        expected = y.copy()
        loops = (2, 3, 5, 100, 30, 1, 7, F, F)
        run(simd.tiles(np.dtype(dtype)), shape, x, w.ravel(), start, y.ravel(), add, 0.5, loops)
        given = (x, 0, w.ravel(), 0, start, 0, expected.ravel(), 0, add, 0.5, loops)
        simd._tile_in_python(0, shape, *given)
        np.testing.assert_allclose(y, expected, rtol=0, atol=200 * np.finfo(dtype).eps)
        assert y.min() >= 0.5


def test_tiles_fit_into_the_registers():
    for pixels, width in SIZES:
        assert pixels * width + width + 1 <= simd.REGISTERS


def test_a_vector_is_as_wide_as_a_register():
    assert simd.VECTOR_BYTES in (16, 32, 64)
    assert simd.lanes(np.float32) == 2 * simd.lanes(np.float64) == simd.VECTOR_BYTES // 4
