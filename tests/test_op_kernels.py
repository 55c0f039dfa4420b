"""The small kernels of the ops against their references: numbers, layouts, threads."""

import numba
import numpy as np
import pytest

from minicnn.backend import kernels

rng = np.random.default_rng(0)
addition, cross_entropy, dropout, normal_cdf = (
    kernels.addition,
    kernels.softmax_cross_entropy,
    kernels.dropout,
    kernels.normal_cdf,
)


def targets(N, K):
    t = rng.random((N, K))
    return t / t.sum(axis=1, keepdims=True)


CALLS = {
    "softmax_cross_entropy.forward": (
        cross_entropy.forward,
        (rng.normal(size=(17, 5)), targets(17, 5)),
    ),
    "softmax_cross_entropy.forward, large": (
        cross_entropy.forward,
        (1e4 * rng.normal(size=(7, 5)), np.eye(7, 5)),
    ),
    "softmax_cross_entropy.forward, one class": (cross_entropy.forward, (np.ones((2, 1)),) * 2),
    "softmax_cross_entropy.backward": (
        cross_entropy.backward,
        (rng.normal(size=17), rng.normal(size=(17, 5)), targets(17, 5)),
    ),
    "softmax_cross_entropy.backward, large": (
        cross_entropy.backward,
        (rng.normal(size=7), 1e4 * rng.normal(size=(7, 5)), np.eye(7, 5)),
    ),
    "addition.forward": (addition.forward, (*rng.normal(size=(2, 3, 5)), False)),
    "addition.forward, relu": (addition.forward, (*rng.normal(size=(2, 3, 5)), True)),
    "addition.forward, full blocks": (addition.forward, (*rng.normal(size=(2, 512)), False)),
    "addition.forward, a run and one": (addition.forward, (*rng.normal(size=(2, 16_385)), True)),
    "addition.forward, many": (addition.forward, (*rng.normal(size=(2, 50_001)), True)),
    "addition.forward, none": (addition.forward, (*np.zeros((2, 0, 3)), True)),
    "dropout.apply": (dropout.apply, (rng.normal(size=(3, 5)), 0.3, 2**64 + 11)),
    "dropout.apply, full blocks": (dropout.apply, (rng.normal(size=512), 0.1, 0)),
    "dropout.apply, a run and one": (dropout.apply, (rng.normal(size=16_385), 0.1, 2**64 - 1)),
    "dropout.apply, all": (dropout.apply, (rng.normal(size=5), 1.0, 3)),
    "dropout.apply, many": (dropout.apply, (rng.normal(size=100_001), 0.9, 2**63 - 1)),
    "dropout.apply, none": (dropout.apply, (np.zeros((0, 3)), 0.5, 0)),
    "normal_cdf.forward": (normal_cdf.forward, (np.linspace(-40, 40, 81),)),
    "normal_cdf.forward, full blocks": (normal_cdf.forward, (rng.normal(size=512),)),
    "normal_cdf.forward, a run and one": (normal_cdf.forward, (rng.normal(size=4097),)),
    "normal_cdf.forward, many": (normal_cdf.forward, (rng.normal(size=(30, 400)),)),
    "normal_cdf.forward, one": (normal_cdf.forward, (np.array(0.5),)),
}


def in_dtype(args, dtype):
    return [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_the_cpu_version_is_equal_to_the_reference(name, dtype):
    kernel, args = CALLS[name]
    args = in_dtype(args, dtype)
    before = [np.copy(a) for a in args]
    for a in args:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    result = kernel(*args)
    assert result.dtype == dtype
    accuracy = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, kernel.reference(*args), rtol=accuracy, atol=accuracy / 8)
    for now, then in zip(args, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", CALLS)
def test_the_order_in_memory_does_not_matter(name):
    kernel, args = CALLS[name]
    turned = [np.asfortranarray(a) if isinstance(a, np.ndarray) else a for a in args]
    np.testing.assert_array_equal(kernel(*turned), kernel(*args))


MANY = [name for name in CALLS if "many" in name or "a run and one" in name]


@pytest.mark.parametrize("name", MANY)
def test_the_number_of_threads_does_not_matter(name):
    kernel, args = CALLS[name]
    threads = numba.get_num_threads()
    both = kernel(*args)
    numba.set_num_threads(1)
    try:
        one = kernel(*args)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(both, one)


def mixed(z):
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        z = (z ^ (z >> shift)) * factor % 2**64
    return z


@pytest.mark.parametrize("seed", [0, 11, 2**63 + 1, 2**64 + 5, -1])
def test_dropout_keeps_a_number_if_its_draw_is_the_rate_or_above(seed):
    for k in range(10):
        draw = mixed(mixed(seed % 2**64) + (k + 1) * 0x9E3779B97F4A7C15 & 2**64 - 1)
        rate = (draw >> 11) / 2**53
        for apply in (dropout.apply, dropout.apply.reference):
            assert apply(np.ones(10), rate, seed)[k] == 1 / (1 - rate)
            assert apply(np.ones(10), rate + 2**-53, seed)[k] == 0


def test_far_below_0_the_normal_probability_keeps_its_digits():
    # from the continued fraction of Mills' ratio: P(Z < -10)
    y = normal_cdf.forward(np.array([-10.0]))
    np.testing.assert_allclose(y, [7.619853024160527e-24], rtol=1e-13)


def test_a_class_that_cannot_be_and_is_not_asked_for_is_no_nan():
    scores, truth = np.array([[0.0, -np.inf]]), np.array([[1.0, 0.0]])
    assert cross_entropy.forward(scores, truth) == 0
    with np.errstate(invalid="ignore"):
        assert cross_entropy.forward.reference(scores, truth) == 0
