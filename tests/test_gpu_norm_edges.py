"""CUDA kernels that normalise, where blocks share few rows: each loop, sum and edge is needed.

Chunks of rows are so short that there are many of them, and the last one is shorter; rows and
columns are no multiples of those of a block. Numbers lie on the border of relu, and so far from 0
that what float32 loses of a mean must be put back.
"""

import numpy as np
import pytest
from test_cuda import check, on_device, xp  # noqa: F401  xp is a fixture
from test_kernels import in_dtype, normal, outputs

from minicnn.backend import kernels

batch_norm, layer_norm = kernels.batch_norm, kernels.layer_norm


def in_chunks_of(rows, monkeypatch):
    """Let a block own so many rows, where it would else own 128 or more."""
    monkeypatch.setattr(kernels.sum_rows, "rows_per_chunk", lambda R: rows)


SHAPES = {  # rows in a chunk, then R and C
    "one number": (20, 1, 1),
    "one row": (20, 1, 35),
    "one column": (20, 50, 1),
    "the last chunk is a row": (10, 21, 33),
    "chunks and blocks are full": (8, 16, 64),
    "a block owns few columns": (20, 50, 3),
    "a block owns the last 29 columns": (20, 50, 61),
    "more chunks than threads to add them up": (3, 200, 5),
}


def check_all(calls, dtype, xp):  # noqa: F811
    """Compare each kernel with its reference, which computes in float64."""
    for kernel, args in calls.items():
        given = on_device(xp, in_dtype(args, dtype))
        check(outputs(kernel, given), outputs(kernel.reference, args), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_short_chunks_of_layer_norm_are_put_together(shape, dtype, xp, monkeypatch):  # noqa: F811
    rows, R, C = shape
    in_chunks_of(rows, monkeypatch)
    x, dy, (gamma, beta) = normal(1, R, C), normal(2, R, C), normal(3, 2, C)
    calls = {
        layer_norm.forward: (x, gamma, beta, 1e-3),
        layer_norm.backward: (dy, x, gamma, 1e-3),
    }
    check_all(calls, dtype, xp)


def test_what_float32_loses_of_the_mean_of_a_row_is_put_back(xp):  # noqa: F811
    x, dy = (1e4 + normal(1, 9, 70)).astype(np.float32), normal(2, 9, 70).astype(np.float32)
    gamma = normal(3, 70).astype(np.float32)
    results = layer_norm.backward(*on_device(xp, (dy, x, gamma)), 1e-3)
    expected = layer_norm.backward.reference(dy, x.astype(float), gamma, 1e-3)
    check(results, expected, "float32")


def test_a_row_that_spreads_no_more_than_rounding_is_given_the_spread_1(xp):  # noqa: F811
    """Its mean is no float32, and lies as far from the nearest one as its numbers lie apart."""
    step = 2.0**-10
    x = (2**13 + step * (np.arange(9)[:, None] > np.arange(70) % 10)).astype(np.float32)
    ones, zeros = np.ones(70, np.float32), np.zeros(70, np.float32)
    y = layer_norm.forward(*on_device(xp, (x, ones, zeros)), 1e-12)
    expected = layer_norm.forward.reference(x.astype(float), ones, zeros, 1e-12)
    check([y], [expected], "float32")


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_short_chunks_of_batch_norm_are_put_together(shape, dtype, relu, xp, monkeypatch):  # noqa: F811
    rows, R, C = shape
    in_chunks_of(rows, monkeypatch)
    (x, dy, shortcut), line = normal(1, 3, R, C), (*normal(2, 3, C), relu)
    calls = {
        batch_norm.moments: (x,),
        batch_norm.normalize: (x, *line, shortcut),
        batch_norm.sums: (dy, x, *line),
        batch_norm.input_grad: (dy, x, *line, normal(3, 3, C)),
    }
    check_all(calls, dtype, xp)


@pytest.mark.parametrize("chunk", [(16, 1), (17, 2), (128, 8), (129, 9)], ids=str)
def test_the_first_sixteenth_of_a_chunk_makes_its_center(chunk, xp, monkeypatch):  # noqa: F811
    """It is 0 here, and 1024 in the next channel.

    From any other center, distances would lose what the small numbers are. No thread meets both a
    small number and a 1, or its sum would lose it, too.
    """
    count, of_center = chunk
    in_chunks_of(count, monkeypatch)
    x = np.zeros((count, 1), np.float32)
    if of_center > 1:
        x[0], x[of_center - 1] = -1, 1
    x[of_center] = 1
    meet_1 = x.any(axis=1)
    for k in range(of_center + 1, count):
        if not meet_1[k % 8 : of_center + 1 : 8].any():
            x[k] = 2.0**-30
    x = np.hstack([x, np.full_like(x, 1024)])
    mean, _ = batch_norm.moments(xp.asarray(x))
    np.testing.assert_allclose(mean.get(), x.mean(axis=0, dtype=float), rtol=1e-12)


def test_a_gradient_passes_relu_above_0_only(xp):  # noqa: F811
    x = np.tile([-1.0, 0.0, 2.0**-20, 1.0], (9, 1))
    dy, line = 3 * np.ones((9, 4)), (np.zeros(4), np.ones(4), np.zeros(4), True)
    given, slopes = on_device(xp, (dy, x, *line)), np.array([[1], [0], [0]]) * np.ones(4)
    dx = batch_norm.input_grad(*given, xp.asarray(slopes))
    np.testing.assert_array_equal(dx.get(), 3 * (x > 0))
    sums = batch_norm.sums(*given)
    np.testing.assert_array_equal(sums.get(), [27 * (x[0] > 0), 27 * np.maximum(x[0], 0)])
