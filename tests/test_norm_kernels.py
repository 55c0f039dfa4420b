"""The CPU kernels that normalise, where runs of rows are so short that every loop is entered."""

import numpy as np
import pytest
from test_kernels import normal

from minicnn.backend import kernels

batch_norm, layer_norm = kernels.batch_norm, kernels.layer_norm
WIDTH, ROWS = 20, 18  # in place of 128 and 64
# (R, C) of x; a run has 18 wide rows, of which 2 make its center and 16 are taken four at a time
SHAPES = {
    "wide rows of 32 pixels": (2 * 18 * 32 + 7 * 32 + 5, 1),
    "wide rows of 16 pixels": (18 * 16 + 9 * 16 + 15, 3),
    "the last run is a wide row that is not full": (2 * 18 * 16 + 5, 3),
    "the last run is one number": (18 * 32 + 1, 1),
    "the last run is full": (2 * 18 * 2, 16),
    "wide rows of 4 pixels": (18 * 4 + 17 * 4 + 1, 12),
    "wide rows of one pixel": (2 * 18 + 11, 41),
    "fewer than four": (3, 41),
    "one pixel": (1, 5),
}


@pytest.fixture
def short_runs(monkeypatch):
    monkeypatch.setattr(batch_norm, "WIDTH", WIDTH)
    monkeypatch.setattr(batch_norm, "ROWS", ROWS)
    monkeypatch.setattr(batch_norm, "RUN", 1)


def arguments(shape):
    """x, dy, (mean, scale, shift) and slopes; the means of runs and of channels differ."""
    R, C = shape
    x = normal(1, R, C) + np.linspace(-2, 2, R)[:, None] + np.linspace(-1, 3, C)
    return x, normal(2, R, C), (normal(3, C), normal(4, C), normal(5, C)), normal(6, 3, C)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_moments_of_short_runs_are_put_together(shape, short_runs):
    x, *_ = arguments(shape)
    mean, variance = batch_norm.moments(x)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_kernels_of_short_runs_agree_with_the_reference(shape, relu, short_runs):
    x, dy, line, slopes = arguments(shape)
    calls = {
        batch_norm.normalize: (x, *line, relu),
        batch_norm.sums: (dy, x, *line, relu),
        batch_norm.input_grad: (dy, x, *line, relu, slopes),
    }
    for kernel, args in calls.items():
        result, expected = kernel(*args), kernel.reference(*args)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11, err_msg=kernel.name)
    args = x, *line, relu, dy
    expected = batch_norm.normalize.reference(*args)
    np.testing.assert_allclose(batch_norm.normalize(*args), expected, rtol=0, atol=1e-13)


def test_there_may_be_more_runs_than_numbers_in_each(monkeypatch):
    for constant in ("WIDTH", "ROWS", "RUN"):
        monkeypatch.setattr(batch_norm, constant, 1)
    x, dy, line, slopes = arguments((20, 16))
    for kernel, args in {
        batch_norm.normalize: (x, *line, True, dy),
        batch_norm.sums: (dy, x, *line, True),
        batch_norm.input_grad: (dy, x, *line, True, slopes),
    }.items():
        np.testing.assert_allclose(kernel(*args), kernel.reference(*args), rtol=0, atol=1e-12)


@pytest.mark.parametrize("version", ["reference", "cpu"])
@pytest.mark.parametrize("shape", [(2, 0), (0, 3)], ids=str)
def test_no_channels_or_rows_are_normalized_to_no_numbers(shape, version):
    y = getattr(batch_norm.normalize, version)(np.ones(shape), *np.ones((3, shape[1])), True)
    assert y.shape == shape


@pytest.mark.parametrize("C, width", [(1, 128), (3, 144), (100, 400), (128, 128), (129, 129)])
def test_a_wide_row_fills_registers_with_few_channels_and_is_a_pixel_of_more(C, width):
    assert batch_norm.wide_row(C) == width


