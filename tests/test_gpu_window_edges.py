"""CUDA kernels that look through windows, where one pixel more would not be noticed elsewhere.

The windows overlap or leave gaps, have other sizes and strides down than across, and reach beyond
all four sides of an image, each by another number of pixels. Results fill several blocks, the last
of them partly, or one block exactly.
"""

import numpy as np
import pytest
from test_cuda import check, on_device, xp  # noqa: F401  xp is a fixture
from test_kernels import NO_PADDING, convolution, in_dtype, normal

from minicnn.backend import kernels

average_pool2d, conv2d = kernels.average_pool2d, kernels.conv2d

AVERAGES = {  # shape of the images, window, strides, padding
    "one pixel": ((1, 1, 1, 1), (1, 1), (1, 1), NO_PADDING),
    "windows apart": ((2, 8, 11, 3), (2, 3), (3, 4), ((1, 0), (2, 1))),
    "windows that overlap": ((3, 6, 7, 5), (4, 3), (1, 2), ((2, 3), (1, 2))),
    "windows wider than an image": ((2, 3, 2, 7), (5, 6), (2, 1), ((3, 4), (4, 5))),
    "one row": ((2, 1, 9, 4), (1, 3), (1, 1), ((0, 0), (1, 1))),
    "one column": ((2, 9, 1, 4), (3, 1), (2, 1), ((2, 1), (0, 0))),
    "rows and columns that no window sees": ((2, 8, 9, 2), (2, 3), (5, 4), NO_PADDING),
    "one block": ((1, 8, 8, 4), (3, 3), (1, 1), ((1, 1), (1, 1))),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", AVERAGES.values(), ids=AVERAGES)
def test_averages_are_taken_over_the_pixels_inside(case, dtype, xp):  # noqa: F811
    shape, *where = case
    x = normal(1, *shape)
    y = average_pool2d.forward.reference(x, *where)
    check([average_pool2d.forward(xp.asarray(x.astype(dtype)), *where)], [y], dtype)
    dy = normal(2, *y.shape)
    dx = average_pool2d.spread.reference(dy, shape, *where)
    check([average_pool2d.spread(xp.asarray(dy.astype(dtype)), shape, *where)], [dx], dtype)


def depthwise(x_shape, window, F, *arrangement):
    """Arguments of all three maps; arrangement: strides, padding and dilation."""
    return convolution(x_shape, window, F, *arrangement, groups=x_shape[3])


DEPTHWISE = {
    "one pixel": depthwise((1, 1, 1, 1), (1, 1), 1),
    "windows apart": depthwise((2, 9, 11, 3), (2, 3), 6, (3, 4), ((1, 0), (2, 1))),
    "windows that overlap": depthwise((2, 6, 7, 5), (4, 3), 35, (1, 2), ((2, 3), (1, 2))),
    "windows full of holes": depthwise((2, 7, 9, 4), (2, 3), 8, (2, 1), ((2, 1), (1, 3)), (3, 2)),
    "strides and holes": depthwise((1, 9, 8, 33), (3, 2), 33, (2, 3), ((1, 2), (3, 1)), (2, 3)),
    "windows wider than an image": depthwise((2, 3, 2, 7), (5, 6), 7, (2, 1), ((3, 4), (4, 5))),
    "full blocks": depthwise((1, 4, 4, 64), (3, 3), 64, (1, 1), ((1, 1), (1, 1))),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("maps", DEPTHWISE.values(), ids=DEPTHWISE)
def test_each_channel_meets_its_own_filters(maps, pieces, dtype, xp, monkeypatch):  # noqa: F811
    """The sums over all places are cut into several pieces, which else only long ones are."""
    monkeypatch.setattr(conv2d, "pieces", lambda tiles, terms: pieces)
    for name, args in maps.items():
        kernel = getattr(conv2d, name)
        check([kernel(*on_device(xp, in_dtype(args, dtype)))], [kernel.reference(*args)], dtype)


def test_bias_is_added_to_a_depthwise_convolution_before_relu_cuts_off(xp):  # noqa: F811
    x, weight, *_, strides, padding, dilation, groups = DEPTHWISE["windows apart"]["forward"]
    where = strides, padding, dilation, groups
    for relu in (False, True):
        args = x, weight, normal(3, weight.shape[3]), relu, *where
        expected = conv2d.forward.reference(*args)
        assert (expected < 0).any() != relu
        check([conv2d.forward(*on_device(xp, args))], [expected], "float64")


def test_pieces_of_a_sum_have_equally_many_places(xp, monkeypatch):  # noqa: F811
    """Where all numbers are 1, the sum of a piece is the number of its places."""
    monkeypatch.setattr(conv2d, "pieces", lambda tiles, terms: 3)
    monkeypatch.setattr(conv2d, "add_pieces", lambda parts, *_: parts)
    ones = xp.asarray(np.ones((2, 3, 4, 2)))
    parts = conv2d.weight_grad(ones, ones, (1, 1, 1, 2), (1, 1), NO_PADDING, (1, 1), 2)
    np.testing.assert_array_equal(parts.get(), np.full((3, 1, 1, 1, 2), 2 * 3 * 4 / 3))
