"""Layers that hold layers: weights, names, freezing, losses, files."""

import h5py
import numpy as np
import pytest

from minicnn import grad, layers, ops
from minicnn.layers import BatchNormalization, Conv2D, Dense, Dropout, Layer
from minicnn.layers.nesting import layers_within, parts_of
from minicnn.layers.substitution import same_random_numbers, substituted, turn_into_float64
from minicnn.models import Sequential
from minicnn.variable import Variable


class Residual(Layer):
    """Two convolutions, each normalized, and a way around them."""

    def __init__(self, filters, **keywords):
        super().__init__(**keywords)
        self.one = Conv2D(filters, 3, padding="same", use_bias=False, name="one")
        self.norm_one = BatchNormalization(name="norm_one")
        self.tail = [
            Conv2D(filters, 3, padding="same", use_bias=False, name="two"),
            BatchNormalization(name="norm_two"),
        ]
        self.shortcut = Conv2D(filters, 1, name="around")

    def build(self, input_shape):
        self.scale = self.add_weight((), "ones", name="scale")

    def call(self, x, training=False):
        y = ops.relu(self.norm_one(self.one(x), training))
        for part in self.tail:
            y = part(y, training)
        return ops.relu(y * self.scale + self.shortcut(x))


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def built(layer, shape=(None, 6, 5, 3)):
    layer.ensure_built(shape)
    return layer


PATHS = [
    "block/scale",
    "block/one/kernel",
    *(f"block/norm_one/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")),
    "block/two/kernel",
    *(f"block/norm_two/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")),
    "block/around/kernel",
    "block/around/bias",
]


def test_weights_of_parts_are_found_in_order_with_their_paths():
    block = built(Residual(4, name="block"))
    assert [weight.path for weight in block.weights] == PATHS
    assert [weight.path for weight in block.own_weights] == ["block/scale"]
    assert len(block.trainable_weights) == 9
    assert [weight.name for weight in block.non_trainable_weights] == [
        "moving_mean",
        "moving_variance",
    ] * 2
    assert block.count_params() == 1 + 108 + 16 + 144 + 16 + 16
    assert block.output_shape == (None, 6, 5, 4)


def test_a_model_puts_its_name_in_front():
    model = Sequential([layers.Input((6, 5, 3)), Residual(4, name="block")], name="net")
    assert [weight.path for weight in model.weights] == [f"net/{path}" for path in PATHS]


def test_weights_can_be_set_and_read_through_the_outer_layer():
    one, other, x = built(Residual(4)), built(Residual(4)), images(2, 6, 5, 3)
    assert np.abs(one(x).numpy() - other(x).numpy()).max() > 0
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one(x).numpy(), other(x).numpy())


def test_gradients_reach_the_weights_of_parts():
    block = built(Residual(4))
    y = block(images(5, 6, 5, 3), training=True)
    gradients = grad(ops.sum(y * y), block.trainable_weights)
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)


def test_building_leaves_no_trace_in_the_averages():
    block = built(Residual(4))
    assert not block.norm_one.moving_mean.numpy().any()
    assert (block.norm_one.moving_variance.numpy() == 1).all()


def test_freezing_reaches_the_parts():
    block = built(Residual(4))
    block.trainable = False
    assert not block.tail[0].trainable and block.trainable_weights == []
    block.trainable = True
    assert len(block.trainable_weights) == 9


def test_a_layer_that_is_made_frozen_freezes_its_parts():
    block = built(Residual(4, trainable=False))
    assert block.trainable_weights == [] and not block.norm_one.trainable


def test_losses_of_parts_are_counted_once():
    class Twice(Layer):
        def __init__(self):
            super().__init__()
            self.first = Dense(2, kernel_regularizer="l2", activity_regularizer="l1")
            self.again = self.first
            self.both = (self.first, Dense(2, kernel_regularizer="l1"))

        def call(self, x):
            return self.both[1](self.again(x))

    layer = built(Twice(), (None, 3))
    assert len(parts_of(layer)) == 2
    assert len(layer.weights) == 4
    assert len(layer.losses) == 2  # of the kernels; building has left no trace
    layer(images(4, 3))
    assert len(layer.losses) == 3


def test_losses_of_a_layer_in_two_parts_are_counted_once():
    dense = Dense(4, kernel_regularizer="l2", activity_regularizer="l1")
    parts = [Sequential([layers.Input((4,)), dense]) for _ in range(2)]
    model = Sequential(parts)
    model(images(3, 4))
    assert len(model.losses) == 3  # one of the kernel, and one of each call