def test_a_run_is_as_large_as_its_numbers_or_its_wide_rows_ask_for():
    assert batch_norm._run_length(128) == 65_536 == batch_norm.RUN
    assert batch_norm._run_length(144) == 144 * (65_536 // 144)
    assert batch_norm._run_length(2048) == 64 * 2048 == batch_norm.ROWS * 2048
    assert [layer_norm._rows(C) for C in (1, 100, 16_384, 50_000)] == [16_384, 163, 1, 1]


def test_a_quarter_of_a_run_is_made_of_whole_wide_rows():
    ends = [96 + 3 * 48, 96 + 4 * 48 - 1, 96 + 4 * 48, 96 + 11 * 48 + 47]
    assert [batch_norm._quarter(96, end, 48) for end in ends] == [0, 0, 48, 96]


@pytest.mark.parametrize(
    "count, of_center", [(1, 1), (48, 48), (16 * 48, 48), (16 * 48 + 1, 96), (33 * 48, 3 * 48)]
)
@pytest.mark.parametrize("C", [1, 3])
def test_the_center_is_the_mean_of_the_first_sixteenth_of_a_run(C, count, of_center):
    begin, width = 96, 48
    count += -count % C
    x = np.random.default_rng(0).integers(-1000, 1000, 3000).astype(float)
    center, mean = np.full(width, np.nan), np.empty(C)
    batch_norm._center(x, begin, begin + count, center, mean)
    early = x[begin : begin + max(C, of_center)].reshape(-1, C)
    np.testing.assert_allclose(center.reshape(-1, C) - early.mean(axis=0), 0, atol=1e-12)


def test_a_variance_beside_a_large_mean_keeps_its_digits(short_runs):
    # no digit of a distance from any of these numbers is lost, but all of a square of one
    x = (2.0**22 + np.random.default_rng(0).integers(-4, 5, (700, 3))).astype(np.float32)
    mean, variance = batch_norm.moments(x)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(variance, x.astype(float).var(axis=0), rtol=1e-6)


def whole_numbers(R, C):
    """x, dy and (mean, scale, shift) of which float32 loses nothing but some of each mean."""
    integers = np.random.default_rng(0).integers
    x, dy = 1000 + integers(-3, 4, (R, C)), integers(-3, 4, (R, C))
    lost = 2.0**-21 * (1 + np.arange(C))
    line = 1000 + lost, 2.0 ** integers(-2, 3, C) * (-1) ** np.arange(C), 2.0**-9 * np.arange(C)
    assert (line[0].astype(np.float32) == 1000).all()
    return x.astype(np.float32), dy.astype(np.float32), line


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), (700, 3), (50, 40)], ids=str)
def test_what_float32_loses_of_a_mean_is_put_back(shape, relu, short_runs):
    x, dy, line = whole_numbers(*shape)
    z = batch_norm.normalize(x, *line, relu)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(z, batch_norm.normalize.reference(x, *line, relu))
    args = dy, x, *line, relu
    np.testing.assert_array_equal(batch_norm.sums(*args), batch_norm.sums.reference(*args))
    slopes = normal(1, 3, shape[1])
    slopes[:, 0] = 0, 1024, 1024 * 2.0**-21  # what is lost, which leaves whole numbers
    dx = batch_norm.input_grad(*args, slopes)
    assert dx.dtype == np.float32
    expected = batch_norm.input_grad.reference(*args, slopes)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=4e-6)
    np.testing.assert_array_equal(dx[:, 0], 1024 * (x[:, 0] - 1000))


@pytest.mark.parametrize("version", ["reference", "cpu"])
@pytest.mark.parametrize("rows", [1, 4, 23])
def test_a_gradient_passes_relu_above_0_only(rows, version, short_runs):
    normalize, sums, input_grad = (
        getattr(kernel, version)
        for kernel in (batch_norm.normalize, batch_norm.sums, batch_norm.input_grad)
    )
    x = np.tile([[-1.0, 0.0, 2.0**-20, 1.0]], (rows, 1))
    dy, line = 3 * np.ones((rows, 4)), (np.zeros(4), np.ones(4), np.zeros(4), True)
    slopes = np.array([[1], [0], [0]]) * np.ones(4)
    np.testing.assert_array_equal(input_grad(dy, x, *line, slopes), 3 * (x > 0))
    expected = [3 * rows * (x[0] > 0), 3 * rows * np.maximum(x[0], 0)]
    np.testing.assert_array_equal(sums(dy, x, *line), expected)
    np.testing.assert_array_equal(normalize(x, *line), np.maximum(x, 0))


@pytest.mark.parametrize("rows", [1, 4, 23])
def test_nan_passes_relu_and_spoils_its_channel_only(rows, short_runs):
    x, line = np.ones((rows, 5)), (np.zeros(5), np.ones(5), np.zeros(5), True)
    x[rows // 2, 1] = np.nan
    place = np.isnan(x)
    for moment in batch_norm.moments(x):
        np.testing.assert_array_equal(np.isnan(moment), place.any(axis=0))
    np.testing.assert_array_equal(batch_norm.normalize(x, *line), x)
    np.testing.assert_array_equal(batch_norm.normalize(np.ones_like(x), *line, x), x + 1)
    sums = batch_norm.sums(np.ones_like(x), x, *line)
    np.testing.assert_array_equal(sums, [np.full(5, rows), x.sum(axis=0)])
    slopes = np.ones((3, 5))
    dx = batch_norm.input_grad(np.ones_like(x), x, *line, slopes)
    np.testing.assert_array_equal(dx, x + 2)


def test_an_infinite_mean_makes_nan_without_a_warning():
    mean, one = np.array([np.inf, 0]), np.ones(2)
    y = batch_norm.normalize(np.zeros((2, 2)), mean, one, one, False)
    np.testing.assert_array_equal(y, [[np.nan, 1]] * 2)
