"""What the tables of test_cuda.py do not ask of the CUDA kernels: bits, digits, NaN, edges."""

import numpy as np
import pytest
from test_cuda import check, on_device, xp  # noqa: F401  xp is a fixture
from test_kernels import PLACES, TRANSFORMS, normal

from minicnn.backend import kernels

batch_norm, layer_norm, warp = kernels.batch_norm, kernels.layer_norm, kernels.warp


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate, seed", [(0.0, 0), (0.3, 11), (0.9, 2**64 - 1), (1.0, 5)])
def test_dropout_makes_the_same_bits_on_every_device(dtype, rate, seed, xp):  # noqa: F811
    x = normal(1, 3001).astype(dtype)
    y = kernels.dropout.apply(xp.asarray(x), rate, seed)
    np.testing.assert_array_equal(y.get(), kernels.dropout.apply(x, rate, seed))


@pytest.mark.parametrize("given", ["bool", "uint8", "int64", "float32", "float64"])
def test_rows_of_any_type_are_converted(given, xp):  # noqa: F811
    x = (3 * normal(1, 7, 2, 3)).astype(given)
    places = np.array([6, 0, 0, 5])
    for dtype in ("float32", "float64"):
        y = kernels.rows.gather(*on_device(xp, (x, places)), dtype)
        np.testing.assert_array_equal(y.get(), x[places].astype(dtype))
        assert y.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (256,), (257,), (90, 3, 5)])
def test_rows_collect_in_the_order_of_the_cpu(shape, dtype, xp):  # noqa: F811
    dy = normal(1, *shape).astype(dtype)
    places = np.random.default_rng(2).integers(0, 7, len(dy))
    dx = kernels.rows.scatter(*on_device(xp, (dy, places)), 9)
    np.testing.assert_array_equal(dx.get(), kernels.rows.scatter(dy, places, 9))
    assert dx.dtype == dtype


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (130, 33), (3000, 5)])
def test_the_moments_of_numbers_far_from_0_keep_their_digits(shape, xp):  # noqa: F811
    x = (1e4 + normal(1, *shape)).astype(np.float32)
    mean, variance = batch_norm.moments(xp.asarray(x))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean.get(), exact.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(variance.get(), exact.var(axis=0), rtol=1e-5, atol=1e-9)


def test_a_mean_that_is_no_float32_is_taken_away_exactly(xp):  # noqa: F811
    x = (1e4 + normal(1, 200, 3)).astype(np.float32)
    dy = normal(2, 200, 3).astype(np.float32)
    line = (x.astype(np.float64).mean(axis=0), np.ones(3), np.zeros(3), False)
    given = on_device(xp, (dy, x, *line))
    check([batch_norm.normalize(*given[1:])], [batch_norm.normalize.reference(x, *line)], "float32")
    check([batch_norm.sums(*given)], [batch_norm.sums.reference(dy, x, *line)], "float32")


@pytest.mark.parametrize("relu", [False, True])
def test_a_shortcut_is_added_before_relu_cuts_off(relu, xp):  # noqa: F811
    x, shortcut = normal(1, 150, 35), normal(2, 150, 35)
    line = (*normal(3, 3, 35), relu)
    y = batch_norm.normalize(*on_device(xp, (x, *line, shortcut)))
    check([y], [batch_norm.normalize.reference(x, *line, shortcut)], "float64")


@pytest.mark.parametrize("shape", [(5, 33), (130, 70)])
def test_batch_norm_of_more_channels_than_a_block_owns(shape, xp):  # noqa: F811
    (x, dy), C = normal(1, 2, *shape), shape[1]
    line = (*normal(2, 3, C), True)
    calls = {
        batch_norm.normalize: (x, *line),
        batch_norm.sums: (dy, x, *line),
        batch_norm.input_grad: (dy, x, *line, normal(3, 3, C)),
    }
    for kernel, args in calls.items():
        check([kernel(*on_device(xp, args))], [kernel.reference(*args)], "float64")
    check(batch_norm.moments(xp.asarray(x)), batch_norm.moments.reference(x), "float64")


def test_no_channels_are_normalized_to_no_numbers(xp):  # noqa: F811
    args = np.ones((2, 0)), *np.ones((3, 0)), True
    check([batch_norm.normalize(*on_device(xp, args))], [args[0]], "float64")


