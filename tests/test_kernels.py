"""The kernels of convolution, pooling and their kin: every version against the reference.

The reference runs in float64 on the same numbers. A float32 result that is a sum of K products
t[1] ... t[K] is off by rounding: by about 2^-24 times the root of K times the root of the sum of
t[k]^2. `rounding_errors` counts in that unit, which one more run of the reference on squared inputs
gives. Right kernels stay under 8; inputs rounded to fewer bits would give a hundred and more.
"""

import dataclasses
import importlib

import numba
import numpy as np
import pytest

from minicnn.backend import kernels
from minicnn.ops.window import place_window

conv2d, max_pool2d, average_pool2d = kernels.conv2d, kernels.max_pool2d, kernels.average_pool2d

from minicnn.kernels import precision, prefetch, sweep  # noqa: E402  conv2d has imported them
from minicnn.kernels.compiling import compiled  # noqa: E402

NO_PADDING = ((0, 0), (0, 0))


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def arrangement(x_shape, window, strides, padding, dilation, groups):
    """The last arguments of a convolution kernel; padding may also be given in numbers."""
    if isinstance(padding, str):
        extent = tuple(d * (p - 1) + 1 for d, p in zip(dilation, window, strict=True))
        strides, padding = place_window("test", x_shape, extent, strides, padding)
    return strides, padding, dilation, groups


