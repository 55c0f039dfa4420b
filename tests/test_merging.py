"""Layers that make one tensor of several, and arithmetic with symbolic tensors."""

import os
import warnings

import numpy as np
import pytest

from minicnn import Input, Model, layers
from minicnn.layers.merging import Merge
from minicnn.layers.operators import OPERATORS, Operator

A, B, C = (np.random.default_rng(k).normal(size=(2, 3, 4)).astype("float32") for k in range(3))
VALUES = {
    layers.Add: ([A, B, C], A + B + C),
    layers.Subtract: ([A, B], A - B),
    layers.Multiply: ([A, B, C], A * B * C),
    layers.Average: ([A, B, C], (A + B + C) / 3),
    layers.Maximum: ([A, B, C], np.maximum(np.maximum(A, B), C)),
    layers.Minimum: ([A, B, C], np.minimum(np.minimum(A, B), C)),
    layers.Concatenate: ([A, B, C], np.concatenate([A, B, C], axis=-1)),
}


def test_every_merging_layer_is_compared():
    assert set(VALUES) == set(Merge.__subclasses__())


@pytest.mark.parametrize("layer", VALUES, ids=lambda layer: layer.__name__)
def test_values_and_shapes(layer):
    given, wanted = VALUES[layer]
    np.testing.assert_allclose(layer()(given).numpy(), wanted, rtol=1e-6)
    function = getattr(layers, layer.__name__.lower())
    np.testing.assert_allclose(function(given).numpy(), wanted, rtol=1e-6)
    shapes = [(None, *x.shape[1:]) for x in given]
    assert layer().compute_output_shape(shapes) == (None, *wanted.shape[1:])
    inputs = [Input(x.shape[1:]) for x in given]
    model = Model(inputs, function(inputs, name="merged"))
    assert type(model.get_layer("merged")) is layer
    np.testing.assert_allclose(model(given).numpy(), wanted, rtol=1e-6)
    assert type(layer.from_config(layer().get_config())) is layer


def test_concatenate_along_another_axis():
    layer = layers.Concatenate(axis=1)
    assert layer([A, B[:, :1]]).shape == (2, 4, 4)
    assert layer.compute_output_shape([(None, 3, 4), (None, None, 4)]) == (None, None, 4)
    assert layers.Concatenate.from_config(layer.get_config()).axis == 1


@pytest.mark.parametrize(
    ("shapes", "wide", "wanted"),
    [
        ([(3, 4), (4,)], [(3, 4), (1, 4)], (3, 4)),
        ([(3, 4), (1, 4)], [(3, 4), (1, 4)], (3, 4)),
        ([(1, 4), (3, 1), (1, 1)], [(1, 4), (3, 1), (1, 1)], (3, 4)),
        ([(4,), (5, 3, 1), (3, 4)], [(1, 1, 4), (5, 3, 1), (1, 3, 4)], (5, 3, 4)),
        ([(1,), (1, 1)], [(1, 1), (1, 1)], (1, 1)),
    ],
)
def test_axes_of_size_1_are_put_behind_that_of_the_batch(shapes, wide, wanted):
    given = [np.random.default_rng(k).normal(size=(2, *shape)) for k, shape in enumerate(shapes)]
    total = sum(x.reshape(2, *sizes) for x, sizes in zip(given, wide, strict=True))
    np.testing.assert_allclose(layers.Add(dtype="float64")(given).numpy(), total, rtol=1e-12)
    assert layers.Add().compute_output_shape([(2, *shape) for shape in shapes]) == (2, *wanted)
    assert layers.Add().compute_output_shape([(None, *shape) for shape in shapes])[1:] == wanted


def test_sizes_that_are_not_known_yet_stay_open_unless_another_one_decides():
    foretold = layers.Add().compute_output_shape
    assert foretold([(None, None, 4), (None, 3, None)]) == (None, 3, 4)
    assert foretold([(None, None, 1), (None, 1, 1)]) == (None, None, 1)
    side_by_side = layers.Concatenate(axis=-1).compute_output_shape
    assert side_by_side([(None, None, 4), (None, 3, 2)]) == (None, 3, 6)
    assert side_by_side([(None, None, 4), (None, None, None)]) == (None, None, None)
    assert layers.Concatenate(axis=-2).compute_output_shape([(1, 2, 3), (1, 4, 3)]) == (1, 6, 3)


@pytest.mark.parametrize("axis", [0, 1, -1, -2, -3])
def test_tensors_are_put_side_by_side_along_any_axis(axis):
    wanted = np.concatenate([A, B], axis)
    layer = layers.Concatenate(axis)
    np.testing.assert_array_equal(layer([A, B]).numpy(), wanted)
    assert layer.compute_output_shape([A.shape, B.shape]) == wanted.shape
    for far in (-4, 3):
        with pytest.raises(ValueError, match=f"side by side along axis {far}"):
            layers.Concatenate(far)([A, B])


