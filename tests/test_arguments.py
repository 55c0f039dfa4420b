"""Numbers and names that users hand to constructors, and how labels, outputs and weights meet."""

import math

import numpy as np
import pytest

from minicnn.arguments import number, optional_number, resolve
from minicnn.pairing import fitting_weights, kind_of_labels


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_all_kinds_of_numbers_become_floats(value):
    assert type(number("x", value)) is float and number("x", value) == 2.0


def test_none_may_be_allowed():
    assert optional_number("x", None) is None
    assert optional_number("x", 1, high=1) == 1.0


@pytest.mark.parametrize(
    "value, limits, error, match",
    [
        ("1", {}, TypeError, r"x must be a number, but is '1' \(str\)"),
        (True, {}, TypeError, r"x must be a number, but is True \(bool\)"),
        (-1, {}, ValueError, "x must be finite and at least 0, but is -1"),
        (math.inf, {}, ValueError, "x must be finite and at least 0, but is inf"),
        (math.nan, {"low": -math.inf}, ValueError, "x must be finite, but is nan"),
        (2, {"high": 1}, ValueError, "x must be from 0 to 1, but is 2"),
        (1, {"below": 1}, ValueError, "x must be from 0 to below 1, but is 1"),
    ],
)
def test_numbers_out_of_range_are_refused(value, limits, error, match):
    with pytest.raises(error, match=match):
        number("x", value, **limits)


def test_a_saved_none_is_what_was_given_or_of_no_argument_that_we_know():
    def make(a=1, b=2):
        return (a, b)

    saved = {"class_name": "pair", "config": {"a": 5, "b": None, "c": None}}
    assert resolve("pair", tuple, {"pair": make}, saved) == (5, None)
    saved["config"]["c"] = 3
    with pytest.raises(TypeError, match="'c'"):
        resolve("pair", tuple, {"pair": make}, saved)
    assert resolve("pair", tuple, {"pair": make}, {"class_name": "pair"}) == (1, 2)
    with pytest.raises(ValueError, match="unknown pair 'par'. Did you mean 'pair'"):
        resolve("pair", tuple, {"pair": make}, {"class_name": "par"})


@pytest.mark.parametrize(
    "y_true, y_pred, kind",
    [
        ((8,), (8,), "binary"),
        ((8,), (8, 1), "binary"),
        ((8, 4, 4), (8, 4, 4, 10), "sparse"),
        ((8, 4, 4, 1), (8, 4, 4, 10), "sparse"),
        ((8, 4, 4, 10), (8, 4, 4, 10), "categorical"),
        ((8, 4), (8, 4, 1), "binary"),
    ],
)
def test_shapes_tell_the_kind_of_labels(y_true, y_pred, kind):
    assert kind_of_labels(y_true, y_pred) == kind


@pytest.mark.parametrize("weights", [np.ones(2), np.ones((2, 1)), np.ones((2, 3)), np.ones(())])
def test_weights_multiply_what_they_are_meant_for(weights):
    fitted = fitting_weights("x", weights, (2, 3))
    assert np.broadcast_shapes(fitted.shape, (2, 3)) == (2, 3)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1,)])
def test_weights_for_other_columns_are_refused(shape):
    with pytest.raises(ValueError, match=r"x: sample_weight has shape \(.*: \(2,\)"):
        fitting_weights("x", np.ones(shape), (2, 3))