def convolution(x_shape, window, F, strides=(1, 1), padding="valid", dilation=(1, 1), groups=1):
    """(name, arguments) of all three maps for one configuration, in float64."""
    where = arrangement(x_shape, window, strides, padding, dilation, groups)
    x, weight = normal(1, *x_shape), normal(2, *window, x_shape[3] // groups, F)
    y = conv2d.forward.reference(x, weight, None, False, *where)
    dy = normal(3, *y.shape)
    return {
        "forward": (x, weight, None, False, *where),
        "input_grad": (dy, weight, x_shape, *where),
        "weight_grad": (x, dy, weight.shape, *where),
    }


# sizes below, at and above those of a tile: 14 pixels, vectors of 4, 8 or 16 numbers
CONVOLUTIONS = {
    "smallest": convolution((1, 1, 1, 1), (1, 1), 1),
    "tutorial, first layer": convolution((2, 32, 32, 3), (3, 3), 32),
    "tutorial, second layer": convolution((3, 15, 15, 32), (3, 3), 64),
    "tutorial, third layer": convolution((5, 6, 6, 64), (3, 3), 128),
    "same": convolution((2, 9, 31, 5), (3, 3), 17, padding="same"),
    "same, even window": convolution((2, 6, 5, 4), (4, 2), 8, padding="same"),
    "strides": convolution((2, 11, 9, 3), (3, 3), 10, strides=(2, 3)),
    "strides, same": convolution((2, 8, 8, 6), (3, 3), 16, strides=(2, 2), padding="same"),
    "7x7 with strides": convolution((1, 30, 29, 3), (7, 7), 20, strides=(2, 2), padding="same"),
    "strides larger than the window": convolution((2, 10, 11, 4), (2, 1), 3, strides=(3, 4)),
    "strides larger than the image": convolution((2, 3, 2, 4), (1, 1), 3, strides=(5, 4)),
    "dilation": convolution((2, 12, 13, 3), (3, 2), 9, dilation=(2, 3)),
    "dilation, same": convolution((2, 9, 9, 4), (3, 3), 33, padding="same", dilation=(2, 2)),
    "groups": convolution((2, 7, 8, 6), (3, 3), 9, padding="same", groups=3),
    "groups with strides": convolution((2, 9, 9, 8), (3, 3), 64, strides=(2, 2), groups=2),
    "depthwise": convolution((2, 10, 9, 11), (3, 3), 11, padding="same", groups=11),
    "depthwise, vectors": convolution((2, 9, 20, 64), (3, 3), 64, padding="same", groups=64),
    "depthwise with strides": convolution(
        (2, 15, 14, 32), (3, 3), 32, strides=(2, 2), padding="same", groups=32
    ),
    "depthwise, strides 3 and 5": convolution((2, 9, 11, 5), (2, 3), 5, strides=(3, 5), groups=5),
    "depthwise, dilation": convolution(
        (1, 14, 12, 17), (3, 3), 17, padding="same", dilation=(2, 3), groups=17
    ),
    "depthwise, several filters": convolution((2, 8, 9, 6), (3, 2), 18, padding="same", groups=6),
    "depthwise, 7x7": convolution((1, 12, 10, 48), (7, 7), 48, padding="same", groups=48),
    "depthwise, long sums": convolution((5, 40, 33, 16), (3, 3), 16, padding="same", groups=16),
    "1x1": convolution((2, 5, 6, 70), (1, 1), 48),
    "wide padding": convolution((2, 4, 5, 3), (2, 2), 5, padding=((3, 4), (5, 2))),
    "many channels": convolution((1, 4, 4, 300), (3, 3), 200, padding="same"),
    "filters larger than the cache": convolution((1, 5, 5, 256), (3, 3), 80),
    "few filters": convolution((3, 6, 32, 16), (3, 3), 16, padding="same"),
    "few filters, rows of 17 pixels": convolution((2, 5, 17, 7), (2, 5), 6),
    "few filters, as many places as columns": convolution((4, 6, 5, 19), (3, 3), 8),
    "few filters, fewer places than columns": convolution((4, 6, 4, 19), (3, 3), 8),
    "few filters, rows longer than a stretch": convolution((1, 3, 4, 1500), (2, 3), 3),
    "rows of one pixel": convolution((3, 20, 1, 7), (3, 1), 12),
    "a long row": convolution((1, 1, 100, 2), (1, 3), 16),
    "1x2 pixels of 130 filters": convolution((1, 3, 4, 2), (3, 3), 130),
}


def random_convolution(seed, each_alone=False):
    rng = np.random.default_rng(seed)
    N, H, W = (int(n) for n in rng.integers(1, [4, 14, 20]))
    groups = int(rng.choice([1, 1, 2, 3]))
    C, F = groups * int(rng.integers(1, 20)), groups * int(rng.integers(1, 40))
    if each_alone:
        groups = C = int(rng.choice([2, 3, 7, 16, 17, 32, 40, 100]))
        F = C * int(rng.choice([1, 1, 1, 2, 3]))
    strides, dilation = (1, 1), (1, 1)
    if rng.random() < 0.5:
        strides = tuple(int(n) for n in rng.integers(1, 4, 2))
    else:
        dilation = tuple(int(n) for n in rng.integers(1, 3, 2))
    padding = ("same", ((1, 2), (0, 3)))[rng.integers(2)]
    room = (H, W) if padding == "same" else (H + 3, W + 3)
    window = tuple(
        1 + int(rng.integers(max(1, (n - 1) // d)) % 5) for n, d in zip(room, dilation, strict=True)
    )
    return convolution((N, H, W, C), window, F, strides, padding, dilation, groups)


def is_floating(argument):
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def in_dtype(args, dtype):
    """`args` with their floating point arrays in `dtype`."""
    return [a.astype(dtype) if is_floating(a) else a for a in args]


def rounding_errors(result, kernel, args, dtype):
    """The largest error of `result`, in units of what rounding explains; see the top."""
    rounded = in_dtype(in_dtype(args, dtype), np.float64)
    squared = [a**2 if is_floating(a) else a for a in rounded]
    counted = [np.ones_like(a) if is_floating(a) else a for a in rounded]
    exact = kernel.reference(*rounded)
    scale = np.sqrt(kernel.reference(*squared) * kernel.reference(*counted))
    error = np.abs(result - exact) / np.where(scale == 0, 1, scale)
    return (error / (np.finfo(dtype).eps / 2)).max(initial=0)


def check_convolution(maps, dtype):
    for name, args in maps.items():
        kernel = getattr(conv2d, name)
        given = in_dtype(args, dtype)
        result = kernel(*given)
        assert result.dtype == dtype
        assert result.shape == kernel.reference(*args).shape
        assert rounding_errors(result, kernel, given, dtype) < 8, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_agrees_with_the_reference(name, dtype):
    check_convolution(CONVOLUTIONS[name], dtype)


@pytest.mark.parametrize("seed", range(50))
def test_any_convolution_agrees_with_the_reference(seed):
    check_convolution(random_convolution(seed), ["float32", "float64"][seed % 2])


@pytest.mark.parametrize("seed", range(30))
def test_any_depthwise_convolution_agrees_with_the_reference(seed):
    maps = random_convolution(seed, each_alone=True)
    check_convolution(maps, ["float32", "float64"][seed % 2])


def test_operands_are_rounded_within_a_block_only():
    x = np.float32([[1 + 2**-9]])
    with precision.rounding_to("bfloat16"):
        assert kernels.matmul.input_grad(x, x) == 1
    assert kernels.matmul.input_grad(x, x) == x * x


def test_halves_become_the_even_number_of_bfloat16():
    x = 1 + np.float32([1, 3, 5, 7]) / 2**8
    np.testing.assert_array_equal(precision.to_bfloat16(x), 1 + np.float32([0, 4, 4, 8]) / 2**8)


def test_rounded_inputs_would_be_noticed():
    args = in_dtype(CONVOLUTIONS["tutorial, second layer"]["forward"], "float32")
    x = args[0].view(np.int32) & ~0x1FFF  # 10 bits of the fraction are left, as in TF32
    result = conv2d.forward(x.view(np.float32), *args[1:])
    assert rounding_errors(result, conv2d.forward, args, "float32") > 50


@pytest.mark.parametrize(
    "name",
    [
        "tutorial, first layer",
        "same",
        "1x2 pixels of 130 filters",
        "depthwise",
        "depthwise, several filters",
    ],
)
def test_bias_and_relu_are_added_on_the_way(name):
    x, weight, _, _, *where = CONVOLUTIONS[name]["forward"]
    bias = normal(4, weight.shape[3])
    args = (x, weight, bias, True, *where)
    np.testing.assert_allclose(
        conv2d.forward(*args), conv2d.forward.reference(*args), rtol=0, atol=1e-12
    )


def test_long_sums_add_bias_once_and_cut_off_last():
    # a window of 9 * 400 numbers is added up in several stretches: see sweep.py
    x, weight, bias = normal(1, 1, 5, 5, 400), normal(2, 3, 3, 400, 160), 50 * normal(3, 160)
    args = (x, weight, bias, True, (1, 1), NO_PADDING, (1, 1), 1)
    expected = conv2d.forward.reference(*args)
    assert 0.2 < (expected == 0).mean() < 0.8
    np.testing.assert_allclose(conv2d.forward(*args), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("padding", [NO_PADDING, ((1, 1), (1, 1))])
def test_memory_that_is_asked_for_ahead_is_left_alone(padding):
    x, weight = normal(1, 3, 150, 150, 8), normal(2, 3, 3, 8, 5)
    g, _ = conv2d.geometry(x.shape, weight.shape, ((1, 1), padding, (1, 1), 1))
    assert sweep.plan(g, x.dtype, 2)[1].asks
    args = (x, weight, None, False, (1, 1), padding, (1, 1), 1)
    expected = conv2d.forward.reference(*args)
    np.testing.assert_allclose(conv2d.forward(*args), expected, rtol=0, atol=1e-12)


@compiled
def _ask_for(x, at, count):
    prefetch.fetch_run(x, at, count)
    prefetch.claim_run(x, at, count)


@pytest.mark.parametrize("at", [0, 5, 90, 1000])
def test_to_ask_for_memory_changes_nothing_even_past_its_end(at):
    x = normal(1, 100)
    expected = x.copy()
    _ask_for(x, at, 50)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_outputs_are_written_past_the_caches_with_the_same_bits(dtype, monkeypatch):
    x, weight = normal(1, 2, 40, 30, 20).astype(dtype), normal(2, 3, 3, 20, 80).astype(dtype)
    bias, where = normal(3, 80).astype(dtype), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    expected = conv2d.forward(x, weight, bias, True, *where).copy()
    sweep = importlib.import_module("minicnn.kernels.sweep")
    monkeypatch.setattr(sweep, "CACHED_BYTES", 0)
    y = conv2d.forward(x, weight, bias, True, *where)
    assert sweep._passes_caches(y, 80, sweep.lanes(y.dtype))
    np.testing.assert_array_equal(y, expected)


def test_the_reference_is_the_formula():
    x, weight, _, _, (s, t), padding, (d, e), groups = CONVOLUTIONS["groups"]["forward"]
    y = conv2d.forward.reference(x, weight, None, False, (s, t), padding, (d, e), groups)
    (top, _), (left, _) = padding
    P, Q, K, F = weight.shape
    expected = np.zeros_like(y)
    for n, i, j, f in np.ndindex(y.shape):
        group = f // (F // groups)
        for p, q, k in np.ndindex(P, Q, K):
            h, w = s * i + d * p - top, t * j + e * q - left
            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                expected[n, i, j, f] += x[n, h, w, group * K + k] * weight[p, q, k, f]
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_three_sums_of_a_convolution_are_one(name):
    maps = CONVOLUTIONS[name]
    x, weight = maps["forward"][:2]
    dy = maps["input_grad"][0]
    y, dx, dw = (getattr(conv2d, m)(*maps[m]) for m in ("forward", "input_grad", "weight_grad"))
    np.testing.assert_allclose([np.vdot(dx, x), np.vdot(dw, weight)], np.vdot(y, dy))


def test_an_empty_batch_is_no_error():
    x, weight = np.zeros((0, 5, 5, 2)), np.ones((3, 3, 2, 4))
    where = ((1, 1), NO_PADDING, (1, 1), 1)
    y = conv2d.forward(x, weight, None, False, *where)
    assert y.shape == (0, 3, 3, 4)
    assert conv2d.input_grad(y, weight, x.shape, *where).shape == x.shape
    assert not conv2d.weight_grad(x, y, weight.shape, *where).any()


def test_an_empty_batch_of_a_depthwise_convolution_is_no_error():
    x, weight = np.zeros((0, 5, 5, 2)), np.ones((3, 3, 1, 2))
    where = ((1, 1), NO_PADDING, (1, 1), 2)
    y = conv2d.forward(x, weight, None, False, *where)
    assert y.shape == (0, 3, 3, 2)
    assert conv2d.input_grad(y, weight, x.shape, *where).shape == x.shape
    assert not conv2d.weight_grad(x, y, weight.shape, *where).any()


@pytest.mark.parametrize("C, F", [(0, 4), (2, 0), (0, 0)])
@pytest.mark.parametrize("groups", [1, 2])
def test_without_channels_or_filters_a_convolution_adds_up_nothing(C, F, groups):
    x, weight, bias = np.ones((2, 5, 5, C)), np.ones((3, 3, C // groups, F)), np.arange(F) - 2.0
    where = ((1, 1), NO_PADDING, (1, 1), groups)
    y = conv2d.forward(x, weight, bias, True, *where)
    np.testing.assert_array_equal(y, np.broadcast_to(np.maximum(bias, 0), (2, 3, 3, F)))
    dx = conv2d.input_grad(y, weight, x.shape, *where)
    np.testing.assert_array_equal(dx, np.zeros(x.shape))
    assert conv2d.weight_grad(x, y, weight.shape, *where).shape == weight.shape


def test_nan_passes_through_a_depthwise_convolution_of_its_channel():
    x = np.ones((1, 3, 3, 20), np.float32)
    x[0, 0, 0, 3], x[0, 2, 2, 19] = np.nan, -np.inf
    weight = np.ones((2, 2, 1, 20), np.float32)
    y = conv2d.forward(x, weight, None, True, (1, 1), NO_PADDING, (1, 1), 20)
    np.testing.assert_array_equal(y[..., 3].ravel(), [np.nan, 4, 4, 4])
    np.testing.assert_array_equal(y[..., 19].ravel(), [4, 4, 4, 0])
    assert np.isfinite(y[..., 4:]).all()


def test_nan_and_infinity_pass_through_a_convolution():
    x = np.ones((1, 3, 3, 1), np.float32)
    x[0, 0, 0, 0], x[0, 2, 2, 0] = np.nan, np.inf
    weight = np.ones((2, 2, 1, 1), np.float32)
    with np.errstate(invalid="ignore"):  # of the compiled kernel, NumPy knows nothing anyway
        y = conv2d.forward(x, weight, None, True, (1, 1), NO_PADDING, (1, 1), 1)
    np.testing.assert_array_equal(y.ravel(), [np.nan, 4, 4, np.inf])


WINDOWS = [  # (P, Q), (s, t), padding
    ((2, 2), (2, 2), "valid"),
    ((3, 3), (2, 2), "same"),
    ((3, 2), (1, 1), "same"),
    ((4, 3), (2, 3), "same"),
    ((2, 2), (3, 3), "valid"),
    ((1, 1), (3, 2), "valid"),
    ((7, 6), (1, 1), "valid"),
    ((2, 4), (2, 1), "same"),
]


def pooling(window, strides, padding, seed=0):
    """Arguments of the pooling kernels, with many ties, some NaN and some infinities."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 3, size=(2, 7, 6, 5)).astype(np.float64)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.3] = -np.inf
    where = place_window("test", x.shape, window, strides, padding)
    y, winners = max_pool2d.forward.reference(x, window, *where)
    dy, smooth = rng.normal(size=y.shape), rng.normal(size=x.shape)
    return {
        "max_pool2d.forward": (x, window, *where),
        "max_pool2d.gather": (x, winners),
        "max_pool2d.scatter": (dy, winners, x.shape),
        "average_pool2d.forward": (smooth, window, *where),
        "average_pool2d.spread": (dy, x.shape, window, *where),
    }


PLACES = (  # rows (N, I) and columns (N, J) of images of 4 x 5 pixels; -1 is outside
    np.array([[0, 3, 3], [2, -1, 1]]),
    np.array([[4, 3, 2, 1, 0, 0], [-1, -1, 0, 1, 4, -1]]),
)


TRANSFORMS = np.array([[0.7, -0.8, 1.5, 0.6, 0.9, -2.25], [1.5, 0.25, -9.5, 0.25, -2.5, 11.75]])


def simple():
    """Arguments of the other kernels of this file's kind; some fill blocks of 256 exactly."""
    return {
        "relu.forward": (normal(1, 3, 40, 50, 9),),
        "relu.backward": (normal(1, 3, 40, 50, 9), normal(2, 3, 40, 50, 9)),
        "sigmoid.sigmoid": (9 * normal(1, 3, 40, 50, 3),),
        "sigmoid.tanh": (9 * normal(1, 3, 40, 50, 3),),
        "sigmoid.sigmoid_grad": (normal(1, 3, 40, 50, 9), normal(2, 3, 40, 50, 9)),
        "sigmoid.tanh_grad": (normal(1, 3, 40, 50, 9), normal(2, 3, 40, 50, 9)),
        "matmul.multiply": (normal(1, 45, 37), normal(2, 37, 70), normal(3, 70), True),
        "matmul.input_grad": (normal(1, 45, 37), normal(2, 70, 37)),
        "matmul.weight_grad": (normal(1, 45, 37), normal(2, 45, 70)),
        "softmax.forward": (normal(1, 45, 37),),
        "rows.gather": (normal(1, 9, 8, 4), np.array([8, 0, 3, 3] * 4), "float32"),
        "rows.scatter": (normal(1, 16, 8, 4), np.array([0, 5, 3, 3] * 3 + [5, 8, 3, 0]), 9),
        "augment.gather": (normal(1, 2, 4, 5, 64), *PLACES, 0.5),
        "augment.scatter": (normal(2, 2, 3, 6, 64), *PLACES, (2, 4, 5, 64)),
        "warp.gather": (normal(1, 2, 4, 5, 64), TRANSFORMS, True, "constant", 0.5),
        "warp.scatter": (normal(2, 2, 4, 5, 64), TRANSFORMS, True, "reflect"),
        "layer_norm.forward": (normal(1, 45, 37), normal(2, 37), normal(3, 37), 0.001),
        "layer_norm.backward": (normal(1, 45, 37), normal(2, 45, 37), normal(3, 37), 0.001),
        "resize.along": (
            normal(1, 2, 4, 8, 32),
            np.array([[0, 3, 3], [2, 1, 0]]),
            normal(2, 2, 3),
            1,
        ),
    }


def kernel_named(name):
    return kernels.all_kernels()[name]


def outputs(version, args):
    results = version(*args)
    return results if isinstance(results, tuple) else (results,)


def check_equal(name, args, dtype):
    kernel, given = kernel_named(name), in_dtype(args, dtype)
    pairs = zip(outputs(kernel, given), outputs(kernel.reference, given), strict=True)
    for one, other in pairs:
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=0, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("name", pooling(*WINDOWS[0]))
def test_pooling_agrees_with_the_reference(name, window, dtype):
    check_equal(name, pooling(*window)[name], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", simple())
def test_simple_kernels_agree_with_the_reference(name, dtype):
    check_equal(name, simple()[name], dtype)


def links(dtype):
    """Convolutions with a pooling and without, poolings alone, products; each activation."""
    same, pooling = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), ((2, 2), (2, 2), ((0, 0), (0, 1)))
    around = ((3, 2), (1, 1), ((1, 1), (0, 1)))

    def link(seed, *shape, bias=True, **settings):
        weight = normal(seed, *shape).astype(dtype)
        bias = normal(seed + 1, shape[-1]).astype(dtype) if bias else None
        return kernels.chain.Link(weight, bias, **settings)

    return [
        link(2, 3, 3, 5, 16, activation="relu", arrangement=same, pooling=pooling),
        link(4, 2, 2, 16, 7, bias=False, activation="tanh"),
        kernels.chain.Link(None, pooling=around, averages=True),
        kernels.chain.Link(None, pooling=around),
        link(5, 3 * 3 * 7, 40, activation="relu"),
        link(7, 40, 11, activation="sigmoid"),
        link(9, 11, 3, bias=False),
    ]


def residual_links(dtype):
    """Shortcuts from near and far, from x, and to one link twice; lines with and without gamma."""
    same = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    Link = kernels.chain.Link

    def weight(seed, *shape):
        return (normal(seed, *shape) / 4).astype(dtype)

    def line(seed, channels, gamma=True, beta=True):
        mean, a, b, c = (normal(seed + k, channels).astype(dtype) for k in range(4))
        arrays = (mean, b * b, a if gamma else None, c if beta else None)
        return kernels.chain.Line(*arrays, epsilon=0.25)

    return [
        Link(weight(1, 3, 3, 5, 5), None, "relu", same, line=line(1, 5), shortcut=kernels.chain.X),
        Link(weight(2, 3, 3, 5, 24), None, "linear", same, line=line(2, 24)),
        Link(weight(3, 1, 1, 5, 24), weight(4, 24), "relu", source=0, shortcut=1),
        Link(None, line=line(5, 24, gamma=False), activation="relu"),
        Link(weight(6, 3, 3, 24, 24), None, "tanh", same, line=line(6, 24, beta=False), shortcut=2),
        Link(None, shortcut=4, activation="relu"),  # twice what came before
        Link(None, shortcut=2, source=5),
        Link(None, pooling=((9, 8), (1, 1), ((0, 0), (0, 0))), averages=True),
        Link(weight(7, 24, 300), weight(8, 300), "relu", line=line(9, 300)),
        Link(weight(10, 300, 3), shortcut=None),
    ]


def channel_links(dtype):
    """Depthwise convolutions: with steps, gaps, a bias, relu and not, finished and not."""

    def weight(seed, *shape):
        return normal(seed, *shape).astype(dtype)

    def places(C, strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1)):
        return strides, padding, dilation, C

    Link, Line = kernels.chain.Link, kernels.chain.Line
    line = Line(weight(1, 40), weight(2, 40) ** 2, None, weight(3, 40), 0.5)
    last = places(40, (2, 1), ((1, 0), (0, 1)))
    return [
        Link(weight(4, 3, 3, 1, 5), weight(5, 5), "relu", arrangement=places(5)),
        Link(weight(6, 1, 1, 5, 40)),
        Link(weight(7, 3, 2, 1, 40), None, "relu", places(40), line=line, ceiling=0.75),
        Link(
            weight(8, 3, 3, 1, 40),
            None,
            arrangement=places(40, padding=((2, 2), (2, 2)), dilation=(2, 2)),
            shortcut=2,
        ),
        Link(weight(9, 2, 3, 1, 40), weight(10, 40), "tanh", arrangement=last),
        Link(None, activation="relu", ceiling=0.5),
        Link(None, pooling=((5, 8), (1, 1), ((0, 0), (0, 0))), averages=True),
        Link(weight(11, 40, 3)),
    ]


def test_what_is_no_number_stays_so_below_a_ceiling():
    chain = kernels.chain.Chain([kernels.chain.Link(None, activation="relu", ceiling=6.0)] * 2)
    x = np.array([[np.nan, np.inf, 7, 6, 2, -0.5, -np.inf]])
    expected = [[np.nan, 6, 6, 6, 2, 0, 0]]
    for version in (kernels.chain.forward, kernels.chain.forward.reference):
        np.testing.assert_array_equal(version(x, chain), expected)


def test_a_chain_keeps_no_more_plans_than_it_should():
    chain = kernels.chain.Chain([kernels.chain.Link(np.eye(2))] * 2)
    for count in range(1, 100):
        x = normal(1, count, 2)
        np.testing.assert_array_equal(kernels.chain.forward(x, chain), x)
    assert 0 < len(chain._plans) <= 64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 3, 300], ids=["one", "three", "many"])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("links", [links, residual_links, channel_links])
def test_a_chain_agrees_with_the_reference(links, softmax, count, dtype):
    x = normal(1, count, 9, 8, 5).astype(dtype)
    chain = kernels.chain.Chain(links(dtype), softmax)
    y = kernels.chain.forward(x, chain)
    expected = kernels.chain.forward.reference(x, chain)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    atol = 1000 * np.finfo(dtype).eps * np.abs(expected).max(initial=1)
    np.testing.assert_allclose(y, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("given", ["uint8", "float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(7,), (7, 0), (7, 3, 5), (7, 2, 3, 4)])
def test_rows_are_those_of_numpy_converted(given, shape):
    x = (100 * np.random.default_rng(0).random(shape)).astype(given)
    places = np.array([6, 0, 0, 5])
    for dtype in ("float32", "float64"):
        y = kernels.rows.gather(x, places, dtype)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x[places].astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (256,), (257,), (6, 2, 3), (90, 3, 5)])
def test_rows_that_were_read_several_times_collect_all_gradients(shape, dtype):
    dy = normal(1, *shape).astype(dtype)
    places = np.random.default_rng(2).integers(0, 7, len(dy))
    dx = kernels.rows.scatter(dy, places, 9)
    expected = np.zeros((9, *shape[1:]), dtype)
    for k, place in enumerate(places):
        expected[place] += dy[k]
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, expected)


def test_copied_pixels_give_their_gradients_back():
    x, dy = normal(1, 2, 4, 5, 3), normal(2, 2, 3, 6, 3)
    y = kernels.augment.gather(x, *PLACES, 0.0)
    dx = kernels.augment.scatter(dy, *PLACES, x.shape)
    np.testing.assert_allclose(np.vdot(y, dy), np.vdot(x, dx))


@pytest.mark.parametrize("fill_mode", kernels.warp.FILL_MODES)
@pytest.mark.parametrize("bilinear", [True, False], ids=["bilinear", "nearest"])
def test_warped_images_agree_with_the_reference_and_give_their_gradients_back(bilinear, fill_mode):
    x, dy, settings = normal(1, 2, 4, 5, 3), normal(2, 2, 4, 5, 3), (bilinear, fill_mode)
    y = kernels.warp.gather(x, TRANSFORMS, *settings, 0.0)
    dx = kernels.warp.scatter(dy, TRANSFORMS, *settings)
    np.testing.assert_allclose(np.vdot(y, dy), np.vdot(x, dx))
    for fill in (0.0, 0.5):
        filled = kernels.warp.gather(x, TRANSFORMS, *settings, fill)
        wanted = kernels.warp.gather.reference(x, TRANSFORMS, *settings, fill)
        np.testing.assert_allclose(filled, wanted, atol=1e-13)
    np.testing.assert_allclose(
        dx, kernels.warp.scatter.reference(dy, TRANSFORMS, *settings), atol=1e-13
    )


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 2), (3, 7), (3, 8), (2, 50_001), (5_000, 9)])
def test_layer_norm_of_any_size(shape):
    x, dy, gamma, beta = (normal(k, *shape[k // 2 :]) for k in range(4))
    layer_norm = kernels.layer_norm
    y = layer_norm.forward(x, gamma, beta, 0.01)
    np.testing.assert_allclose(y, layer_norm.forward.reference(x, gamma, beta, 0.01), atol=1e-11)
    args = dy, x, gamma, 0.01
    for one, other in zip(
        layer_norm.backward(*args), layer_norm.backward.reference(*args), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_layer_norm_of_numbers_far_from_0_keeps_their_digits():
    x = (1e4 + normal(1, 3, 500)).astype(np.float32)
    one, zero = np.ones(500, np.float32), np.zeros(500, np.float32)
    y = kernels.layer_norm.forward(x, one, zero, 1e-3)
    np.testing.assert_allclose(y, kernels.layer_norm.forward.reference(x, one, zero, 1e-3), 1e-5)


def test_sums_of_layer_norm_are_the_same_for_any_number_of_threads():
    args = normal(1, 5_000, 9), normal(2, 5_000, 9), normal(3, 9), 0.01
    threads = numba.get_num_threads()
    _, both = kernels.layer_norm.backward(*args)
    numba.set_num_threads(1)
    try:
        _, one = kernels.layer_norm.backward(*args)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(both, one)


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (2, 4, 5, 0), (1, 4, 1, 1), (3, 4, 9, 20)])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_sums_along_any_axis_of_images_of_any_size(shape, axis):
    x, new = np.moveaxis(normal(1, *shape), 1, axis), 6
    args = np.ascontiguousarray(x), np.random.default_rng(0).integers(0, 4, (3, new))
    args = *args, normal(2, 3, new), axis
    wanted = kernels.resize.along.reference(*args)
    np.testing.assert_allclose(kernels.resize.along(*args), wanted, atol=1e-13)


A_RUN = 1 << 14  # numbers that a thread takes at a time


@pytest.mark.parametrize("size", [0, 1, 7, A_RUN + 1, 100_000])
def test_relu_of_any_size(size):
    x, dy, more = (normal(seed, size) for seed in (1, 2, 3))
    y = kernels.relu.forward(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    for backward in (kernels.relu.backward, kernels.relu.backward.reference):
        np.testing.assert_array_equal(backward(dy, y), dy * (x > 0))
        np.testing.assert_array_equal(backward(dy, y, more), (dy + more) * (x > 0))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (0, 3, 2), (3, 0, 2), (14, 5, 33), (3, 500, 300)])
def test_matrix_products_of_any_size(sizes):
    M, K, F = sizes
    x, weight, bias = normal(1, M, K), normal(2, K, F), normal(3, F)
    product = x @ weight
    for given, relu in ((None, False), (bias, True)):
        y = kernels.matmul.multiply(x, weight, given, relu)
        expected = product if given is None else np.maximum(product + bias, 0)
        np.testing.assert_allclose(y, expected, atol=1e-11)
    dx = kernels.matmul.input_grad(product, weight)
    np.testing.assert_allclose(dx, product @ weight.T, atol=1e-9)
    dw = kernels.matmul.weight_grad(x, product)
    np.testing.assert_allclose(dw, x.T @ product, atol=1e-9)


def test_softmax_keeps_what_it_is_given_and_shows_nan():
    x = np.array([[1e4, 1e4, -np.inf], [0, np.nan, 1]], np.float32)
    y = kernels.softmax.forward(x)
    assert y[0].tolist() == [0.5, 0.5, 0] and np.isnan(y[1]).all()
    assert kernels.softmax.forward(x[:0]).shape == (0, 3)
    assert kernels.softmax.forward(x[:, :0]).shape == (2, 0)


def test_the_score_that_is_far_above_the_others_takes_it_all():
    x = 1e4 * (np.eye(5) + np.arange(5)[:, None])
    for softmax in (kernels.softmax.forward, kernels.softmax.forward.reference):
        np.testing.assert_array_equal(softmax(x), np.eye(5))


def test_the_first_of_equals_wins():
    _, where = max_pool2d.forward(np.zeros((1, 2, 4, 1)), (2, 2), (2, 2), NO_PADDING)
    assert where.ravel().tolist() == [0, 2]


def test_padding_never_wins():
    x = np.full((1, 2, 2, 1), -np.inf)
    y, where = max_pool2d.forward(x, (3, 3), (1, 1), ((1, 1), (1, 1)))
    assert (y == -np.inf).all()
    assert where.ravel().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 0)])