@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((3, 4), (1, 4)), ((1, 4), (3, 1), (3, 4))])
def test_sizes_are_stretched_as_in_keras(shapes):
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras", reason="Keras is not installed")
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(2, *shape)).astype("float32") for shape in shapes]
    wanted = keras.layers.Add()(given).detach().numpy()
    np.testing.assert_allclose(layers.Add()(given).numpy(), wanted, rtol=1e-6)
    batched = [(None, *shape) for shape in shapes]
    assert layers.Add().compute_output_shape(batched) == (None, *wanted.shape[1:])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: layers.Add()(x), r"wants a list of tensors, as in Add\(\)\(\[x, y\]\)"),
        (lambda x: layers.Add()([]), "wants a list of tensors"),
        (lambda x: layers.Add()([x, Input((3,))]), r"cannot combine .* \(None, 4\), \(None, 3\)"),
        (lambda x: layers.Subtract()([x, x, x]), "wants exactly 2 tensors, but got 3"),
        (lambda x: layers.Concatenate()([x, Input((3, 4))]), "side by side along axis -1"),
        (
            lambda x: layers.Concatenate(1)([Input((2, 3)), Input((2, 4))]),
            "all other sizes must be",
        ),
        (lambda x: layers.Concatenate(axis=3)([x, x]), "side by side along axis 3"),
        (lambda x: x + np.ones(7), r"the shapes \(1, 4\) and \(7,\) do not fit"),
    ],
)
def test_what_cannot_be_merged_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make(Input((4,)))


# -- arithmetic

ARITHMETIC = {
    "Add": (lambda x: x + 2.0, lambda x: 2.0 + x),
    "Subtract": (lambda x: x - 2.0, lambda x: 2.0 - x),
    "Multiply": (lambda x: x * 2.0, lambda x: 2.0 * x),
    "TrueDivide": (lambda x: x / 2.0, lambda x: 2.0 / x),
    "Power": (lambda x: x**2.0, lambda x: 2.0**x),
    "Matmul": (lambda x: x @ np.ones((4, 5), np.float32), lambda x: x @ I4),
    "Negative": (lambda x: -x,),
    "Absolute": (lambda x: abs(x),),
    "GetItem": (lambda x: x[:, 1], lambda x: x[:, None, ::2], lambda x: x[..., 1:]),
    "Reshape": (lambda x: x.reshape(-1, 2, 2), lambda x: x.reshape((-1, 4, 1))),
}
I4 = np.eye(4, dtype="float32")


def test_every_operator_is_compared():
    assert set(ARITHMETIC) == set(OPERATORS)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_with_symbolic_tensors_is_that_of_numpy(name):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 4)).astype("float32")
    for calculate in ARITHMETIC[name]:
        symbolic = Input((4,))
        result = calculate(symbolic)
        assert type(result.node.layer) is OPERATORS[name]
        model = Model(symbolic, result)
        wanted = calculate(x)
        np.testing.assert_allclose(model(x).numpy(), wanted, rtol=1e-6)
        assert result.shape == (None, *wanted.shape[1:])
        assert not any(isinstance(layer, Operator) for layer in model.layers)
        again = Model.from_config(model.get_config())
        np.testing.assert_allclose(again(x).numpy(), wanted, rtol=1e-6)


def test_an_array_may_be_the_left_factor():
    x, left = np.random.default_rng(0).random((3, 4, 5), np.float32), np.eye(2, 4, dtype=np.float32)
    symbolic = Input((4, 5))
    model = Model(symbolic, left @ symbolic)
    assert model.output_shape == (None, 2, 5)
    np.testing.assert_array_equal(model(x).numpy(), x[:, :2])


def test_two_symbolic_tensors_are_combined():
    x, y = Input((4,)), Input((4,))
    model = Model([x, y], (x + y) * x - y / x)
    a, b = A[:, 0], B[:, 0]
    np.testing.assert_allclose(model([a, b]).numpy(), (a + b) * a - b / a, rtol=1e-4)


@pytest.mark.parametrize(
    ("use", "error", "match"),
    [
        (np.asarray, ValueError, "is symbolic: it has a shape, but no numbers"),
        (bool, TypeError, "no telling yet whether it is true"),
        (list, TypeError, "cannot go through its rows"),
    ],
)
def test_what_needs_numbers_is_refused(use, error, match):
    with pytest.raises(error, match=match):
        use(Input((4,)))


def test_symbolic_and_real_tensors_do_not_mix():
    from minicnn import Tensor

    with pytest.raises(TypeError, match="symbolic tensors and tensors with numbers at once"):
        layers.Add()([Input((2,)), Tensor(np.ones((1, 2), np.float32))])
