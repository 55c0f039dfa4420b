"""Normalization beside plain NumPy, for axes and groups of all kinds, and what it refuses."""

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Tensor, grad

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(2.0, 3.0, size=shape)


def centred(x, axes, epsilon):
    mean = x.mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(np.mean((x - mean) ** 2, axis=axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("epsilon", [1e-3, 2.0])
@pytest.mark.parametrize(
    "shape, axis",
    [
        ((5, 3), -1),
        ((5, 3), 0),
        ((1, 3), 1),
        ((2, 3, 4), -1),
        ((2, 3, 4), 1),
        ((2, 3, 4), (1, 2)),
        ((2, 3, 4), [2, 1]),
        ((2, 3, 4), (0, 2)),
        ((2, 3, 4, 5), (3, 1)),
        ((2, 3, 4, 5), (1, 2, 3)),
    ],
)
def test_layer_norm_gives_the_numbers_along_the_axes_mean_0_and_spread_1(shape, axis, epsilon):
    x = normal(*shape)
    axes = [k % x.ndim for k in ([axis] if isinstance(axis, int) else axis)]
    gamma, beta = (normal(*(shape[k] for k in axes)) for _ in range(2))
    rest = [k for k in range(x.ndim) if k not in axes]
    moved = x.transpose(rest + axes)  # so that gamma and beta fit the last axes
    y = centred(moved, tuple(range(len(rest), x.ndim)), epsilon) * gamma + beta
    wanted = y.transpose(np.argsort(rest + axes))
    got = ops.layer_norm(Tensor(x), Tensor(gamma), Tensor(beta), axis, epsilon)
    np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)
    if epsilon == 1e-3:
        got = ops.layer_norm(Tensor(x), Tensor(gamma), Tensor(beta), axis)
        np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-3, 2.0])
@pytest.mark.parametrize(
    "shape, groups",
    [
        ((5, 6), 2),
        ((5, 6), 1),
        ((5, 4), 4),
        ((2, 3, 6), 3),
        ((2, 3, 4, 6), 2),
        ((1, 2, 2, 2, 4), 2),
    ],
)
def test_group_norm_gives_each_group_of_channels_mean_0_and_spread_1(shape, groups, epsilon):
    x, C = normal(*shape), shape[-1]
    gamma, beta = normal(C), normal(C)
    size = C // groups
    parts = [x[..., k * size : (k + 1) * size] for k in range(groups)]
    parts = [centred(part, tuple(range(1, x.ndim)), epsilon) for part in parts]
    wanted = np.concatenate(parts, axis=-1) * gamma + beta
    got = ops.group_norm(Tensor(x), Tensor(gamma), Tensor(beta), groups, epsilon)
    np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)
    if epsilon == 1e-3:
        got = ops.group_norm(Tensor(x), Tensor(gamma), Tensor(beta), groups)
        np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("epsilon", [1e-3, 2.0])