def test_layer_norm_of_numbers_far_from_0_keeps_their_digits(xp):  # noqa: F811
    x = (1e4 + normal(1, 9, 70)).astype(np.float32)
    ones, zeros = np.ones(70, np.float32), np.zeros(70, np.float32)
    y = layer_norm.forward(*on_device(xp, (x, ones, zeros)), 1e-3)
    check([y], [layer_norm.forward.reference(x, ones, zeros, 1e-3)], "float32")


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (300, 2), (2, 33), (2, 700)])
def test_layer_norm_of_any_size(shape, xp):  # noqa: F811
    dy, x, gamma = normal(1, *shape), normal(2, *shape), normal(3, shape[1])
    results = layer_norm.backward(*on_device(xp, (dy, x, gamma)), 1e-3)
    check(results, layer_norm.backward.reference(dy, x, gamma, 1e-3), "float64")


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (129, 33), (20_000, 2)])
def test_sums_of_rows_of_any_size(shape, xp):  # noqa: F811
    x = normal(1, *shape)
    check([kernels.sum_rows.forward(xp.asarray(x))], [x.sum(axis=0)], "float64")


@pytest.mark.parametrize("fill_mode", warp.FILL_MODES)
@pytest.mark.parametrize("bilinear", [True, False], ids=["bilinear", "nearest"])
def test_images_are_warped_in_every_mode(bilinear, fill_mode, xp):  # noqa: F811
    x, settings = normal(1, 2, 4, 5, 3), (bilinear, fill_mode)
    given = on_device(xp, (x, TRANSFORMS))
    expected = warp.gather.reference(x, TRANSFORMS, *settings, 0.5)
    check([warp.gather(*given, *settings, 0.5)], [expected], "float64")
    expected = warp.scatter.reference(x, TRANSFORMS, *settings)
    check([warp.scatter(*given, *settings)], [expected], "float64")


def test_far_below_0_the_normal_probability_keeps_its_digits(xp):  # noqa: F811
    x = np.linspace(-12, 0, 49).astype(np.float32)  # below -13 it is no normal float
    y = kernels.normal_cdf.forward(xp.asarray(x)).get()
    expected = kernels.normal_cdf.forward.reference(x)
    np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(np.float32).eps)


def test_infinite_numbers_and_nan_have_their_normal_probability(xp):  # noqa: F811
    x = np.array([-np.inf, np.inf, np.nan])
    y = kernels.normal_cdf.forward(xp.asarray(x)).get()
    np.testing.assert_array_equal(y, [0, 1, np.nan])


def test_one_nan_spoils_its_row_of_a_softmax_only(xp):  # noqa: F811
    x = normal(1, 3, 40)
    x[1, 35] = np.nan
    y = kernels.softmax.forward(xp.asarray(x)).get()
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()
    loss = kernels.softmax_cross_entropy.forward(*on_device(xp, (x, np.eye(3, 40)))).get()
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])


def test_a_class_that_cannot_be_and_is_not_asked_for_is_no_nan(xp):  # noqa: F811
    given = on_device(xp, (np.array([[0.0, -np.inf]]), np.array([[1.0, 0.0]])))
    assert kernels.softmax_cross_entropy.forward(*given).get() == 0


def test_relu_lets_nan_pass(xp):  # noqa: F811
    x, line = np.full((2, 1), np.nan), (np.zeros(1), np.ones(1), np.zeros(1), True)
    given = on_device(xp, (x, x, *line))
    assert np.isnan(batch_norm.normalize(*given[1:]).get()).all()
    assert np.isnan(kernels.addition.forward(*given[:2], True).get()).all()


def test_a_pixel_that_nothing_is_copied_from_gets_no_gradient(xp):  # noqa: F811
    dy = np.ones((2, 3, 6, 3))
    dx = kernels.augment.scatter(*on_device(xp, (dy, *PLACES)), (2, 4, 5, 3)).get()
    assert (dx[0, 1:3] == 0).all() and (dx[0, 0, 0] == 2).all() and (dx[0, 3, 0] == 4).all()


def test_a_nan_among_the_largest_squares_of_amsgrad_stays(xp):  # noqa: F811
    w, g, m, v, top = (xp.asarray(np.ones(2)) for _ in range(5))
    top[1] = np.nan
    kernels.adam.step(w, g, m, v, top, 0.1, 0.0, 0.9, 0.9, 1e-7)
    np.testing.assert_array_equal(np.isnan(top.get()), [False, True])
    np.testing.assert_array_equal(np.isnan(w.get()), [False, True])
