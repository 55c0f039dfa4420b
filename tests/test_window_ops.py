"""Convolution and pooling beside plain loops, for windows of all shapes, and what they refuse."""

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.gradcheck import check_gradient

RNG = np.random.default_rng(0)


def whole(x, top, bottom, left, right, fill=0.0):
    """The images with a frame of one number."""
    frame = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(x, frame, constant_values=fill)


def frame(size, extent, stride, padding):
    """How many pixels are added before and after, and how many windows there are."""
    if padding == "valid":
        return 0, 0, (size - extent) // stride + 1
    count = (size + stride - 1) // stride
    missing = max((count - 1) * stride + extent - size, 0)
    return missing // 2, missing - missing // 2, count


def windows(x, window, strides, padding, dilation=(1, 1), fill=0.0):
    """All windows of the images, (N, I, J, P, Q, C), read one by one."""
    (P, Q), (s, t), (d, e) = window, strides, dilation
    top, bottom, I = frame(x.shape[1], d * (P - 1) + 1, s, padding)  # noqa: E741
    left, right, J = frame(x.shape[2], e * (Q - 1) + 1, t, padding)
    x = whole(x, top, bottom, left, right, fill)
    rows = [
        [
            x[:, i * s : i * s + d * (P - 1) + 1 : d, j * t : j * t + e * (Q - 1) + 1 : e]
            for j in range(J)
        ]
        for i in range(I)
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def convolved(x, weight, bias=None, strides=(1, 1), padding="valid", dilation=(1, 1), groups=1):
    P, Q, K, F = weight.shape
    seen = windows(x, (P, Q), strides, padding, dilation)
    parts = [
        np.einsum(
            "nijpqc,pqcf->nijf",
            seen[..., g * K : (g + 1) * K],
            weight[..., g * F // groups : (g + 1) * F // groups],
        )
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=-1) + (0 if bias is None else bias)


def largest(x, window, strides, padding):
    return windows(x, window, strides, padding, fill=-np.inf).max(axis=(3, 4))


CONVOLUTIONS = [  # size of images, window, channels of a group, filters, settings
    ((5, 7), (3, 2), 2, 3, {}),
    ((5, 7), (1, 1), 2, 3, {"strides": (2, 3)}),
    ((6, 5), (2, 4), 1, 2, {"strides": (2, 1)}),
    ((6, 5), (2, 4), 1, 2, {"strides": (2, 1), "padding": "same"}),
    ((4, 5), (1, 1), 2, 3, {"strides": (3, 2), "padding": "same"}),
    ((7, 6), (2, 3), 2, 2, {"dilation": (3, 2)}),
    ((5, 4), (3, 2), 2, 2, {"dilation": (2, 3), "padding": "same"}),
    ((3, 3), (3, 3), 2, 2, {}),
    ((5, 5), (2, 2), 2, 4, {"groups": 2}),
    ((5, 5), (3, 1), 1, 6, {"groups": 3, "strides": (1, 2), "padding": "same"}),
]


def images(size, channels):
    return RNG.normal(size=(2, *size, channels))


@pytest.mark.parametrize("size, window, K, F, settings", CONVOLUTIONS)
def test_conv2d_is_what_plain_loops_compute(size, window, K, F, settings):
    x = images(size, K * settings.get("groups", 1))
    weight, bias = RNG.normal(size=(*window, K, F)), RNG.normal(size=F)
    y = convolved(x, weight, **settings)
    xs = [Tensor(array) for array in (x, weight, bias)]
    np.testing.assert_allclose(ops.conv2d(*xs[:2], **settings).data, y, rtol=1e-10, atol=1e-12)
    z = ops.conv2d(*xs, activation="relu", **settings)
    np.testing.assert_allclose(z.data, np.maximum(y + bias, 0), rtol=1e-10, atol=1e-12)


POOLS = [
    {},
    {"pool_size": (1, 2)},
    {"pool_size": (2, 1), "pool_strides": (1, 3)},
    {"pool_size": 3, "pool_strides": 2, "pool_padding": "same"},
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("size, window, K, F, settings", CONVOLUTIONS)
def test_conv_pool_is_convolution_then_pooling_then_relu(size, window, K, F, settings, pool):
    x = images((size[0] + 3, size[1] + 5), K * settings.get("groups", 1))
    weight, bias = RNG.normal(size=(*window, K, F)), RNG.normal(size=F)
    xs = [Tensor(array) for array in (x, weight, bias)]
    both = pool.get("pool_size", 2)
    sizes = both if isinstance(both, tuple) else (both, both)
    steps = pool.get("pool_strides", sizes)
    steps = steps if isinstance(steps, tuple) else (steps, steps)
    for given in (xs, xs[:2]):
        z = convolved(x, weight, bias if len(given) == 3 else None, **settings)
        wanted = np.maximum(largest(z, sizes, steps, pool.get("pool_padding", "valid")), 0)
        got = ops.conv_pool(*given, **settings, **pool)
        np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size, window, K, F, settings", CONVOLUTIONS)
def test_conv_pool_says_how_large_the_convolution_is(size, window, K, F, settings):
    x, weight = images(size, K * settings.get("groups", 1)), RNG.normal(size=(*window, K, F))
    _, rows, columns, _ = convolved(x, weight, **settings).shape
    match = f"conv_pool: a window of 9 x 9 does not fit into an image of {rows} x {columns}\\."
    with pytest.raises(ValueError, match=match):
        ops.conv_pool(Tensor(x), Tensor(weight), pool_size=9, **settings)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "size, window, strides",
    [((4, 6), 2, None), ((5, 7), (2, 3), None), ((5, 7), (3, 2), (1, 3)), ((4, 4), (1, 3), 2)],
)
def test_pooling_takes_the_largest_or_the_mean_of_every_window(size, window, strides, padding):
    x = images(size, 3)
    sizes = window if isinstance(window, tuple) else (window, window)
    steps = sizes if strides is None else strides
    steps = steps if isinstance(steps, tuple) else (steps, steps)
    y = ops.max_pool2d(Tensor(x), window, strides, padding)
    np.testing.assert_array_equal(y.data, largest(x, sizes, steps, padding))
    seen = windows(x, sizes, steps, padding, fill=np.nan)
    z = ops.average_pool2d(Tensor(x), window, strides, padding)
    np.testing.assert_allclose(z.data, np.nanmean(seen, axis=(3, 4)), rtol=1e-12)


def drawn(x, weight, strides, dilation):
    """Every pixel draws its pattern into one large image."""
    (N, I, J, _), (P, Q, F, _) = x.shape, weight.shape  # noqa: E741
    (s, t), (d, e) = strides, dilation
    y = np.zeros((N, (I - 1) * s + d * (P - 1) + 1, (J - 1) * t + e * (Q - 1) + 1, F))
    for i, j, p, q in np.ndindex(I, J, P, Q):
        y[:, i * s + p * d, j * t + q * e] += x[:, i, j] @ weight[p, q].T
    return y


def trimmed(y, axis, rows, stride, window, padding, surplus):
    """The rows that Keras keeps: as many as wanted, cut off on both sides or added at the end."""
    if surplus is not None:
        size = y.shape[axis] - (2 * (window // 2) if padding == "same" else 0) + surplus
    elif padding == "same":
        size = rows * stride
    else:
        size = y.shape[axis] + max(stride - window, 0)
    before = max(y.shape[axis] - size, 0) // 2
    more = [(0, 0)] * 4
    more[axis] = (0, max(before + size - y.shape[axis], 0))
    return np.pad(y, more).take(range(before, before + size), axis)


@pytest.mark.parametrize("output_padding", [None, 0, "most"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "window, strides, dilation",
    [
        ((3, 2), (1, 2), 1),
        ((2, 5), (2, 3), 1),
        ((1, 2), (3, 4), 1),
        ((2, 3), 2, 1),
        ((2, 3), 1, (3, 2)),
        ((4, 1), 1, 1),
    ],
)
def test_conv2d_transpose_draws_patterns(window, strides, dilation, padding, output_padding):
    steps = strides if isinstance(strides, tuple) else (strides, strides)
    gaps = dilation if isinstance(dilation, tuple) else (dilation, dilation)
    if output_padding == "most":
        output_padding = (0, steps[1] - 1)
    x, weight, bias = images((3, 4), 2), RNG.normal(size=(*window, 5, 2)), RNG.normal(size=5)
    wanted = drawn(x, weight, steps, gaps)
    for axis, rows in ((1, 3), (2, 4)):
        k = axis - 1
        surplus = output_padding[k] if isinstance(output_padding, tuple) else output_padding
        extent = gaps[k] * (window[k] - 1) + 1
        wanted = trimmed(wanted, axis, rows, steps[k], extent, padding, surplus)
    settings = {"strides": strides, "padding": padding, "dilation": dilation}
    settings["output_padding"] = output_padding
    xs = Tensor(x), Tensor(weight)
    y = ops.conv2d_transpose(*xs, **settings)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-10, atol=1e-12)
    check_gradient(lambda *xs: ops.conv2d_transpose(*xs, **settings), x, weight, order=1)
    y = ops.conv2d_transpose(*xs, activation="relu", **settings)
    np.testing.assert_allclose(y.data, np.maximum(wanted, 0), rtol=1e-10, atol=1e-12)
    y = ops.conv2d_transpose(*xs, Tensor(bias), activation="relu", **settings)
    np.testing.assert_allclose(y.data, np.maximum(wanted + bias, 0), rtol=1e-10, atol=1e-12)


# What is refused.


def zeros(*shape, dtype=np.float64):
    return Tensor(np.zeros(shape, dtype))


def conv2d(x=(1, 4, 4, 2), weight=(3, 3, 2, 4), bias=None, **settings):
    return ops.conv2d(zeros(*x), zeros(*weight), bias and zeros(*bias), **settings)


def transposed(x=(1, 4, 4, 2), weight=(3, 3, 5, 2), bias=None, **settings):
    return ops.conv2d_transpose(zeros(*x), zeros(*weight), bias and zeros(*bias), **settings)


FLOAT32 = zeros(4, dtype=np.float32)
MESSAGES = [
    (lambda: conv2d((4, 4, 2)), r"conv2d: wants images of shape \(N, H, W, C\), but x .* \(4, 4,"),
    (lambda: conv2d((1, 1, 4, 4, 2)), r"conv2d: wants images of shape \(N, H, W, C\), but x has"),
    (lambda: conv2d(weight=(3, 2, 4)), r"conv2d: weight must be \(P, Q, C, F\), but has shape \(3"),
    (lambda: conv2d(weight=(1, 3, 3, 2, 4)), r"conv2d: weight must be \(P, Q, C, F\), but has"),
    (
        lambda: conv2d(weight=(3, 3, 1, 4)),
        r"x has 2 channels \(shape \(1, 4, 4, 2\)\) but weight wants 1 \(shape \(3, 3, 1, 4\)\)\.",
    ),
    (
        lambda: conv2d(weight=(3, 3, 2, 4), groups=2),
        r"has 2 channels .* wants 4 \(shape \(3, 3, 2, 4\) in 2 groups\)\. Build .*=\(4, 4, 2\)",
    ),
    (lambda: conv2d(weight=(3, 3, 1, 5), groups=2), r"x has 2 channels .* in 2 groups\)"),
    (lambda: conv2d(weight=(3, 3, 2, 4), groups=0), r"has 2 channels .* wants 0 .* in 0 groups\)"),
    (lambda: conv2d(weight=(3, 3, 2, 4), groups=-1), r"x has 2 channels .* in -1 groups\)"),
    (lambda: conv2d(bias=(3,)), r"conv2d: bias has shape \(3,\), but 4 filters want \(4,\)\."),
    (lambda: conv2d(activation="tanh"), "conv2d: activation must be 'relu' or None, but is 'tanh'"),
    (lambda: conv2d(padding="full"), "conv2d: padding must be 'same' or 'valid', but is 'full'"),
    (
        lambda: conv2d((1, 7, 7, 2), strides=2, dilation=(1, 2)),
        r"strides \(2, 2\) and dilation \(1, 2\) cannot",
    ),
    (
        lambda: conv2d((1, 7, 7, 2), strides=(1, 2), dilation=2),
        r"strides \(1, 2\) and dilation \(2, 2\) cannot",
    ),
    (lambda: conv2d(dilation=2), r"conv2d: a window of 5 x 5 does not fit into an image of 4 x 4"),
    (lambda: conv2d(dilation=(1, 2)), r"a window of 3 x 5 does not fit into an image of 4 x 4"),
    (lambda: conv2d(strides=0), "conv2d: strides must be a whole number from 1 on, or two .* is 0"),
    (lambda: conv2d(strides=(1, 2, 3)), r"conv2d: strides must be a whole .* is \(1, 2, 3\)\."),
    (lambda: conv2d(strides=(1,)), r"conv2d: strides must be a whole number .* is \(1,\)\."),
    (lambda: conv2d(strides=(1, 0)), r"conv2d: strides must be a whole number .* is \(1, 0\)\."),
    (lambda: conv2d(strides=(1.5, 2)), r"conv2d: strides must be a whole .* is \(1.5, 2\)\."),
    (lambda: conv2d(dilation=-1), "conv2d: dilation must be a whole number .* is -1"),
    (
        lambda: ops.max_pool2d(zeros(1, 4, 4, 2), 0),
        "max_pool2d: pool_size must be a whole number .* is 0",
    ),
    (
        lambda: ops.average_pool2d(zeros(1, 4, 4, 2), (2, 0)),
        r"average_pool2d: pool_size must be a whole number .* is \(2, 0\)",
    ),
    (
        lambda: ops.average_pool2d(zeros(1, 4, 4, 2), (2, 5)),
        r"average_pool2d: a window of 2 x 5 does not fit into an image of 4 x 4",
    ),
    (
        lambda: ops.max_pool2d(zeros(1, 4, 4, 2), strides=0),
        "max_pool2d: strides must be a whole number .* is 0",
    ),
    (
        lambda: ops.conv_pool(zeros(1, 4, 4, 2), zeros(3, 3, 2, 4), pool_size=3),
        r"conv_pool: a window of 3 x 3 does not fit into an image of 2 x 2",
    ),
    (
        lambda: ops.conv_pool(zeros(1, 4, 4, 2), zeros(3, 3, 2, 4), pool_size=-1),
        "conv_pool: pool_size must be a whole number .* is -1",
    ),
    (lambda: transposed((4, 4, 2)), r"wants x .* their shapes are \(4, 4, 2\) and \(3, 3, 5, 2\)"),
    (lambda: transposed((1, 1, 4, 4, 2)), r"wants x .* their shapes are \(1, 1, 4, 4, 2\) and"),
    (lambda: transposed(weight=(3, 5, 2)), r"wants x .* their shapes .* and \(3, 5, 2\)"),
    (lambda: transposed(weight=(1, 3, 3, 5, 2)), r"wants x .* shapes .* and \(1, 3, 3, 5, 2\)"),
    (lambda: transposed(bias=(2,)), r"bias has shape \(2,\), but 5 channels want \(5,\)\."),
    (lambda: transposed(strides=0), "conv2d_transpose: strides must be a whole number .* is 0"),
    (lambda: transposed(dilation=0), "conv2d_transpose: dilation must be a whole number .* is 0"),
    (lambda: transposed(dilation=2, strides=(1, 2)), r"strides \(1, 2\) and dilation \(2, 2\) ca"),
    (
        lambda: transposed(output_padding=1),
        r"output_padding must be .* strides, \(1, 1\), but is 1",
    ),
    (lambda: transposed(output_padding=(0, 0, 0)), r"output_padding must .* but is \(0, 0, 0\)"),
    (lambda: transposed(output_padding=-1), "output_padding must be from 0 .* but is -1"),
    (
        lambda: transposed(strides=(2, 3), output_padding=(2, 1)),
        r"output_padding must be from 0 to below the strides, \(2, 3\), but is \(2, 1\)",
    ),
]


@pytest.mark.parametrize("call, match", MESSAGES)
def test_settings_and_shapes_that_do_not_fit_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_one_dtype_is_wanted():
    x, weight = zeros(1, 4, 4, 2), zeros(3, 3, 2, 4)
    wanted = r"conv2d: x, weight and bias must be of one dtype, but are float64, float64, float32\."
    with pytest.raises(TypeError, match=wanted):
        ops.conv2d(x, weight, FLOAT32)
    with pytest.raises(TypeError, match="must be of one dtype, but are float64, float32"):
        ops.conv2d(x, zeros(3, 3, 2, 4, dtype=np.float32))
    with pytest.raises(TypeError, match="conv2d_transpose: wants float32 or float64, but x is int"):
        ops.conv2d_transpose(zeros(1, 4, 4, 2, dtype=np.int64), weight)
    with pytest.raises(
        TypeError, match="transpose: .* of one dtype, but are float64, float64, flo"
    ):
        ops.conv2d_transpose(x, zeros(3, 3, 4, 2), FLOAT32)
