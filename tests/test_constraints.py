"""Constraints: weights worked out by hand, names, and what optimizers do with them."""

import numpy as np
import pytest

from minicnn import constraints
from minicnn.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from minicnn.optimizers import SGD
from minicnn.variable import Variable

W = np.array([[3.0, -0.3], [4.0, 0.4]])  # columns of length 5 and 0.5, rows of other lengths
ROWS = np.hypot(W[:, :1], W[:, 1:])


@pytest.mark.parametrize(
    "constraint, wanted",
    [
        (NonNeg(), [[3.0, 0.0], [4.0, 0.4]]),
        (MaxNorm(2), W * [0.4, 1]),
        (MaxNorm(), W * [0.4, 1]),
        (MaxNorm(1, axis=1), W / ROWS),
        (MaxNorm(1, axis=[0, 1]), W / np.sqrt(25.25)),
        (UnitNorm(), W * [0.2, 2]),
        (UnitNorm(axis=-1), W / ROWS),
        (MinMaxNorm(), W * [0.2, 1]),
        (MinMaxNorm(min_value=1, max_value=2), W * [0.4, 2]),
        (MinMaxNorm(min_value=1, max_value=2, rate=0.5), W * [0.7, 1.5]),
    ],
)
def test_weights_become_the_nearest_allowed_ones(constraint, wanted):
    before = W.copy()
    np.testing.assert_allclose(constraint(W), wanted, rtol=1e-6)
    np.testing.assert_array_equal(W, before)
    assert constraint(W.astype(np.float32)).dtype == np.float32


def test_vectors_of_length_0_stay():
    np.testing.assert_array_equal(UnitNorm()(np.zeros((3, 2))), np.zeros((3, 2)))


def test_an_optimizer_applies_them_after_its_step():
    w = Variable(np.array([[3.0], [4.0]]), constraint=UnitNorm())
    SGD(1.0).apply([np.array([[0.0], [8.0]])], [w])
    np.testing.assert_allclose(w.numpy(), [[0.6], [-0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    "name, cls",
    [
        ("max_norm", MaxNorm),
        ("MaxNorm", MaxNorm),
        ("non_neg", NonNeg),
        ("unit_norm", UnitNorm),
        ("min_max_norm", MinMaxNorm),
    ],
)
def test_constraints_are_found_by_name(name, cls):
    assert type(constraints.get(name)) is cls
    if name.islower():
        assert getattr(constraints, name) is cls


def test_get_takes_objects_classes_functions_and_none():
    unit = UnitNorm()
    assert constraints.get(unit) is unit
    assert type(constraints.get(NonNeg)) is NonNeg
    assert constraints.get(np.abs) is np.abs
    assert constraints.serialize(np.abs) == "absolute"
    assert constraints.get(None) is None
    assert constraints.serialize(None) is None


@pytest.mark.parametrize(
    "constraint",
    [NonNeg(), MaxNorm(3, axis=[0, 1, 2]), UnitNorm(axis=(0, 1)), MinMaxNorm(0.5, 2, 0.25, 1)],
)
def test_a_config_makes_the_same_constraint(constraint):
    config = constraint.get_config()
    assert type(constraint).from_config(config).get_config() == config
    again = constraints.get(constraints.serialize(constraint))
    assert type(again) is type(constraint) and again.get_config() == config


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: constraints.get("max_nrm"), ValueError, "'max_nrm'. Did you mean 'max_norm'"),
        (lambda: constraints.get(3), TypeError, "constraint: wants a name or an object"),
        (lambda: MaxNorm(-1), ValueError, "MaxNorm: max_value must be finite and at least 0"),
        (lambda: MinMaxNorm(rate=2), ValueError, "MinMaxNorm: rate must be from 0 to 1"),
        (lambda: MinMaxNorm("0"), TypeError, "MinMaxNorm: min_value must be a number"),
        (lambda: UnitNorm(axis="0"), TypeError, "UnitNorm: axis must be an integer or a list"),
        (lambda: UnitNorm(axis=[0, 1.5]), TypeError, "UnitNorm: axis must be an integer or a list"),
        (lambda: Constraint()(W), NotImplementedError, "Constraint defines no __call__"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
