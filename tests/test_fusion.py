"""Layers that are computed together give what they give one by one, to the last bit."""

import numpy as np
import pytest

from minicnn import Tensor, grad, layers, models, watch
from minicnn.autograd import Watcher
from minicnn.layers.fusion import call_end_of_block, go_together


class Names(Watcher):
    """Notes the ops that went forward."""

    def __init__(self):
        self.ops = []

    def after_forward(self, op, inputs, output):
        self.ops.append(type(op).__name__)


def network(*stack):
    return models.Sequential([layers.Input((9, 8, 3)), *stack])


def ops_of(model):
    names = Names()
    with watch(names):
        model(np.ones((2, 9, 8, 3), np.float32))
    return names.ops


@pytest.mark.parametrize(
    ("convolution", "pooling"),
    [
        ({"filters": 5, "kernel_size": 3}, {}),
        ({"filters": 6, "kernel_size": 2, "padding": "same", "use_bias": False}, {}),
        ({"filters": 6, "kernel_size": 3, "strides": 2, "groups": 3}, {"pool_size": 2}),
        ({"filters": 4, "kernel_size": 2, "dilation_rate": 2}, {"pool_size": 3, "strides": 1}),
        ({"filters": 4, "kernel_size": 1}, {"pool_size": (2, 3), "padding": "same"}),
    ],
)
def test_together_and_one_by_one_are_the_same(convolution, pooling):
    one = layers.Conv2D(activation="relu", bias_initializer="normal", **convolution)
    other = layers.MaxPooling2D(**pooling)
    model = network(one, other)
    assert "ConvolveAndPool" in ops_of(model)
    x = np.random.default_rng(0).normal(size=(4, 9, 8, 3)).astype(np.float32)
    results = []
    for call in (model, lambda x: other(one(x))):
        images = Tensor(x, requires_grad=True)
        y = call(images)
        seed = Tensor(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
        results.append([y, *grad(y, [images, *model.weights], seed)])
    assert (results[0][0].numpy() > 0).any()
    for a, b in zip(*results, strict=True):
        if a.shape == (convolution["filters"],):  # the bias: the same numbers in another order
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
        else:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rectifier", [layers.ReLU, lambda: layers.Activation("relu")])
def test_normalization_and_relu_together_and_one_by_one_are_the_same(rectifier, training):
    one = layers.BatchNormalization(gamma_initializer="normal", beta_initializer="normal")
    other = rectifier()
    model = network(one, other)
    assert "Rectify" not in ops_of(model)
    x = np.random.default_rng(0).normal(size=(40, 9, 8, 3)).astype(np.float32)
    before, results = model.get_weights(), []
    for call in (model, lambda x, training: other(one(x, training=training))):
        model.set_weights(before)
        images = Tensor(x, requires_grad=True)
        y = call(images, training=training)
        seed = Tensor(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
        results.append(
            [y, *grad(y, [images, *model.trainable_weights], seed), *model.get_weights()]
        )
    assert 0.1 < (results[0][0].numpy() > 0).mean() < 0.9
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


class MyBatchNormalization(layers.BatchNormalization):
    """A user's own, whose call may do anything."""


@pytest.mark.parametrize(
    "stack",
    [
        (layers.BatchNormalization(), layers.ReLU(max_value=6)),
        (layers.BatchNormalization(), layers.ReLU(threshold=1)),
        (layers.BatchNormalization(), layers.Activation("relu", activity_regularizer="l2")),
        (layers.BatchNormalization(activity_regularizer="l2"), layers.ReLU()),
        (MyBatchNormalization(), layers.ReLU()),
        (layers.BatchNormalization(), layers.Dropout(0.1), layers.ReLU()),
        (layers.BatchNormalization(dtype="float64"), layers.ReLU()),
    ],
    ids=str,
)
def test_other_layers_after_a_normalization_are_left_alone(stack):
    assert not go_together(*stack[:2], Tensor(np.ones((2, 3), np.float32)))


class MyConv2D(layers.Conv2D):
    """A user's own, whose call may do anything."""


@pytest.mark.parametrize(
    "stack",
    [
        (layers.Conv2D(4, 3, activation="tanh"), layers.MaxPooling2D()),
        (layers.Conv2D(4, 3, activation="relu"), layers.AveragePooling2D(2)),
        (layers.Conv2D(4, 3, activation="relu", activity_regularizer="l2"), layers.MaxPooling2D()),
        (MyConv2D(4, 3, activation="relu"), layers.MaxPooling2D()),
        (layers.Conv2D(4, 3, activation="relu"), layers.Dropout(0.1), layers.MaxPooling2D()),
        (layers.Conv2D(4, 3, activation="relu"),),
        (layers.Conv2D(4, 3, activation="relu", dtype="float64"), layers.MaxPooling2D()),
        (layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(dtype="float64")),
    ],
    ids=str,
)
def test_other_layers_are_left_alone(stack):
    assert "ConvolveAndPool" not in ops_of(network(*stack))


def block_end(relu, swapped=False, **settings):
    """relu(norm(x) + shortcut), and the same with layers that somebody watches."""
    x, shortcut = layers.Input((6, 5, 4)), layers.Input((6, 5, 4))
    stack = [layers.BatchNormalization(**settings), layers.Add(), *relu]
    norm, add, *behind = stack
    y = norm(x)
    y = add([shortcut, y] if swapped else [y, shortcut])
    for layer in behind:
        y = layer(y)
    return models.Model([x, shortcut], y), stack


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("relu", "ops"),
    [
        ([], 1),
        ([layers.ReLU], 1),
        ([lambda: layers.Activation("relu"), lambda: layers.Flatten()], 2),
        ([lambda: layers.Activation("tanh")], 2),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_residual_block_ends_in_one_pass(swapped, relu, ops, training):
    model, stack = block_end([make() for make in relu], swapped)
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(3, 6, 5, 4)).astype(np.float32) for _ in model.inputs]
    results = []
    for step in range(2):
        names, inputs = Names(), [Tensor(array, requires_grad=True) for array in data]
        with watch(names):
            y = model(inputs, training=training)
        big = {"Divide", "SquareRoot", "Add"} if not training else set()
        assert step or len([name for name in names.ops if name not in big]) == ops
        seed = Tensor(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
        results.append([y, *grad(y, [*inputs, *model.trainable_weights], seed)])
        stack[0].register_forward_hook(lambda *_: None)  # from now on, they are called one by one
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)


def test_the_end_of_a_block_that_is_watched_is_told_of_training():
    norm, add = stack = [layers.BatchNormalization(momentum=0.5), layers.Add()]
    x = Tensor(np.random.default_rng(0).normal(size=(3, 6, 5, 4)).astype(np.float32))
    add.register_forward_hook(lambda *_: None)
    for training in (False, True):
        y = call_end_of_block(stack, x, [None, x], training)
        wanted = norm(x, training=training).numpy() + x.numpy()
        np.testing.assert_array_equal(y.numpy(), wanted)


def test_a_shortcut_of_another_shape_is_stretched_as_ever():
    x, shortcut = layers.Input((6, 5, 4)), layers.Input((1, 1, 4))
    model = models.Model([x, shortcut], layers.Add()([layers.BatchNormalization()(x), shortcut]))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 6, 5, 4)), rng.normal(size=(3, 1, 1, 4))
    norm = model.layers[1]
    assert isinstance(norm, layers.BatchNormalization)
    wanted = norm(a).numpy() + b.astype(np.float32)
    np.testing.assert_array_equal(model([a, b]).numpy(), wanted)
