"""Powers of e on vectors of numbers, and sigmoid and tanh, which are made of them."""

import numpy as np
import pytest
from test_kernels import A_RUN, normal

from minicnn.backend import kernels

kernels.sigmoid  # noqa: B018  imports the folder of kernels
from minicnn.kernels import exponential  # noqa: E402
from minicnn.kernels.compiling import compiled  # noqa: E402


@pytest.mark.parametrize("size", [0, 1, 7, A_RUN + 1, 100_000])
def test_slopes_of_sigmoid_and_tanh_of_any_size(size):
    dy, y = normal(1, size), normal(2, size)
    np.testing.assert_allclose(kernels.sigmoid.sigmoid_grad(dy, y), dy * y * (1 - y), rtol=1e-13)
    np.testing.assert_allclose(kernels.sigmoid.tanh_grad(dy, y), dy * (1 - y**2), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 7, A_RUN + 1])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_sigmoid_and_tanh_are_exact_to_the_last_two_digits(name, size, dtype):
    x = (normal(1, size) * 10 ** np.linspace(-9, 2, size)).astype(dtype)
    exact = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}[name]
    wanted = exact(x.astype(np.longdouble))
    y = getattr(kernels.sigmoid, name)(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    info = np.finfo(dtype)
    np.testing.assert_array_less(
        np.abs(y - wanted), 3 * np.maximum(info.eps * np.abs(wanted), info.smallest_subnormal)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_series_of_a_power_of_e_is_exact_to_the_last_digit_but_one(dtype):
    """At its ends, ln 2 / 2 from 0, where a term too few or too many would show first."""
    for z in np.concatenate([np.linspace(0.33, 0.3465, 100), np.linspace(-0.3465, -0.33, 100)]):
        n, series = exponential.power_parts(dtype(z))
        exact = np.expm1(np.longdouble(dtype(z)))
        assert n == 0 and abs(series - exact) < 2 * np.spacing(dtype(abs(exact)))


@compiled
def powers_of_two(n, y):
    for k in range(n.size):
        y[k] = exponential.two_to_the(n[k])


@pytest.mark.parametrize("dtype, bias", [(np.float32, 127), (np.float64, 1023)])
def test_powers_of_two_are_exact_and_below_the_normal_ones_next_to_nothing(dtype, bias):
    n = np.arange(-bias - 9, bias + 1).astype(dtype)
    y = np.empty_like(n)
    powers_of_two(n, y)
    large = n > -bias
    np.testing.assert_array_equal(y[large], 2.0 ** n[large])
    assert (y[~large] >= 0).all() and (y[~large] < np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_sigmoid_and_tanh_at_their_ends(name, dtype):
    kernel, huge = getattr(kernels.sigmoid, name), np.finfo(dtype).max
    x = np.array([-np.inf, -huge, huge, np.inf, np.nan, -0.0], dtype)
    y = kernel(x)
    low, middle = (0, 0.5) if name == "sigmoid" else (-1, -0.0)
    np.testing.assert_array_equal(y, [low, low, 1, 1, np.nan, middle])
    assert np.signbit(y[-1]) == (name == "tanh")
