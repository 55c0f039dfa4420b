"""Inference computes the first layers of a model in one call; the numbers do not show it."""

import numpy as np
import pytest

from minicnn import activations, layers, models, no_grad, utils, watch
from minicnn.autograd import Watcher
from minicnn.layers.beginning import Beginning


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolutional(**settings):
    utils.set_random_seed(0)
    return models.Sequential(
        [
            layers.Input((13, 11, 3)),
            layers.Conv2D(8, 3, activation="relu", padding="same", bias_initializer="ones"),
            layers.MaxPooling2D(3, 2, padding="same"),
            layers.Conv2D(20, 3, strides=2, use_bias=False),
            layers.Conv2D(16, 2, activation="relu", dilation_rate=2, padding="same"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(33, activation="relu"),
            layers.Dense(5, **settings),
        ]
    )


def lenet(curve, **settings):
    utils.set_random_seed(0)
    return models.Sequential(
        [
            layers.Input((12, 13, 1)),
            layers.Conv2D(6, 3, activation=curve, padding="same", bias_initializer="ones"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 3, activation=curve),
            layers.MaxPooling2D((2, 1), (1, 2)),
            layers.AveragePooling2D(2, 1, padding="same"),
            layers.Flatten(),
            layers.Dense(12, activation=curve),
            layers.Dense(5, **settings),
            layers.Dropout(0.5),
        ]
    )


def both_ways(model, x):
    """In one call, and layer by layer: an op that is recorded is computed by itself."""
    with no_grad():
        at_once = model(x)
    return at_once.numpy(), model(x).numpy()


@pytest.mark.parametrize("activation", [None, "relu", "softmax", "tanh"])
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_the_numbers_are_the_same_to_the_last_bit(activation, count):
    at_once, one_by_one = both_ways(convolutional(activation=activation), images(count, 13, 11, 3))
    np.testing.assert_array_equal(at_once, one_by_one)


@pytest.mark.parametrize("activation", [None, "sigmoid", "softmax", "tanh", "elu"])
@pytest.mark.parametrize("curve", ["sigmoid", "tanh"])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_curves_and_poolings_are_the_same_to_the_last_bit(curve, activation, count):
    model = lenet(curve, activation=activation)
    at_once, one_by_one = both_ways(model, images(count, 12, 13, 1))
    np.testing.assert_array_equal(at_once, one_by_one)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_all_layers_of_a_plain_network_belong_to_the_beginning(activation):
    for model in (
        convolutional(activation=activation),
        convolutional(activation="softmax"),
        lenet("tanh", activation=activation),
    ):
        x = model.as_input(images(2, *model.input_shape[1:]))
        assert Beginning.of_row(model.layers, x).count == len(model.layers)


@pytest.mark.parametrize(
    "odd",
    [
        lambda: layers.Conv2D(4, 3, activation="elu"),
        lambda: layers.Conv2D(4, 3, activity_regularizer="l2"),
        lambda: layers.Conv2D(6, 3, groups=2),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.BatchNormalization(),
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        lambda: layers.ZeroPadding2D(1),
        lambda: layers.Dense(7),
        lambda: layers.Conv2D(4, 3, dtype="float64"),
    ],
)
def test_what_no_link_can_do_ends_the_beginning(odd):
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Conv2D(6, 3, activation="relu", input_shape=(12, 12, 2)),
            layers.Conv2D(4, 3),
            odd(),
            layers.Conv2D(5, 3, activation="relu", padding="same"),
            layers.Flatten(),
        ]
    )
    np.testing.assert_array_equal(*both_ways(model, images(3, 12, 12, 2)))


def test_new_weights_are_noticed():
    model, x = convolutional(), images(4, 13, 11, 3)
    model.compile("sgd", "mse")
    for change in (
        lambda: model.fit(x, images(4, 5), verbose=0),
        lambda: model.layers[0].kernel.assign(images(3, 3, 3, 8)),
        lambda: model.layers[0].kernel.data.fill(0.5),
        lambda: model.set_weights([weight + 1 for weight in model.get_weights()]),
    ):
        before, _ = both_ways(model, x)
        change()
        after, one_by_one = both_ways(model, x)
        np.testing.assert_array_equal(after, one_by_one)
        assert (after != before).any()


def test_new_layers_settings_and_shapes_are_noticed():
    model = convolutional()
    np.testing.assert_array_equal(*both_ways(model, images(2, 13, 11, 3)))
    model.add(layers.Dense(3))
    np.testing.assert_array_equal(*both_ways(model, images(2, 13, 11, 3)))
    model.pop()
    model.layers[0].activation = activations.tanh
    np.testing.assert_array_equal(*both_ways(model, images(3, 13, 11, 3)))


def test_images_of_any_size():
    utils.set_random_seed(0)
    model = models.Sequential([layers.Input((None, None, 1))])
    model.add(layers.Conv2D(4, 3, activation="relu"))
    model.add(layers.Conv2D(4, 3))
    for size in (9, 14, 9):
        np.testing.assert_array_equal(*both_ways(model, images(2, size, size + 1, 1)))


def test_no_images_at_all():
    with no_grad():
        assert convolutional()(images(0, 13, 11, 3)).shape == (0, 5)


def test_who_watches_sees_every_op():
    class Names(Watcher):
        def __init__(self):
            self.seen = []

        def after_forward(self, op, inputs, output):
            self.seen.append(type(op).__name__)

    names = Names()
    with watch(names), no_grad():
        convolutional()(images(1, 13, 11, 3))
    assert names.seen.count("Combine") == 2 and "ConvolveAndPool" in names.seen


def test_probabilities_of_a_single_class_are_warned_of_as_ever():
    model = models.Sequential([layers.Input((6,)), layers.Dense(4), layers.Dense(1)])
    model.layers[-1].activation = activations.softmax
    with no_grad(), pytest.warns(UserWarning, match="every output is 1"):
        assert (model(images(3, 6)).numpy() == 1).all()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_probabilities_remember_their_scores(activation):
    model, x = convolutional(activation=activation), images(40, 13, 11, 3)
    with no_grad():
        y = model(x)
    model.layers[-1].activation = activations.linear
    np.testing.assert_array_equal(y.logits.numpy(), model(x).numpy())


def test_sigmoid_remembers_its_scores_through_layers_that_do_nothing():
    model, x = lenet("tanh", activation="sigmoid"), images(3, 12, 13, 1)
    with no_grad():
        y = model(x)
    model.layers[-2].activation = activations.linear
    np.testing.assert_array_equal(y.logits.numpy(), model(x).numpy())


def test_evaluate_takes_the_loss_from_the_scores():
    model, x, y = convolutional(activation="softmax"), images(6, 13, 11, 3), np.arange(6) % 5
    model.layers[-1].kernel.assign(1000 * images(33, 5))  # so that probabilities are rounded to 0
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate(x, y, verbose=0) > 100  # of a rounded one, the loss would be 16