def test_pooling_of_nothing_is_no_error(shape):
    x, window = np.zeros(shape), ((2, 2), (2, 2), NO_PADDING)
    y, where = max_pool2d.forward(x, *window)
    assert y.shape == where.shape == (shape[0], 2, 2, shape[3])
    assert max_pool2d.gather(x, where).shape == y.shape
    assert max_pool2d.scatter(y, where, shape).shape == shape
    assert average_pool2d.forward(x, *window).shape == y.shape
    assert average_pool2d.spread(y, shape, *window).shape == shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [0, 1, 7, 200])
@pytest.mark.parametrize("rows", [0, 1, 1024, 1025, 5000])
def test_sums_of_rows_are_as_exact_as_rounding_allows(rows, columns, dtype):
    args = in_dtype([normal(1, rows, columns)], dtype)
    result = kernels.sum_rows.forward(*args)
    assert result.dtype == dtype
    assert rounding_errors(result, kernels.sum_rows.forward, args, dtype) < 8


def test_sums_of_rows_reach_the_end_of_a_tall_column():
    assert kernels.sum_rows.forward(np.ones((140_000, 1))) == 140_000


def convolution_and_pooling(name, window=(2, 2), strides=(2, 2), padding=NO_PADDING):
    x, weight, _, _, *where = CONVOLUTIONS[name]["forward"]
    return x, weight, normal(4, weight.shape[3]), tuple(where), window, (strides, padding)


