"""Warped images: pixels that have no share, and images of one row."""

import numpy as np
import pytest
from test_cuda import check, on_device, xp  # noqa: F401  xp is a fixture
from test_kernels import TRANSFORMS, normal

from minicnn.backend import kernels

warp = kernels.warp
STAY = np.array([[1.0, 0, 0, 0, 1, 0]])
UP_AND_DOWN = np.array([[[1.0, 0, 0, 0, 1, -1]], [[1.0, 0, 0, 0, 1, 1]]])
VERSIONS = pytest.mark.parametrize("version", ["reference", "cpu"])


@VERSIONS
@pytest.mark.parametrize("place", [(0, 1, 1), (0, 2, 3)])
def test_nan_stays_where_it_is_as_its_neighbours_have_no_share_of_it(place, version):
    x = normal(1, 1, 3, 4, 2)
    x[place] = np.nan
    y = getattr(warp.gather, version)(x, STAY, True, "constant", np.nan)
    np.testing.assert_array_equal(y, x)
    for fill_mode in warp.FILL_MODES:
        dx = getattr(warp.scatter, version)(x, STAY, True, fill_mode)
        np.testing.assert_array_equal(dx, x)


def test_nan_stays_where_it_is_on_a_gpu(xp):  # noqa: F811
    x = normal(1, 1, 3, 4, 2)
    x[0, 1, 1] = np.nan
    given = on_device(xp, (x, STAY))
    check([warp.gather(*given, True, "constant", np.nan)], [x], "float64")
    check([warp.scatter(*given, True, "constant")], [x], "float64")


@VERSIONS
@pytest.mark.parametrize("bilinear", [False, True])
def test_beside_an_image_of_one_row_all_is_filled(bilinear, version):
    x = normal(1, 1, 1, 4, 2)
    gather, scatter = getattr(warp.gather, version), getattr(warp.scatter, version)
    for transform in UP_AND_DOWN:
        settings = transform, bilinear, "constant"
        assert (gather(x, *settings, 0.5) == 0.5).all()
        assert (scatter(x, *settings) == 0).all()


def test_the_last_row_of_images_gets_its_gradient_in_a_block_of_its_own(xp):  # noqa: F811
    dy, settings = normal(1, 1, 13, 2, 5), (True, "constant")  # 65 rows, 64 threads in a block
    dx = warp.scatter(*on_device(xp, (dy, TRANSFORMS[:1])), *settings)
    check([dx], [warp.scatter.reference(dy, TRANSFORMS[:1], *settings)], "float64")
