"""Activations: the lookup by name, values worked out by hand, and first and second gradients."""

import math

import numpy as np
import pytest

from minicnn import activations, ops
from minicnn.activations import ACTIVATIONS
from minicnn.autograd import Tensor, grad

BY_HAND = [
    ("linear", [-1.5, 2.0], [-1.5, 2.0]),
    ("relu", [-1.5, 0.0, 2.0], [0, 0, 2]),
    ("relu6", [-1.5, 2.0, 7.0], [0, 2, 6]),
    ("leaky_relu", [-1.5, 2.0], [-0.3, 2]),
    ("elu", [-1.0, 2.0], [math.exp(-1) - 1, 2]),
    ("selu", [-1.0, 2.0], [1.05070098 * 1.67326324 * (math.exp(-1) - 1), 2 * 1.05070098]),
    ("gelu", [-1.0, 0.0], [-0.15865525, 0]),
    ("silu", [-1.0, 2.0], [-1 / (1 + math.e), 2 / (1 + math.exp(-2))]),
    ("mish", [math.log(2), -math.log(2)], [0.8 * math.log(2), -5 / 13 * math.log(2)]),
    ("celu", [-1.0, 2.0], [math.exp(-1) - 1, 2]),
    ("sigmoid", [0.0, math.log(3)], [0.5, 0.75]),
    ("hard_sigmoid", [-4.0, -1.5, 1.5, 4.0], [0, 0.25, 0.75, 1]),
    ("hard_silu", [-4.0, -1.5, 1.5, 4.0], [0, -0.375, 1.125, 4]),
    ("tanh", [0.0, math.log(2)], [0, 0.6]),
    ("hard_tanh", [-3.0, 0.5, 3.0], [-1, 0.5, 1]),
    ("softplus", [0.0, math.log(3)], [math.log(2), math.log(4)]),
    ("softsign", [-1.0, 0.0, 3.0], [-0.5, 0, 0.75]),
    ("exponential", [0.0, math.log(3)], [1, 3]),
    ("softmax", [0.0, math.log(3)], [0.25, 0.75]),
    ("log_softmax", [0.0, math.log(3)], [-math.log(4), math.log(0.75)]),
    ("log_sigmoid", [0.0, math.log(3)], [-math.log(2), math.log(0.75)]),
]


def test_every_activation_has_values_worked_out_by_hand():
    assert {name for name, _, _ in BY_HAND} == set(ACTIVATIONS) - {"swish", "hard_swish"}


@pytest.mark.parametrize("name, x, y", BY_HAND)
def test_values_by_hand(name, x, y):
    got = activations.get(name)(Tensor(np.array(x)))
    np.testing.assert_allclose(got.numpy(), y, rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_stays_float32(name):
    assert ACTIVATIONS[name](Tensor(np.array([[-1.0, 2.0]], np.float32))).dtype == np.float32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_first_and_second_gradients_are_slopes(name):
    function, step = ACTIVATIONS[name], 1e-5
    x = np.array([-3.4, -2.2, -0.7, 0.4, 1.3, 2.9, 6.8])
    seed = np.array([0.3, -1.1, 0.7, 1.9, -0.4, 0.8, -1.3])

    def value(x):
        return (function(x) * seed).sum()

    def slope(x):
        return grad(value(x), [x], create_graph=True)[0]

    def second(x):
        dx = slope(x)
        return grad((dx * seed).sum(), [x])[0].numpy() if dx.requires_grad else np.zeros(7)

    for f, got in ((value, slope), (lambda x: (slope(x) * seed).sum(), second)):
        wanted = []
        for k in range(7):
            up, down = x.copy(), x.copy()
            up[k] += step
            down[k] -= step
            ends = [f(Tensor(end, requires_grad=True)).item() for end in (up, down)]
            wanted.append((ends[0] - ends[1]) / (2 * step))
        result = got(Tensor(x, requires_grad=True))
        result = result.numpy() if isinstance(result, Tensor) else result
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - {"exponential"}))
def test_large_numbers_do_not_overflow(name):
    x = Tensor(np.array([-1e4, 1e4]), requires_grad=True)
    y = ACTIVATIONS[name](x)
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(grad(y.sum(), [x])[0].numpy()).all()


@pytest.mark.parametrize(
    "settings, wanted",
    [
        ({}, [0, 0, 0.5, 2, 8]),
        ({"negative_slope": 0.5}, [-1, 0, 0.5, 2, 8]),
        ({"max_value": 6}, [0, 0, 0.5, 2, 6]),
        ({"threshold": 1.0}, [0, 0, 0, 2, 8]),
        ({"threshold": 2.0}, [0, 0, 0, 0, 8]),
        (
            {"negative_slope": 0.5, "max_value": 6, "threshold": 1.0},
            [-1.5, -0.5, -0.25, 2, 6],
        ),
    ],
)
def test_relu_with_all_its_settings(settings, wanted):
    x = Tensor(np.array([-2.0, 0.0, 0.5, 2.0, 8.0]))
    np.testing.assert_array_equal(activations.relu(x, **settings).numpy(), wanted)


def test_relu_with_a_threshold_leaves_nothing_of_minus_infinity():
    y = activations.relu(Tensor([-np.inf, -1.0, np.inf]), threshold=1.0).numpy()
    np.testing.assert_array_equal(y, [0, 0, np.inf])


@pytest.mark.parametrize("settings", [{}, {"negative_slope": 0.5}, {"threshold": 1.0}])
def test_relu_keeps_nan(settings):
    assert np.isnan(activations.relu(Tensor([np.nan]), **settings, max_value=6.0).item())


def test_celu_with_alpha():
    got = activations.celu(Tensor(np.array([-2.0, 1.0])), alpha=2.0)
    np.testing.assert_allclose(got.numpy(), [2 * (math.exp(-1) - 1), 1], rtol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_losses_find_the_logits(name):
    x = Tensor(np.array([[1.0, 2.0]]))
    assert activations.get(name)(x).logits is x


def test_softmax_of_a_single_class_warns():
    with pytest.warns(UserWarning, match="has size 1, so every output is 1.*'sigmoid'"):
        activations.softmax(Tensor([[1.0], [2.0]]))


def test_get_takes_functions_and_none():
    assert activations.get(None) is activations.linear
    assert activations.get(ops.tanh) is ops.tanh


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_names_survive_saving(name):
    function = activations.get(name)
    assert activations.get(activations.serialize(function)) is function


def test_an_object_is_saved_under_the_name_of_its_class():
    class Bend:
        def __call__(self, x):
            return x

    assert activations.serialize(Bend()) == "Bend"


@pytest.mark.parametrize(
    "identifier, error, match",
    [
        ("ReLU", ValueError, "unknown activation 'ReLU'. Did you mean 'relu'"),
        ("sofmax", ValueError, "Did you mean 'softmax'"),
        (3, TypeError, "activation: wants a name or a function, but got 3"),
    ],
)
def test_unknown_names_are_refused(identifier, error, match):
    with pytest.raises(error, match=match):
        activations.get(identifier)


def test_other_names_are_the_same_functions():
    assert activations.swish is activations.silu and activations.hard_swish is activations.hard_silu
