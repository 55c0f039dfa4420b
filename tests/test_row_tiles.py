"""Tiles that take the columns of a window at once, written for several CPUs."""

import itertools
from functools import partial

import numpy as np
import pytest
from written_code import (
    INT,
    Job,
    Memory,
    Running,
    function_at,
    kinds_of_tiles,
    let_numba_compile,
    use_vectors,
    written,
)

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import registers, row_tiles, tile_code  # noqa: E402
from minicnn.kernels.tile_code import ADD, REPLACE  # noqa: E402

BYTES = pytest.mark.parametrize("size", [16, 32, 64])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def text_of(tiles, dtype):
    def write(builder, arguments):
        tile_code.call_one(builder, arguments[0], dict(enumerate(tiles)), arguments[1:])

    return written(write, [INT, *kinds_of_tiles(dtype)])


def running(tiles, dtype):
    return Running(text_of(tiles, dtype), [INT, *kinds_of_tiles(dtype)])


def row_job(count, pixels, Q, dtype):
    """A Job whose window has Q columns, which are neighbours as pixels are."""
    return Job(count, (pixels, 1), dtype, (2, Q, 3, 211, 7, 131, 7))


def check_rows(run, which, count, pixels, Q, dtype):
    job = row_job(count, pixels, Q, dtype)
    for add, floor in itertools.product((REPLACE, ADD), (-np.inf, 2)):
        found, expected = job.found(run, which, add, floor), job.expected(add, floor)
        np.testing.assert_array_equal(found, expected)


@BYTES
@DTYPES
def test_tiles_take_the_columns_of_a_window_at_once(dtype, size, monkeypatch):
    use_vectors(monkeypatch, size)
    sizes = [(1, 2), (2, 2), (4, 3), (2, 5), (9, 2), (3, 1)]  # pixels, Q
    run = running([partial(row_tiles.RowTile, *tile) for tile in sizes], dtype)
    for (which, tile), count in itertools.product(enumerate(sizes), (1, 3)):
        check_rows(run, which, count, *tile, dtype)


@pytest.mark.parametrize("pixels, Q", [(1, 2), (4, 3), (9, 2), (10, 5)])
def test_a_number_is_loaded_once_for_all_columns_that_meet_it(pixels, Q):
    text = text_of([partial(row_tiles.RowTile, pixels, Q)], np.float64)
    assert text.count(" = load double, double* ") == pixels + Q - 1
    assert text.count('@"llvm.fmuladd') == pixels * Q + 1  # which declares it


class Turned:
    """Arguments for `count` tiles of a piece of dw, and the sums by definition."""

    def __init__(self, count, channels, Q, J, dtype):
        rng, lanes, K = np.random.default_rng(0), registers.lanes(dtype), count * channels
        N, I, x_image, x_row, x_column, dy_step, y_pixel = 2, 3, 401, 97, 11, lanes + 1, lanes + 3
        self.loops = (N, I, J, x_image, x_row, x_column, 10**9, dy_step, y_pixel)
        n, i, j, q, k = np.ogrid[:N, :I, :J, :Q, :K]
        at = n * x_image + i * x_row + (j + q) * x_column + k
        x, dy = rng.integers(-4, 5, at.shape), rng.integers(-4, 5, (N, I, J, lanes))
        self.x = Memory(x, at, dtype)
        places = np.add.outer(dy_step * np.arange(N * I * J), np.arange(lanes))
        self.dy = Memory(dy, places, dtype)
        start = rng.integers(-9, 10, lanes)
        self.start = Memory(start, np.arange(lanes), dtype)
        x = self.x.numbers[at]  # where places are the same, the last number counts
        self.sums = np.einsum("nijqk,nijf->qkf", x, dy) + start
        places = (np.add.outer(np.arange(Q) * x_column, np.arange(K)) * y_pixel)[..., None]
        self.in_memory = partial(Memory, indices=places + np.arange(lanes), dtype=dtype)
        self.y, self.count = rng.integers(-9, 10, self.sums.shape), count

    def expected(self, add):
        """What y shall be, in memory."""
        return self.in_memory(self.y + self.sums if add == ADD else self.sums).all

    def found(self, run, which, add):
        """What the code makes of y."""
        y = self.in_memory(self.y if add == ADD else np.full(self.y.shape, np.nan))
        arrays = self.x.numbers, self.dy.numbers, self.start.numbers, y.numbers
        run(which, *arrays, add, -np.inf, self.count, *self.loops)
        return y.all


def check_turned(run, which, channels, Q, dtype, counts=(1, 3)):
    # in the shortest row, a column of x meets all columns of the window
    for count, J, add in itertools.product(counts, (Q, Q + 3), (REPLACE, ADD)):
        job = Turned(count, channels, Q, J, dtype)
        np.testing.assert_array_equal(job.found(run, which, add), job.expected(add))


@BYTES
@DTYPES
def test_turned_tiles_hold_a_piece_of_the_gradient(dtype, size, monkeypatch):
    use_vectors(monkeypatch, size)
    sizes = [(1, 2), (3, 2), (2, 3), (1, 5)]  # channels, Q
    run = running([partial(row_tiles.TurnedTile, *tile) for tile in sizes], dtype)
    for which, tile in enumerate(sizes):
        check_turned(run, which, *tile, dtype)


def compiled_tiles(dtype, Q, turned=False):
    """The tiles of all sizes, as a function like Running."""
    address = row_tiles.row_tiles.__wrapped__(np.dtype(dtype), Q, turned)
    tiles = function_at(address, [*[INT] * 3, *kinds_of_tiles(dtype)[:6], *[INT] * 9])

    def run(size, x, w, start, y, add, floor, count, *loops):
        tiles(count, size, 1, x, w, start, y, add, floor, *loops)

    return run


# a CPU's registers, columns of the window, and the largest tiles that fit
SIZES = pytest.mark.parametrize("count, Q, pixels, channels", [(9, 2, 6, 2), (11, 3, 7, 1)])


@SIZES
@DTYPES
def test_tiles_of_all_sizes_are_compiled(dtype, count, Q, pixels, channels, monkeypatch):
    let_numba_compile(monkeypatch)
    use_vectors(monkeypatch, 32)
    monkeypatch.setattr(row_tiles, "REGISTERS", count)
    run, turned = compiled_tiles(dtype, Q), compiled_tiles(dtype, Q, turned=True)
    for size in range(1, pixels + 1):
        check_rows(run, size, 3, size, Q, dtype)
    for size in range(1, channels + 1):
        check_turned(turned, size, size, Q, dtype, (3,))


def test_nobody_compiles_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", True)
    assert row_tiles.row_tiles.__wrapped__(np.dtype("float32"), 2) == 0


@SIZES
def test_the_largest_tiles_fit_into_the_registers(count, Q, pixels, channels, monkeypatch):
    monkeypatch.setattr(row_tiles, "REGISTERS", count)
    assert row_tiles.most_in_row(Q) == pixels
    assert row_tiles.most_channels(Q) == channels


@pytest.mark.parametrize(
    "count, Q, largest",
    [(32, 2, 16), (32, 15, 16), (32, 16, 15), (16, 5, 10), (16, 7, 8), (16, 8, 0), (16, 1, 0)],
)
def test_the_tiles_of_a_row_are_of_about_the_same_size(count, Q, largest, monkeypatch):
    monkeypatch.setattr(row_tiles, "REGISTERS", count)
    for J in range(1, 70):
        tiles = -(-J // largest) if largest else 1  # as few as possible
        expected = -(-J // tiles) if largest else 0
        assert row_tiles.pixels_in_row(J, Q) == expected
