"""Limits of layers: the smallest and the largest value, the empty, the open and the last one."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import Tensor, layers
from minicnn.layers import Input
from minicnn.layers.operators import Add, Reshape
from minicnn.models import Model
from minicnn.random import new_generator

A = np.ones((3, 4), np.float32)

# -- merging


def test_what_has_no_columns_adds_none():
    layer = layers.Concatenate()
    assert layer.compute_output_shape([(None, 0), (None, 3)]) == (None, 3)
    assert layer([np.ones((2, 0)), np.ones((2, 3))]).shape == (2, 3)


# -- noise


@pytest.mark.parametrize("rate", [1, 1.5, -0.1])
def test_alpha_dropout_cannot_drop_everything(rate):
    with pytest.raises(ValueError, match="AlphaDropout: rate must be from 0 to below 1, but is"):
        layers.AlphaDropout(rate)


def test_where_nothing_is_dropped_nothing_is_drawn():  # the numbers behind it stay the same
    layer, x = layers.Dropout(0, seed=1), Tensor(A)
    assert layer(x, training=True) is x


def test_a_rate_of_zero_drops_nothing_whatever_is_drawn():
    layer, x = layers.AlphaDropout(0.0), np.ones((2, 3), np.float32)
    layer._random = SimpleNamespace(random=np.zeros)  # 0 is drawn too rarely to wait for it
    np.testing.assert_array_equal(layer(x, training=True).numpy(), x)


@pytest.mark.parametrize("kind", [layers.Dropout, layers.AlphaDropout])
@pytest.mark.parametrize("noise_shape", [(None, 2), (None, 1, 1), (None,), (), (3, 1)])
def test_a_mask_that_does_not_fit_is_refused(kind, noise_shape):
    layer = kind(0.5, noise_shape=noise_shape, name="noise")
    match = r"layer 'noise' .*noise_shape=.* does not fit inputs of shape \(2, 3\)"
    with pytest.raises(ValueError, match=match):
        layer(np.zeros((2, 3)), training=True)
    with pytest.raises(ValueError, match=match):
        layer.compute_output_shape((2, 3))


@pytest.mark.parametrize("kind", [layers.Dropout, layers.AlphaDropout])
def test_a_mask_may_have_the_sizes_of_the_input(kind):
    layer = kind(0.5, noise_shape=(2, 3), seed=0)
    assert layer(np.ones((2, 3)), training=True).shape == (2, 3)
    assert layer.compute_output_shape((None, 3)) == (None, 3)


@pytest.mark.parametrize("kind", ["GaussianNoise", "GaussianDropout", "AlphaDropout", "Dropout"])
def test_a_seed_is_from_zero_on(kind):
    assert getattr(layers, kind)(0.5, seed=0).seed == 0
    with pytest.raises(ValueError, match=f"{kind}: seed must be an integer of at least 0"):
        getattr(layers, kind)(0.5, seed=-1)


def test_the_numbers_of_a_seed_stay_the_same():
    x = np.full((1, 3), 2, np.float32)
    drawn = new_generator(1).standard_normal((1, 3)).astype(np.float32)
    added = layers.GaussianNoise(0.5, seed=1)(x, training=True).numpy()
    factor = layers.GaussianDropout(0.2, seed=1)(x, training=True).numpy()
    np.testing.assert_allclose(added, 2 + drawn * 0.5, rtol=1e-6)
    np.testing.assert_allclose(factor, 2 * (1 + drawn * 0.5), rtol=1e-6)


# -- symbolic tensors


@pytest.mark.parametrize(
    ("calculate", "shape"),
    [
        (lambda x: x.reshape(-1), (None,)),
        (lambda x: x.reshape([-1, 1]), (None, 1)),
        (lambda x: x[:, 1], (None,)),
        (lambda x: x[...], (None, 4)),
        (lambda x: x[..., None, ::2], (None, 1, 2)),
    ],
)
def test_shapes_and_indices_come_out_of_a_file_as_they_went_in(calculate, shape):
    symbolic, x = Input((4,)), np.arange(12.0).reshape(3, 4)
    model = Model(symbolic, calculate(symbolic))
    assert model.output_shape == shape
    for one in (model, Model.from_config(json.loads(json.dumps(model.get_config())))):
        np.testing.assert_array_equal(one(x).numpy(), calculate(x))


def test_a_symbolic_tensor_takes_the_shape_of_another_whose_batch_is_open():
    one, other = Input((4,)), Input((2, 2))
    model = Model([one, other], one.reshape(other.shape) + other)
    x, y = np.arange(12.0).reshape(3, 4), np.ones((3, 2, 2))
    np.testing.assert_array_equal(model([x, y]).numpy(), x.reshape(3, 2, 2) + 1)
    np.testing.assert_array_equal(
        Model.from_config(model.get_config())([x, y]).numpy(), x.reshape(3, 2, 2) + 1
    )


def test_an_operator_keeps_its_name():
    for operator in (Add("sum"), Reshape((-1, 2), "pairs")):
        assert type(operator).from_config(operator.get_config()).name == operator.name
    assert operator.name == "pairs"


def test_a_truth_value_behind_an_operator_is_a_number():
    x = Input((4,))
    np.testing.assert_array_equal(Model(x, x + True)(A).numpy(), A + 1)


def test_a_sum_of_two_inputs_is_the_same_while_a_model_learns():
    x, y = Input((4,)), Input((4,))
    model = Model([x, y], x + y)
    np.testing.assert_array_equal(model([A, A], training=True).numpy(), A + A)


# -- structures


@pytest.mark.parametrize(
    "given",
    [
        {"left": A, "other": A},
        {"left": A},
        [A, A],
        [[A], A],
        A,
    ],
)
def test_inputs_in_another_structure_are_refused(given):
    x, y = Input((4,), name="one"), Input((4,), name="two")
    model = Model({"left": x, "right": y}, x + y)
    np.testing.assert_array_equal(model({"right": A, "left": A}).numpy(), A + A)
    with pytest.raises(ValueError, match="Give the inputs in that form"):
        model(given)


@pytest.mark.parametrize("given", [A, [A], [A, A], [A, [A]], [A, [A, A], A], [[A, A], A]])
def test_lists_of_other_lengths_are_refused(given):
    x, y, z = (Input((4,)) for _ in range(3))
    model = Model([x, [y, z]], x + y * z)
    np.testing.assert_array_equal(model((A, (A, A))).numpy(), A + A)
    with pytest.raises(ValueError, match="Give the inputs in that form"):
        model(given)


# -- shapes


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.UpSampling2D(), (None, 3)),
        (layers.Resizing(2, 2), (None, 3)),
        (layers.CenterCrop(2, 2), (None, 3, 3)),
        (layers.MaxPooling2D(), (None, 3)),
        (layers.GlobalMaxPooling2D(), (None, 3, 3)),
        (layers.Conv2DTranspose(2, 2), (None, 3)),
        (layers.Permute((2, 1)), (None, 3, 3, 3)),
        (layers.RepeatVector(2), (None, 3, 3)),
        (layers.Reshape((-1, 2)), (None, 3)),
        (layers.BatchNormalization(), (None,)),
        (layers.BatchNormalization(axis=1), (None, 3, 3)),
        (layers.LayerNormalization(axis=2), (None, 3)),
        (layers.GroupNormalization(2), (None, 3)),
        (layers.Normalization((1, 2)), (None, 3)),
        (layers.SpatialDropout2D(0.5), (None, 3)),
        (layers.RandomRotation(0.5), (None, 3)),
        (layers.Subtract(), (None, 3)),
        (layers.Subtract(), [(None, 3)] * 3),
        (layers.Add(), [(None, 3), (None, 4)]),
        (layers.Concatenate(), [(None, 3, 3), (None, 4, 3)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_shape_that_a_layer_cannot_take_has_no_output_shape(layer, shape):
    with pytest.raises(ValueError, match=rf"^layer '{layer.name}' \("):
        layer.compute_output_shape(shape)
    with pytest.raises(ValueError, match=rf"^layer '{layer.name}' \("):
        layer.check_input(shape)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv2DTranspose(2, 2), (None, 3)),
        (layers.BatchNormalization(axis=1), (None, 3, 3)),
        (layers.LayerNormalization(axis=[1, -1]), (None, 3)),
        (layers.GroupNormalization(2), (None, 3)),
        (layers.Normalization((1, -1)), (None, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_makes_no_weights_for_a_shape_that_it_cannot_take(layer, shape):
    with pytest.raises(ValueError, match=rf"^layer '{layer.name}' \("):
        layer.build(shape)
    assert not layer.built and not layer.weights


@pytest.mark.parametrize(
    "kind", ["BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization"]
)
def test_what_normalizes_says_that_a_batch_axis_is_missing(kind):
    layer = getattr(layers, kind)(name="norm")
    match = rf"^layer 'norm' \({kind}\): wants inputs of at least two axes"
    with pytest.raises(ValueError, match=match):
        layer.check_input((None,))
    with pytest.raises(ValueError, match=match):
        layer(np.zeros(32))
