"""Inference computes graphs in one call, branches and all; the numbers do not show it."""

import numpy as np
import pytest

from minicnn import Input, Model, Tensor, backend, layers, no_grad, regularizers
from minicnn.backend import kernels
from minicnn.layers.structure import leaves


def assert_same_in_one_call(model, count):
    """The first `count` layers are computed in one call, and that changes no number."""
    calls = [node for node in model.graph.nodes if not node.is_input]
    randomize(model)
    data = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    wanted = model(data)
    with no_grad():
        got = model(data)
    for one, other in zip(leaves(got), leaves(wanted), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert model._plan._beginning and model._plan._beginning.count == count <= len(calls)


def randomize(model):
    rng = np.random.default_rng(1)
    for weight in model.weights:
        low = 0.1 if "variance" in weight.path else -0.7
        weight.assign(rng.uniform(low, 1, weight.shape))


def conv(x, filters, size=3, stride=1):
    return layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)


def block(x, filters, stride=1):
    """A residual block as in He et al. 2015."""
    y = layers.ReLU()(layers.BatchNormalization()(conv(x, filters, 3, stride)))
    y = layers.BatchNormalization(scale=False)(conv(y, filters))
    if x.shape[3] != filters:
        x = layers.BatchNormalization(center=False)(conv(x, filters, 1, stride))
    return layers.Activation("relu")(layers.Add()([x, y]))


def early_block(x, filters, stride=1):
    """One that normalizes first, as in He et al. 2016, arXiv:1603.05027."""
    y = layers.ReLU()(layers.BatchNormalization()(x))
    if x.shape[3] != filters:
        x = conv(y, filters, 1, stride)
    y = layers.ReLU()(layers.BatchNormalization()(conv(y, filters, 3, stride)))
    return layers.Add()([conv(y, filters), x])


def test_the_beginning_ends_where_there_are_two_results():
    x = Input((12, 12, 3))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.Conv2D(4, 3, activation="relu")(y)
    model = Model(x, [y, layers.Flatten()(y)])
    assert_same_in_one_call(model, 2)  # from there on there are two results


def test_the_beginning_may_end_though_the_input_is_read_again():
    x = Input((6, 6, 3))
    y = layers.Conv2D(4, 3, padding="same")(layers.Conv2D(3, 3, padding="same")(x))
    model = Model(x, layers.Concatenate()([x, y]))
    assert_same_in_one_call(model, 2)


@pytest.mark.parametrize("shape", [(1, 5, 3), (5, 1, 3), (1, 1, 3)])
def test_averages_of_images_that_are_a_pixel_wide(shape):
    x = Input(shape)
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(x))
    assert_same_in_one_call(Model(x, layers.Dense(2)(y)), 3)


@pytest.mark.parametrize("make", [block, early_block])
@pytest.mark.parametrize("head", [[], [layers.GlobalAveragePooling2D, lambda: layers.Dense(3)]])
def test_inference_computes_a_residual_network_in_one_call(make, head):
    x = Input((9, 7, 3))
    y = make(make(make(conv(x, 4), 4), 20, stride=2), 20)
    for layer in head:
        y = layer()(y)
    model = Model(x, y)
    assert_same_in_one_call(model, len(model.layers) - 1)


def test_what_is_read_twice_is_kept_as_it_is():
    x = Input((6, 6, 3))
    a = conv(x, 4)
    b = layers.ReLU()(layers.Dropout(0.5)(a))
    c = layers.MaxPooling2D(2, 1, "same")(b)
    d = layers.Add()([a, b])
    e = layers.Add()([layers.BatchNormalization()(d), d])
    f = layers.Add()([layers.ReLU()(c), layers.ReLU()(e)])
    y = layers.Add()([layers.Add()([f, f]), c])
    assert_same_in_one_call(Model(x, y), 12)


def test_the_input_can_be_a_shortcut():
    x = Input((6, 6, 3))
    y = layers.Add()([x, conv(x, 3)])
    assert_same_in_one_call(Model(x, layers.Add()([y, x])), 3)


@pytest.mark.parametrize(
    ("odd", "count"),
    [
        (lambda x, y: layers.Add()([x, y, x]), 2),
        (lambda x, y: layers.Add()([x, layers.GlobalAveragePooling2D(keepdims=True)(y)]), 2),
        (lambda x, y: layers.Multiply()([x, y]), 2),
        (lambda x, y: layers.BatchNormalization()(y, training=True) + x, 2),
        (lambda x, y: layers.Add(activity_regularizer="l2")([x, y]), 2),
        (lambda x, y: layers.Concatenate()([x, y]), 2),
    ],
)
def test_what_no_link_can_do_ends_the_beginning(odd, count):
    x = Input((6, 6, 3))
    first = conv(conv(x, 4), 4)
    model = Model(x, conv(odd(first, conv(first, 4)), 2))
    assert_same_in_one_call(model, count)