class Ready(Layer):
    """Says that it is built, as nothing of it depends on a shape."""

    def __init__(self, part):
        super().__init__()
        self.part = part
        self.built = True

    def call(self, x):
        return self.part(x)


def test_parts_of_a_layer_that_says_it_is_built_are_known_to_it():
    dense = built(Dense(2, kernel_regularizer="l2"), (None, 3))
    assert len(Ready(dense).losses) == 1
    assert (Ready(Dropout(0.5, seed=0))(np.ones((1, 100)), training=True).numpy() == 0).any()


def test_training_is_handed_on():
    class Noisy(Layer):
        def __init__(self):
            super().__init__()
            self.dropout = Dropout(0.5, seed=0)

        def call(self, x, training=False):
            return self.dropout(x, training)

    model, x = Sequential([layers.Input((100,)), Noisy()]), np.ones((1, 100), np.float32)
    assert (model(x).numpy() == 1).all()
    assert (model(x, training=True).numpy() == 0).any()


def test_a_model_can_be_a_part():
    class Around(Layer):
        def __init__(self):
            super().__init__(name="around")
            self.inner = Sequential([Dense(3, name="dense")], name="inner")

        def call(self, x, training=False):
            return x + self.inner(x, training)

    layer = built(Around(), (None, 3))
    paths = [weight.path for weight in layer.weights]
    assert paths == ["around/inner/dense/kernel", "around/inner/dense/bias"]


def test_parts_are_built_at_the_first_call_if_sizes_are_unknown():
    block = built(Residual(4), (None, None, None, 3))
    assert len(block.weights) == 1
    block(images(2, 6, 5, 3))
    assert len(block.weights) == 13


# -- substitution


def test_a_layer_becomes_float64_with_all_its_parts():
    block = built(Residual(4))
    turn_into_float64(block)
    assert [part.dtype for part in layers_within(block)] == ["float64"] * 6
    assert [weight.dtype for weight in block.weights] == ["float64"] * 13
    assert block(images(1, 6, 5, 3)).dtype == np.float64


def test_parts_have_other_weights_for_a_while():
    dense = built(Dense(2), (None, 3))
    layer, kernel, other = Ready(dense), dense.kernel, Variable(np.ones((3, 2), np.float32))
    with substituted(layer, {kernel: other}):
        assert layer.weights[0] is other
        np.testing.assert_array_equal(layer(np.ones((1, 3))).numpy(), [[3, 3]])
    assert dense.kernel is kernel and layer.weights[0] is kernel


def test_parts_draw_their_random_numbers_again():
    layer, x = Ready(Dropout(0.5)), np.ones((1, 100))
    with same_random_numbers(layer):
        y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(layer(x, training=True).numpy(), y)


# -- files


def test_files_name_parts_by_attribute(tmp_path):
    path = tmp_path / "a.weights.h5"
    models = [Sequential([layers.Input((6, 5, 3)), Residual(4), Residual(2)]) for _ in range(2)]
    models[0].save_weights(path)
    with h5py.File(path) as file:
        assert list(file["layers/residual/vars"]) == ["0"]
        assert file["layers/residual_1/one/vars/0"].shape == (3, 3, 4, 2)
        assert len(file["layers/residual/tail/batch_normalization/vars"]) == 4
    models[1].load_weights(path)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_that_is_missing_in_the_file_is_named(tmp_path):
    path = tmp_path / "a.weights.h5"
    model = Sequential([layers.Input((6, 5, 3)), Residual(4)])
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/residual/tail/conv2d"]
    with pytest.raises(
        ValueError, match=r"layer 'two' .* has 1 weights, but .* 0 under layers/residual/tail/conv"
    ):
        model.load_weights(path)


def test_a_part_too_many_in_the_file_is_named(tmp_path):
    path = tmp_path / "a.weights.h5"
    model = Sequential([layers.Input((6, 5, 3)), Residual(4)])
    model.save_weights(path)
    model.layers[0].tail.pop()
    with pytest.raises(ValueError, match="not there: layers/residual/tail/batch_normalization"):
        model.load_weights(path)


def test_a_part_that_comes_late_has_its_weights_counted():
    layer = Dense(2)
    layer.build((None, 3))
    layer.late = Dense(4)
    layer.late.build((None, 3))
    assert layer.weights == [*layer.own_weights, *layer.late.weights]


def test_a_shape_is_checked_again_whenever_it_is_another_one():
    layer = Dense(2)
    for _ in range(2):
        layer(np.ones((5, 3), np.float32))
        with pytest.raises(ValueError, match="3"):
            layer(np.ones((5, 4), np.float32))
        with pytest.raises(ValueError, match="3"):
            layer(np.ones((5, 4), np.float32))  # what did not fit is not remembered