@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (2, 3, 4), (2, 3, 2, 5)])
def test_batch_norm_and_normalize_follow_their_formula(shape, epsilon, activation):
    x, shortcut, C = normal(*shape), normal(*shape), shape[-1]
    gamma, beta, mean, variance = normal(C), normal(C), normal(C), RNG.random(C)
    axes = tuple(range(len(shape) - 1))
    xhats = centred(x, axes, epsilon), (x - mean) / np.sqrt(variance + epsilon)
    for more in (None, shortcut):
        tensors = [Tensor(array) for array in (x, mean, variance, gamma, beta)]
        settings = {"activation": activation, "shortcut": None if more is None else Tensor(more)}
        if epsilon != 1e-3:
            settings["epsilon"] = epsilon
        y, m, v = ops.batch_norm(tensors[0], *tensors[3:], **settings)
        np.testing.assert_allclose(m, x.mean(axis=axes), rtol=1e-10)
        np.testing.assert_allclose(v, x.var(axis=axes), rtol=1e-9, atol=1e-12)
        for got, xhat in zip((y, ops.normalize(*tensors, **settings)), xhats, strict=True):
            wanted = xhat * gamma + beta + (0 if more is None else more)
            wanted = np.maximum(wanted, 0) if activation else wanted
            np.testing.assert_allclose(got.data, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_what_is_used_twice_gets_both_gradients(given, with_shortcut, activation):
    xs = [Tensor(normal(4, 3), requires_grad=True)]
    xs += [Tensor(a, requires_grad=True) for a in ((normal(3), RNG.random(3)) if given else ())]
    xs += [Tensor(normal(3), requires_grad=True) for _ in range(2)]
    shortcut = Tensor(normal(4, 3), requires_grad=True) if with_shortcut else None
    settings = {"activation": activation, "shortcut": shortcut}
    y = ops.normalize(*xs, **settings) if given else ops.batch_norm(*xs, **settings)[0]
    wanted = [*xs, shortcut] if with_shortcut else xs
    a, b = Tensor(normal(4, 3)), Tensor(normal(4, 3))
    twice = grad(ops.sum(y * a) + ops.sum(y * b), wanted)
    once = grad(ops.sum(y * (a + b)), wanted)
    for one, other in zip(twice, once, strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-9, atol=1e-11)


def zeros(*shape, dtype=np.float64):
    return Tensor(np.zeros(shape, dtype))


MESSAGES = [
    (lambda: ops.layer_norm(zeros(3), zeros(3), zeros(3)), r"along axes \(0,\) and another axis"),
    (lambda: ops.layer_norm(zeros(2, 0), zeros(0), zeros(0)), r"along axes \(1,\) .* \(2, 0\)"),
    (lambda: ops.layer_norm(zeros(2, 3), zeros(2), zeros(3)), r"gamma has shape \(2,\), but x"),
    (lambda: ops.layer_norm(zeros(2, 3), zeros(3), zeros(3), 2), r"layer_norm: there is no axis 2"),
    (lambda: ops.group_norm(zeros(2, 4), zeros(4), zeros(4), 0), r"the 4 channels .* into 0 equal"),
    (lambda: ops.group_norm(zeros(2, 4), zeros(4), zeros(4), -2), r"the 4 channels .* into -2 eq"),
    (lambda: ops.group_norm(zeros(2, 4), zeros(4), zeros(4), 3), r"the 4 channels .* into 3 equal"),
    (lambda: ops.group_norm(zeros(2, 0), zeros(0), zeros(0), 1), r"the 0 channels .* into 1 equal"),
    (
        lambda: ops.group_norm(zeros(2, 0, 4), zeros(4), zeros(4), 1),
        r"the 4 channels .*\(2, 0, 4\)",
    ),
    (lambda: ops.group_norm(zeros(4), zeros(4), zeros(4), 2), r"the 0 channels of x, .* \(4,\)"),
    (
        lambda: ops.group_norm(zeros(2, 4), zeros(3), zeros(4), 2),
        r"group_norm: gamma has shape \(3",
    ),
    (
        lambda: ops.group_norm(zeros(2, 4), zeros(4), zeros(3), 2),
        r"group_norm: beta has shape \(3,",
    ),
    (
        lambda: ops.batch_norm(zeros(3), zeros(3), zeros(3)),
        r"batch_norm: wants x of at least two a",
    ),
    (lambda: ops.batch_norm(zeros(2, 3), zeros(3), zeros(2)), r"batch_norm: beta has shape \(2,\)"),
    (
        lambda: ops.normalize(zeros(2, 3), zeros(2), zeros(3), zeros(3), zeros(3)),
        r"normalize: mean has shape \(2,\), but 3 channels \(x has shape \(2, 3\)\) want \(3,\)",
    ),
    (
        lambda: ops.normalize(zeros(2, 3), zeros(3), zeros(1, 3), zeros(3), zeros(3)),
        r"normalize: variance has shape \(1, 3\), but 3 channels",
    ),
    (
        lambda: ops.normalize(zeros(2, 3), zeros(3), zeros(3), zeros(3, 1), zeros(3)),
        r"normalize: gamma has shape \(3, 1\), but 3 channels",
    ),
    (
        lambda: ops.normalize(*[zeros(2, 3)] + [zeros(3)] * 4, activation="tanh"),
        r"normalize: activation must be 'relu' or None, but is 'tanh'",
    ),
]


@pytest.mark.parametrize("call, match", MESSAGES)
def test_shapes_and_settings_that_do_not_fit_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda x, a, b: ops.layer_norm(x, a, b), "layer_norm: beta is float32, but x is float64"),
        (lambda x, a, b: ops.group_norm(x, b, a, 1), "group_norm: gamma is float32, but x is flo"),
        (lambda x, a, b: ops.batch_norm(x, a, b), "batch_norm: beta is float32, but x is float64"),
        (lambda x, a, b: ops.normalize(x, b, a, a, a), "normalize: mean is float32, but x is flo"),
        (lambda x, a, b: ops.normalize(x, a, a, a, b), "normalize: beta is float32, but x is flo"),
    ],
)
def test_one_dtype_is_wanted(call, match):
    with pytest.raises(TypeError, match=match):
        call(zeros(2, 3), zeros(3), zeros(3, dtype=np.float32))
    for name in ("layer_norm", "batch_norm"):
        with pytest.raises(TypeError, match=f"{name}: wants float32 or float64, but x is int64"):
            getattr(ops, name)(zeros(2, 3, dtype=np.int64), zeros(3), zeros(3))
    with pytest.raises(TypeError, match="group_norm: wants float32 or float64, but x is int64"):
        ops.group_norm(zeros(2, 3, dtype=np.int64), zeros(3), zeros(3), 1)
    with pytest.raises(TypeError, match="normalize: wants float32 or float64, but x is int64"):
        ops.normalize(zeros(2, 3, dtype=np.int64), *[zeros(3)] * 4)
