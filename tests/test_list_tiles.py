"""Tiles that walk along a list, written for several CPUs, and the one in Python."""

import itertools
import re
from functools import partial

import numba
import numpy as np
import pytest
from llvmlite import ir
from written_code import (
    INT,
    Memory,
    Running,
    let_numba_compile,
    number_of,
    use_vectors,
    written,
)

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import list_tiles, registers, tile_code  # noqa: E402

BYTES = pytest.mark.parametrize("size", [16, 32, 64])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
GIVES = pytest.mark.parametrize("gives", [False, True], ids=["collects", "gives"])
SHAPES = [(1, 1), (2, 1), (3, 2), (1, 8)]  # rows, vectors


def kinds_of_tiles(dtype):
    """What a tile is given: numbers, places, count, x, x_row, y, y_row."""
    pointer, place = number_of(dtype).as_pointer(), ir.IntType(32).as_pointer()
    return [pointer, place, INT, pointer, INT, pointer, INT]


def text_of(tiles, dtype):
    def write(builder, arguments):
        tile_code.call_one(builder, arguments[0], tiles, arguments[1:])

    return written(write, [INT, *kinds_of_tiles(dtype)])


class Walk:
    """Arguments for a tile, and what it leaves behind by definition."""

    def __init__(self, shape, count, dtype):
        rng, (rows, width) = np.random.default_rng(0), shape
        F, self.shape, self.dtype, self.count = width * registers.lanes(dtype), shape, dtype, count
        self.x_row, self.y_row = F + 3, F + 5
        columns = np.arange(F)
        self.of_x, self.of_y = (
            np.add.outer(row * np.arange(rows), columns) for row in (self.x_row, self.y_row)
        )
        # some of them overlap, and one lies before the number that is called place 0
        self.list = np.array([40, -6, 43, 300, 40])[:count].astype(np.int32)
        self.factors = rng.integers(-4, 5, count).astype(dtype)
        self.touched = np.unique(np.add.outer(self.list, self.of_x))
        self.x_before = rng.integers(-9, 10, self.touched.size)
        self.y_before = rng.integers(-9, 10, self.of_y.shape)

    def memory(self):
        """Both x and y, as they are before; beside what the tile may touch they are NaN."""
        touched = self.touched if self.count else [0]
        return (
            Memory(self.x_before if self.count else np.nan, touched, self.dtype),
            Memory(self.y_before, self.of_y, self.dtype),
        )

    def expected(self, gives):
        """Both x and y, as they are in the end."""
        x, y = self.memory()
        for factor, place in zip(self.factors, self.list, strict=True):
            if gives:
                x.all[x.first + place + self.of_x] += factor * y.numbers[self.of_y]
            else:
                y.numbers[self.of_y] += factor * x.all[x.first + place + self.of_x]
        return x.all, y.all

    def check(self, walk, gives):
        """Let walk(numbers, places, x, y) do it, where an array begins in a Memory."""
        x, y = self.memory()
        numbers, places = (np.concatenate([[99, 98], a, [97]]) for a in (self.factors, self.list))
        walk(numbers.astype(self.dtype), places.astype(np.int32), x, y)
        for found, expected in zip((x.all, y.all), self.expected(gives), strict=True):
            np.testing.assert_array_equal(found, expected)


@GIVES
@BYTES
@DTYPES
def test_each_of_several_tiles_walks_along_its_list(dtype, size, gives, monkeypatch):
    use_vectors(monkeypatch, size)
    tiles = {n: partial(list_tiles.ListTile, gives, *shape) for n, shape in enumerate(SHAPES)}
    run = Running(text_of(tiles, dtype), [INT, *kinds_of_tiles(dtype)])
    for (which, shape), count in itertools.product(enumerate(SHAPES), (0, 1, 5)):
        job = Walk(shape, count, dtype)

        def walk(numbers, places, x, y, which=which, job=job):
            rest = x.numbers, job.x_row, y.numbers, job.y_row
            run(which, numbers[2:], places[2:], job.count, *rest)

        job.check(walk, gives)


@GIVES
def test_only_one_of_both_is_written_to(gives):
    # what others read at the same time must not be touched
    text = text_of({0: partial(list_tiles.ListTile, gives, 3, 2)}, np.float32)
    assert len(re.findall(r"^ *store <.*, align 4$", text, re.MULTILINE)) == 3 * 2


def check_calls(call, shapes, gives, dtype, count):
    """call: like _walk_in_python, without the first argument."""
    for shape in shapes:
        job = Walk(shape, count, dtype)

        def walk(numbers, places, x, y, job=job):
            rest = x.all, x.first, job.x_row, y.all, y.first, job.y_row
            call(job.shape, numbers, places, 2, job.count, *rest)

        job.check(walk, gives)


@GIVES
@BYTES
@DTYPES
def test_the_tile_in_python_walks_along_its_list(dtype, size, gives, monkeypatch):
    use_vectors(monkeypatch, size)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    way = list_tiles.list_tiles.__wrapped__(np.dtype(dtype), gives)
    for count in (0, 5):
        check_calls(partial(list_tiles._walk_in_python, way), SHAPES, gives, dtype, count)


@GIVES
@DTYPES
@pytest.mark.parametrize("most", [3, 9])
def test_compiled_functions_call_tiles_of_all_sizes(most, dtype, gives, monkeypatch):
    let_numba_compile(monkeypatch)
    use_vectors(monkeypatch, 32)
    monkeypatch.setattr(list_tiles, "MOST_SUMS", most)
    address = list_tiles.list_tiles.__wrapped__(np.dtype(dtype), gives)

    @numba.njit
    def walk(shape, numbers, places, at_list, count, x, at_x, x_row, y, at_y, y_row):
        list_tiles._walk_in_llvm(
            address, shape, numbers, places, at_list, count, x, at_x, x_row, y, at_y, y_row
        )

    shapes = [(r, v) for r in (1, 2, 3) for v in range(1, 9) if r * v <= most]
    check_calls(walk, shapes, gives, dtype, 5)


@pytest.mark.parametrize("most", [3, 12, 24])
def test_rows_are_cut_into_tiles_that_fit_into_the_registers(most, monkeypatch):
    monkeypatch.setattr(list_tiles, "MOST_SUMS", most)
    for P, vectors in itertools.product(range(1, 6), range(1, 40)):
        rows, width = list_tiles.tile_rows(P, vectors)
        pieces = -(-vectors // min(8, most))  # as few as possible, of about the same length
        assert width == -(-vectors // pieces)
        assert rows == max(r for r in range(1, 4) if r <= P and r * width <= most)
