"""CUDA kernels that look through windows, where one pixel more would not be noticed elsewhere.

The windows overlap or leave gaps, have other sizes and strides down than across, and reach beyond
all four sides of an image, each by another number of pixels. Results fill several blocks, the last
of them partly, or one block exactly.
"""

import pytest
from test_cuda import check, xp  # noqa: F401  xp is a fixture
from test_kernels import NO_PADDING, normal

from minicnn.backend import kernels

average_pool2d = kernels.average_pool2d

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
