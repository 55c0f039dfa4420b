"""conv2d.cu where one bit, one term or one row more or less would not be noticed elsewhere.

How operands are rounded for tensor cores is told by products with 1, which are the operands.
"""

import numpy as np
import pytest
import test_kernels as tables
from minicnn.kernels import precision
from test_gpu_convolution import _device, check_sums, order, run  # noqa: F401  two are fixtures

from minicnn.backend import kernels

multiply = kernels.matmul.multiply

WAYS = {  # macros of conv2d.cu, bits that operands keep, and where halves go
    "bfloat16": ({"BF16": 1}, 8, "even"),
    "bfloat16 without tensor cores": ({"BF16": 1, "TENSOR_CORES": 0}, 8, "even"),
    "tf32": ({"TF32": 1}, 11, "away from 0"),
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """How many bits operands keep, and where halves go."""
    macros, *rule = WAYS[request.param]
    monkeypatch.setattr(precision, "defines", lambda dtype: macros)
    return rule


def from_patterns(patterns):
    return np.array(patterns, np.uint32).view(np.float32)


def hard_to_round(dropped):
    """Numbers at, beside and half-way between two neighbours that have `dropped` bits less."""
    half = 1 << (dropped - 1)
    one, largest, ones = 0x3F800000, 0x7F7FFFFF, 0xFFFFFFFF
    starts = [one + (k << dropped) for k in range(4)]
    starts += [bits & ones << dropped for bits in (one - 1, largest)]  # one more has a carry
    starts += [0, 1 << dropped]  # and the smallest of all
    patterns = [s + rest for s in starts for rest in (0, 1, half - 1, half, half + 1, 2 * half - 1)]
    return from_patterns([sign | bits for sign in (0, 1 << 31) for bits in patterns])


def nearest(x, kept, halves):
    """The nearest of the two numbers with so many bits between which each x lies.

    The neighbours of a float, seen as a whole number, are the whole numbers before and after it;
    that after the largest one means infinity, but counts as what it would be: 2^128.
    """
    dropped = 24 - kept
    below = np.abs(x).view(np.uint32) >> dropped << dropped
    above = below + np.uint32(1 << dropped)
    size, low, high = (np.float64(v) for v in (np.abs(x), *map(from_patterns, (below, above))))
    to_low, to_high = size - low, np.where(np.isinf(high), 2.0**128, high) - size
    half_goes_up = (below >> dropped) % 2 == 1 if halves == "even" else True
    up = (to_high < to_low) | (to_high == to_low) & half_goes_up
    return np.copysign(from_patterns(np.where(up, above, below)), x)


def both_ways(x):
    """Rounded operands: x as the left and as the right operand of a product with 1."""
    one = np.ones((1, 1), np.float32)
    yield run(multiply, (x[:, None], one, None, False))[0].ravel()
    yield run(multiply, (one, x[None], None, False))[0].ravel()


def test_operands_become_the_nearest_numbers(way):
    kept, halves = way
    x = hard_to_round(24 - kept)
    for y in both_ways(x):
        np.testing.assert_array_equal(y, nearest(x, kept, halves))


def test_no_nan_becomes_a_number_and_infinity_stays(way):
    patterns = [0x7F800000 | 1 << k for k in range(23)] + [0x7FFFFFFF, 0x7F800000]
    x = from_patterns(patterns + [1 << 31 | bits for bits in patterns])
    for y in both_ways(x):
        np.testing.assert_array_equal(y, x)


def test_products_of_small_whole_numbers_are_exact(way, order):  # noqa: F811
    """In four tiles of 64 x 64 results, three of them cut off, and three steps of 16 terms."""
    draw = np.random.default_rng(1).integers
    x, weight = (draw(-9, 10, size=size).astype(np.float32) for size in ((70, 35), (35, 67)))
    (y,) = run(multiply, (x, weight, None, False))
    np.testing.assert_array_equal(y, x @ weight)


IN_PIECES = {  # for each map, more than 512 terms for each of two groups
    "forward": tables.convolution((2, 3, 2, 1060), (1, 1), 6, groups=2),
    "input_grad": tables.convolution((2, 3, 2, 4), (1, 1), 1060, groups=2),
    "weight_grad": tables.convolution((3, 14, 13, 4), (1, 1), 6, groups=2),
}


@pytest.mark.parametrize("name", IN_PIECES)
def test_the_sums_of_several_groups_are_added_up_from_pieces(name, order):  # noqa: F811
    check_sums(getattr(kernels.conv2d, name), IN_PIECES[name][name], "float64")


@pytest.mark.parametrize("name, C, F", [("forward", 20_000, 1), ("input_grad", 1, 20_000)])
def test_a_tile_of_64_images_does_not_read_what_lies_behind_the_only_one(name, C, F):
    """63 more would be 10 MB: such a read ends this process, as it would end a kernel on a GPU."""
    args = tables.convolution((1, 1, 1, C), (1, 1), F)[name]
    check_sums(getattr(kernels.conv2d, name), args, "float64")