POOLED = {
    "tutorial, first layer": convolution_and_pooling("tutorial, first layer"),
    "tutorial, third layer": convolution_and_pooling("tutorial, third layer"),
    "overlapping": convolution_and_pooling("same", (3, 2), (1, 2), ((1, 1), (0, 1))),
    "rows left over": convolution_and_pooling("same", (2, 3), (3, 3)),
    "columns left over": convolution_and_pooling("same", (2, 2), (1, 4)),
    "groups": convolution_and_pooling("groups", (3, 3), (2, 2), ((1, 1), (1, 1))),
    "many filters": convolution_and_pooling("filters larger than the cache", (2, 2), (1, 1)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POOLED)
def test_convolution_and_pooling_in_one_are_those_one_by_one(name, dtype):
    x, weight, bias, where, window, placement = in_dtype(POOLED[name], dtype)
    y, winners = kernels.conv_pool.forward(x, weight, bias, where, window, placement)
    z = conv2d.forward(x, weight, bias, False, *where)
    largest, expected = max_pool2d.forward(z, window, *placement)
    np.testing.assert_array_equal(y, np.maximum(largest, 0))
    np.testing.assert_array_equal(winners, expected)
    assert (y.dtype, winners.dtype) == (dtype, np.int32)
    assert 0 < (y == 0).mean() < 1


def normalization():
    """Arguments of the kernels of batch normalisation."""
    x, dy = 3 + 2 * normal(1, 7, 30, 31, 5), normal(2, 7, 30, 31, 5)
    line = (3 + normal(3, 5) / 10, normal(4, 5), normal(5, 5), True)
    return {
        "batch_norm.moments": (x,),
        "batch_norm.normalize": (x, *line),
        "batch_norm.sums": (dy, x, *line),
        "batch_norm.input_grad": (dy, x, *line, normal(6, 3, 5)),
    }


def way_back(x_shape, filters, window, settings, pooling=((2, 2), (2, 2), NO_PADDING)):
    """Arguments of both gradients of a convolution with a max pooling after it.

    settings: (strides, padding, dilation, groups) of the convolution.
    """
    where = arrangement(x_shape, window, *settings)
    x, weight = normal(1, *x_shape), normal(2, *window, x_shape[3] // where[-1], filters)
    z = conv2d.forward(x, weight, None, False, *where)
    y, winners = max_pool2d.forward(z, *pooling)
    dy = normal(3, *y.shape) * (y > 0)
    return {
        "input_grad": (dy, winners, weight, x_shape, where),
        "weight_grad": (x, dy, winners, weight.shape, where),
    }


AT_ONCE = ((1, 1), "valid", (1, 1), 1)
WAYS_BACK = {  # of which the lists of winners.py serve both maps,
    "rows of several vectors": way_back((3, 9, 8, 32), 5, (3, 3), AT_ONCE),
    "windows over the border": way_back((5, 6, 7, 16), 4, (3, 3), ((1, 1), "same", (1, 1), 1)),
    "strides and dilated rows": way_back((2, 14, 13, 32), 3, (3, 2), ((2, 1), "same", (2, 1), 1)),
    "more rows than in a tile": way_back((2, 9, 9, 64), 3, (5, 5), AT_ONCE),
    "pixels that no window reaches": way_back(
        (2, 9, 12, 16), 3, (2, 2), ((3, 4), "valid", (1, 1), 1)
    ),
    "overlapping": way_back((2, 9, 9, 16), 4, (3, 3), AT_ONCE, ((3, 3), (2, 2), ((1, 1), (1, 1)))),
    "larger than the cache": way_back((3, 24, 24, 32), 2, (3, 3), AT_ONCE),
}
WAYS_BACK |= {  # or that of the weights, or neither
    "rows that fill no vector": way_back((5, 8, 8, 13), 6, (3, 3), AT_ONCE),
    "few channels": way_back((2, 8, 8, 3), 6, (3, 3), AT_ONCE),
    "groups": way_back((2, 8, 8, 32), 6, (3, 3), ((1, 1), "same", (1, 1), 2)),
    "dilated columns": way_back((2, 9, 9, 32), 4, (3, 3), ((1, 1), "same", (1, 2), 1)),
    "hardly any losers": way_back((2, 6, 6, 32), 4, (3, 3), AT_ONCE, ((2, 2), (1, 1), NO_PADDING)),
    "no images": way_back((0, 8, 8, 32), 6, (3, 3), AT_ONCE),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WAYS_BACK)
def test_the_way_back_through_convolution_and_pooling(name, dtype):
    for kernel, args in WAYS_BACK[name].items():
        kernel, given = getattr(kernels.conv_pool, kernel), in_dtype(args, dtype)
        result = kernel(*given)
        assert result.dtype == dtype
        assert result.shape == kernel.reference(*args).shape
        assert rounding_errors(result, kernel, given, dtype) < 8


def test_a_gradient_that_is_not_a_number_spoils_what_it_belongs_to_only():
    dy, winners, *others = WAYS_BACK["windows over the border"]["input_grad"]
    dy[1, 1, 2, 3] = np.nan
    dx = kernels.conv_pool.input_grad(dy, winners, *others)
    expected = kernels.conv_pool.input_grad.reference(dy, winners, *others)
    assert np.isnan(dx[1]).any()
    np.testing.assert_allclose(dx, expected, atol=1e-12)


EVERY = {
    **normalization(),
    "conv_pool.forward": convolution_and_pooling("same"),
    "conv_pool.input_grad": WAYS_BACK["windows over the border"]["input_grad"],
    "conv_pool.weight_grad": WAYS_BACK["windows over the border"]["weight_grad"],
    "sum_rows.forward": (normal(1, 2500, 7),),
    **{f"conv2d.{name}": args for name, args in CONVOLUTIONS["same"].items()},
    **pooling(*WINDOWS[1]),
    **simple(),
}
DEPTHWISE = {
    f"{case}, {name}": (f"conv2d.{name}", args)
    for case in ("depthwise, long sums", "depthwise, several filters", "depthwise with strides")
    for name, args in CONVOLUTIONS[case].items()
}


@pytest.mark.parametrize("name", EVERY)
def test_strided_and_protected_inputs(name):
    expected = outputs(kernel_named(name), EVERY[name])
    views = [np.asfortranarray(a) if isinstance(a, np.ndarray) else a for a in EVERY[name]]
    protected = [a.copy() if isinstance(a, np.ndarray) else a for a in EVERY[name]]
    for array in protected:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    for args in (views, protected):
        for one, other in zip(outputs(kernel_named(name), args), expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", EVERY)
def test_inputs_stay_as_they_were(name):
    arrays = [a for a in EVERY[name] if isinstance(a, np.ndarray)]
    before = [a.copy() for a in arrays]
    outputs(kernel_named(name), EVERY[name])
    for now, then in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(now, then)


def check_threads(name, args):
    args = in_dtype(args, "float32")
    threads = numba.get_num_threads()
    many = outputs(kernel_named(name), args)
    numba.set_num_threads(1)
    try:
        one = outputs(kernel_named(name), args)
    finally:
        numba.set_num_threads(threads)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_the_number_of_threads_changes_no_bit(name):
    check_threads(name, EVERY[name])


@pytest.mark.parametrize("case", DEPTHWISE)
def test_the_number_of_threads_changes_no_bit_of_a_depthwise_convolution(case):
    check_threads(*DEPTHWISE[case])


def check_memory(name, args, monkeypatch):
    expected = outputs(kernel_named(name), args)
    poison = lambda shape, dtype: np.full(shape, 77, dtype)  # noqa: E731
    for family in (name.split(".")[0], "sweep", "spread", "correlate", "depthwise", "winners"):
        module = importlib.import_module(f"minicnn.kernels.{family}")
        monkeypatch.setattr(module, "empty", poison, raising=False)
    for one, other in zip(outputs(kernel_named(name), args), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", EVERY)
def test_no_result_depends_on_what_its_memory_held(name, monkeypatch):
    check_memory(name, EVERY[name], monkeypatch)


@pytest.mark.parametrize("case", DEPTHWISE)
def test_no_depthwise_result_depends_on_what_its_memory_held(case, monkeypatch):
    check_memory(*DEPTHWISE[case], monkeypatch)


class OnTheGPU:
    """Looks like a CuPy array to a Kernel."""

    shape = (1, 1, 3, 3)
    __cuda_array_interface__: dict[str, object] = {}


def test_devices_do_not_mix():
    with pytest.raises(
        TypeError, match=r"max_pool2d\.gather: .* one device, but .* CPU, GPU\. Move"
    ):
        max_pool2d.gather(np.zeros((1, 3, 3, 1)), OnTheGPU())


def test_a_missing_version_is_named():
    gather = dataclasses.replace(max_pool2d.gather, gpu=None)
    with pytest.raises(
        NotImplementedError, match=r"max_pool2d\.gather: its GPU version is not wri"
    ):
        gather(OnTheGPU(), OnTheGPU())
