"""CUDA kernels where one thread, one number or one bit more would not be noticed elsewhere.

Sizes are no multiples of a block's, so that threads beyond the end would write there; tables are
such that the entry behind the last one of an image means something; draws are on the border.
"""

import numpy as np
import pytest
from test_cuda import check, on_device, xp  # noqa: F401  xp is a fixture
from test_kernels import normal

from minicnn.backend import kernels

augment = kernels.augment


@pytest.mark.parametrize("shape", [(40,), (2, 5, 7), (1, 255), (257,)])
def test_relu_passes_nothing_where_it_gave_0_and_adds_up_two_gradients(shape, xp):  # noqa: F811
    y = np.maximum(normal(1, *shape), 0)
    dy, more = normal(2, 2, *shape)
    assert (y == 0).any() and (y > 0).any()
    for args in ((dy, y), (dy, y, more)):
        wanted = [kernels.relu.backward.reference(*args)]
        check([kernels.relu.backward(*on_device(xp, args))], wanted, "float64")


@pytest.mark.parametrize("C", [1, 3])
def test_images_that_fill_no_block_are_gathered_and_scattered(C, xp):  # noqa: F811
    rows, columns = np.array([[1, 2, 0, -1], [0, 1, 2, 2]]), np.array([[1, 0, -1], [1, 1, 0]])
    x, dy = normal(1, 2, 3, 2, C), normal(2, 2, 4, 3, C)
    for kernel, args in (
        (augment.gather, (x, rows, columns, 0.5)),
        (augment.scatter, (dy, rows, columns, x.shape)),
    ):
        check([kernel(*on_device(xp, args))], [kernel.reference(*args)], "float64")


@pytest.mark.parametrize("axis", [1, 2])
def test_images_that_fill_no_block_are_resized(axis, xp):  # noqa: F811
    x = normal(1, 2, 5, 3, 3)
    H = x.shape[axis]
    places, shares = np.array([[0, 1, 2, 0], [H - 1, 1, 0, 2]]), normal(2, 2, 4)
    args = (x, places, shares, axis)
    wanted = kernels.resize.along.reference(*args)
    check([kernels.resize.along(*on_device(xp, args))], [wanted], "float64")


@pytest.mark.parametrize("pixels", [1, 7, 8, 9, 17])
def test_no_pixel_lies_between_the_8_bands_of_an_image(pixels, xp):  # noqa: F811
    """One pixel more than 8 or 16, and the last one lies in a band that has no other."""
    dy = normal(1, 2, 1, 20, 3)
    where = np.random.default_rng(2).integers(pixels, size=dy.shape, dtype=np.int32)
    args, scatter = (dy, where, (2, 1, pixels, 3)), kernels.max_pool2d.scatter
    check([scatter(*on_device(xp, args))], [scatter.reference(*args)], "float64")


@pytest.mark.parametrize("K", [33, 70, 100])
def test_the_threads_of_a_warp_share_many_classes(K, xp):  # noqa: F811
    """Each place has the largest number of a row: without it, exp would be infinite.

    And with that of the row below, which is larger, exp would be 0.
    """
    x, t = normal(1, K, K), np.abs(normal(2, K, K))
    x += np.fliplr(np.diag(2000.0 * np.arange(1, K + 1)))
    t[:, ::3] = 0
    entropy = kernels.softmax_cross_entropy
    for kernel, args in (
        (kernels.softmax.forward, (x,)),
        (entropy.forward, (x, t)),
        (entropy.backward, (normal(3, K), x, t)),
    ):
        check([kernel(*on_device(xp, args))], [kernel.reference(*args)], "float64")


def draws(seed, count):
    """The upper 53 bits of what the numbers are drawn from, as a formula in whole numbers.

    It is splitmix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    """

    def mixed(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    start = mixed(seed)
    return [mixed((start + k * 0x9E3779B97F4A7C15) % 2**64) >> 11 for k in range(1, count + 1)]


def test_a_number_is_kept_whose_draw_is_the_rate_itself(xp):  # noqa: F811
    x = np.ones(5)
    for k, draw in enumerate(draws(seed=7, count=5)):
        for rate, is_kept in ((draw / 2**53, True), ((draw + 1) / 2**53, False)):
            y = kernels.dropout.apply(xp.asarray(x), rate, 7).get()
            assert (y[k] != 0) == is_kept
            np.testing.assert_array_equal(y, kernels.dropout.apply(x, rate, 7))
