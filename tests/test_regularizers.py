"""Regularizers: penalties worked out by hand, their gradients, and names."""

import numpy as np
import pytest

from minicnn import ops, regularizers
from minicnn.autograd import Tensor, grad
from minicnn.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer

W = np.array([[1.0, -2.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    "regularizer, penalty, slope",
    [
        (L1(0.5), 3.5, 0.5 * np.sign(W)),
        (L2(0.5), 10.5, W),
        (L1L2(l1=0.5, l2=0.25), 8.75, 0.5 * np.sign(W) + 0.5 * W),
        (L1L2(), 0.0, 0 * W),
        (L1(), 0.07, 0.01 * np.sign(W)),
        (L2(), 0.21, 0.02 * W),
        # rows (1, -2) and (0, 4): the cosine is -2 / sqrt(5)
        (
            OrthogonalRegularizer(0.5),
            1 / np.sqrt(5),
            [[-1 / 5**1.5, -0.5 / 5**1.5], [-0.125 / np.sqrt(5), 0]],
        ),
        # columns (1, 0) and (-2, 4): the cosine is -1 / sqrt(5)
        (
            OrthogonalRegularizer(0.5, "columns"),
            0.5 / np.sqrt(5),
            [[0, -0.4 / np.sqrt(20)], [-1 / np.sqrt(5), -0.2 / np.sqrt(20)]],
        ),
    ],
)
def test_penalties_and_their_gradients(regularizer, penalty, slope):
    w = Tensor(W, requires_grad=True)
    result = regularizer(w)
    assert result.shape == () and result.item() == pytest.approx(penalty, rel=1e-12)
    (dw,) = grad(result + ops.sum(w) * 0.0, [w])
    np.testing.assert_allclose(dw.numpy(), slope, rtol=1e-12, atol=1e-15)


def test_float32_stays_float32():
    assert L1L2(0.1, 0.1)(Tensor(W.astype(np.float32))).dtype == np.float32


@pytest.mark.parametrize(
    "name, cls", [("l1", L1), ("L1", L1), ("l2", L2), ("L2", L2), ("L1L2", L1L2), ("l1l2", L1L2)]
)
def test_regularizers_are_found_by_name(name, cls):
    assert type(regularizers.get(name)) is cls


def test_keras_other_names_are_the_same_classes():
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)


def test_get_takes_objects_classes_functions_and_none():
    def mine(w):
        return ops.sum(w)

    l2 = L2(0.5)
    assert regularizers.get(l2) is l2
    assert type(regularizers.get(L1)) is L1
    assert regularizers.get(mine) is mine
    assert regularizers.serialize(mine) == "mine"
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None


@pytest.mark.parametrize(
    "regularizer", [L1(0.5), L2(0.5), L1L2(0.25, 0.5), OrthogonalRegularizer(0.5, "columns")]
)
def test_a_config_makes_the_same_regularizer(regularizer):
    config = regularizer.get_config()
    assert type(regularizer).from_config(config).get_config() == config
    again = regularizers.get(regularizers.serialize(regularizer))
    assert type(again) is type(regularizer) and again.get_config() == config


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: regularizers.get("l1_l2"), ValueError, "'l1_l2'. Did you mean 'L1L2'"),
        (lambda: regularizers.get(3), TypeError, "regularizer: wants a name or an object"),
        (lambda: L1(-1), ValueError, "L1: l1 must be finite and at least 0, but is -1"),
        (lambda: L2("0.1"), TypeError, "L2: l2 must be a number, but is '0.1'"),
        (lambda: L1L2(l2=float("inf")), ValueError, "L1L2: l2 must be finite"),
        (lambda: OrthogonalRegularizer(mode="row"), ValueError, "mode must be 'rows' or 'columns'"),
        (
            lambda: OrthogonalRegularizer()(Tensor(np.ones((3, 1)))),
            ValueError,
            r"OrthogonalRegularizer: wants a matrix of several .* has shape \(3, 1\)",
        ),
        (lambda: Regularizer()(Tensor(W)), NotImplementedError, "Regularizer defines no __call__"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_penalty_has_the_dtype_of_the_weight(dtype):
    w = Tensor(np.array([[1.0, 0.0], [3.0, 4.0]], dtype))
    for regularizer in (L1(0.5), L2(0.5), L1L2(0.5, 0.5), OrthogonalRegularizer(0.5)):
        assert regularizer(w).dtype == dtype


def test_rows_that_all_point_into_one_direction_cost_the_factor():
    w = Tensor(np.outer([1.0, 2.0, -3.0], [1.0, 1.0, 4.0, 0.0]))
    assert OrthogonalRegularizer(0.5)(w).item() == pytest.approx(0.5)
