"""The code of register tiles, written for several CPUs' vectors, computes what simd.py says."""

import functools
import itertools
import re

import numpy as np
import pytest
from written_code import INT, Job, Running, kinds_of_tiles, use_vectors, written

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import tile_code  # noqa: E402
from minicnn.kernels.tile_code import ADD, PASS_CACHES, REPLACE  # noqa: E402

BYTES = pytest.mark.parametrize("size", [16, 32, 64])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = [(1, 1), (2, 1), (3, 2), (9, 1), (1, 4), (18, 1)]  # pixels, vectors


def text_of(shapes, dtype):
    tiles = {n: functools.partial(tile_code.Tile, *shape) for n, shape in enumerate(shapes)}

    def write(builder, arguments):
        tile_code.call_one(builder, arguments[0], tiles, arguments[1:])

    return written(write, [INT, *kinds_of_tiles(dtype)])


def running(shapes, dtype):
    return Running(text_of(shapes, dtype), [INT, *kinds_of_tiles(dtype)])


@BYTES
@DTYPES
def test_each_of_several_tiles_computes_its_sums(dtype, size, monkeypatch):
    use_vectors(monkeypatch, size)
    run = running(SHAPES, dtype)
    ways = [*itertools.product((REPLACE, ADD), (-np.inf, 2), (1, 3))]
    for which, (add, floor, count) in itertools.product(range(len(SHAPES)), ways):
        job = Job(count, SHAPES[which], dtype)
        found, expected = job.found(run, which, add, floor), job.expected(add, floor)
        np.testing.assert_array_equal(found, expected)
    nobody = len(SHAPES)
    found = job.found(run, nobody, ADD, 0)
    np.testing.assert_array_equal(found, job.in_memory(job.y).all)


@BYTES
@DTYPES
@pytest.mark.parametrize("floor", [-np.inf, 2])
def test_results_that_pass_the_caches_are_the_same(floor, dtype, size, monkeypatch):
    use_vectors(monkeypatch, size)
    job, run = Job(2, (3, 2), dtype, lined_up=True), running([(3, 2)], dtype)
    expected = job.expected(REPLACE, floor)
    np.testing.assert_array_equal(job.found(run, 0, PASS_CACHES, floor), expected)


@DTYPES
def test_a_sum_that_is_not_a_number_stays_so(dtype):
    job = Job(1, (1, 1), dtype)
    job.start.numbers[1] = job.sums[:, 1] = np.nan
    found, expected = job.found(running([(1, 1)], dtype), 0, REPLACE, 2), job.expected(REPLACE, 2)
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(job.in_memory(job.sums).numbers[1])


@BYTES
@DTYPES
def test_vectors_begin_anywhere_unless_they_pass_the_caches(dtype, size, monkeypatch):
    use_vectors(monkeypatch, size)
    text, itemsize = text_of([(3, 2)], dtype), np.dtype(dtype).itemsize
    accesses = r"(?:load|store) <.*align (\d+)(?:, !nontemporal !(\d+))?$"
    vectors = re.findall(accesses, text, re.MULTILINE)
    past = [(int(align), note) for align, note in vectors if note]
    assert [align for align, _ in past] == 6 * [size]
    assert all(f"!{note} = !{{ i32 1 }}\n" in text for _, note in past)
    assert f'@"llvm.fmuladd.v{size // itemsize}f{8 * itemsize}"(' in text
    near = [int(align) for align, note in vectors if not note]
    assert near == [itemsize] * (6 + 2 + 3 * 6)  # start, filters; y, as it was and will be


def test_every_tile_is_a_function_of_its_own():
    # several of them in one function would take LLVM many times as long
    text = text_of([(1, 1), (2, 1), (1, 2)], np.float32)
    assert len(re.findall("^define internal void .* noinline$", text, re.MULTILINE)) == 3


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 8, 9, 16, 17, 24])
def test_pixels_are_reached_from_few_pointers(pixels):
    text = text_of([(pixels, 1)], np.float64)
    # the steps to 1, 3, 5 and 7 pixels, and a pointer for each 8 pixels
    hidden = re.findall(r"(%\S+) = call (\S+) asm", text)
    assert [kind for _, kind in hidden].count("i64") == min(4, pixels // 2)
    assert [kind for _, kind in hidden].count("double*") == -(-pixels // tile_code.REACH)
    doubled = re.findall(r"= shl i64 (\S+), (\d+)", text)
    assert len(doubled) == pixels - -(-pixels // tile_code.REACH)
    assert {step for step, _ in doubled} <= {name for name, kind in hidden if kind == "i64"}
    assert {times for _, times in doubled} <= {"0", "1", "2"}  # 1, 2 or 4 times a register