def test_new_statistics_and_settings_are_noticed():
    x = Input((6, 6, 3))
    norm = layers.BatchNormalization()
    relu = layers.ReLU()
    model = Model(x, conv(relu(norm(conv(x, 4))), 4))
    data = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)
    for change in (
        lambda: None,
        lambda: model(data, training=True),
        lambda: setattr(norm, "epsilon", 0.5),
        lambda: norm.gamma.assign([1, 2, 3, 4]),
        lambda: norm.beta.data.fill(-1),
        lambda: setattr(relu, "negative_slope", 0.25),
        lambda: setattr(norm, "activity_regularizer", regularizers.L2()),
    ):
        change()
        wanted = model(data).numpy()
        with no_grad():
            np.testing.assert_array_equal(model(data).numpy(), wanted)


def links_of(model):
    """The links that compute a model whose inference is one call; and that it is right."""
    assert_same_in_one_call(model, len(model.layers) - 1)
    return model._plan._beginning._chain.links


@pytest.mark.parametrize(("make", "count"), [(block, 1 + 2 + 3 + 2), (early_block, 1 + 3 + 4 + 3)])
def test_a_link_does_all_that_it_can(make, count):
    x = Input((9, 7, 3))
    assert len(links_of(Model(x, make(make(make(conv(x, 4), 4), 20, stride=2), 20)))) == count


def test_a_convolution_with_relu_and_a_pooling_are_one_link():
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.MaxPooling2D(2)(y)
    y = layers.MaxPooling2D(2, 1)(y)
    assert len(links_of(Model(x, layers.ReLU()(y)))) == 3  # the second pooling, and relu behind it


def test_a_pooling_behind_normalization_is_a_link_of_its_own():
    x = Input((8, 8, 3))
    y = layers.ReLU()(layers.BatchNormalization()(conv(x, 4)))
    assert len(links_of(Model(x, layers.MaxPooling2D(2)(y)))) == 2


def test_a_pooling_takes_nothing_from_who_reads_it_too():
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    assert len(links_of(Model(x, layers.Add()([y, layers.MaxPooling2D(2, 1, "same")(y)])))) == 3


def test_the_beginning_is_made_once_for_all_sizes_of_a_batch():
    x = Input((6, 6, 3))
    model = Model(x, conv(conv(x, 4), 4))
    made = []
    with no_grad():
        for count in (1, 5, 1):
            model(np.ones((count, 6, 6, 3), np.float32))
            made.append(model._plan._beginning)
    assert made[0] is made[1] is made[2]


def test_a_bias_that_is_taken_away_is_noticed():
    dense, x = layers.Dense(3, bias_initializer="ones"), Input((4,))
    model, data = Model(x, layers.Dense(2)(dense(x))), np.ones((2, 4), np.float32)
    with no_grad():
        model(data)
        dense.bias = None
        got = model(data).numpy()
    np.testing.assert_array_equal(got, model(data).numpy())


def test_weights_in_any_order_in_memory():
    x, norm = Input((6, 6, 3)), layers.BatchNormalization()
    model = Model(x, norm(conv(conv(x, 2), 4)))
    norm.gamma.data = np.arange(8, dtype=np.float32)[::2]
    data = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    with no_grad():
        got = model(data).numpy()
    np.testing.assert_allclose(got, model(data).numpy(), rtol=1e-6)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_results_are_where_the_input_is(activation, monkeypatch):
    x = Input((4,))
    model = Model(x, layers.Dense(2, activation=activation)(layers.Dense(3)(x)))
    data = Tensor(np.ones((2, 4), np.float32))
    monkeypatch.setattr(backend, "_device", "gpu")  # where new tensors would go
    with no_grad():
        assert model(data).device == "cpu"


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_results_are_where_the_model_is(activation):
    if reason := kernels.emulator.why_unavailable():
        pytest.skip(f"the emulator cannot be used: {reason}")
    x = Input((4,))
    model = Model(x, layers.Dense(2, activation=activation)(layers.Dense(3)(x)))
    model.to("emulator")
    with no_grad():
        assert model(np.ones((2, 4), np.float32)).device == "emulator"
