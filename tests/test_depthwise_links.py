"""Inference computes depthwise convolutions and relu with a largest value in its one call."""

import numpy as np
import pytest
from test_beginning_of_graphs import assert_same_in_one_call, conv, links_of, randomize

from minicnn import Input, Model, layers, no_grad


def relu6(x):
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def separable(x, filters, stride):
    """A block of MobileNet: Howard et al. 2017, arXiv:1704.04861."""
    y = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
    return relu6(conv(relu6(y), filters, 1))


def inverted(x, filters, stride):
    """A block of MobileNetV2: Sandler et al. 2018, arXiv:1801.04381."""
    y = relu6(conv(x, 3 * x.shape[3], 1))
    y = relu6(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(y))
    y = layers.BatchNormalization()(conv(y, filters, 1))
    return layers.Add()([x, y]) if x.shape == y.shape else y


@pytest.mark.parametrize(("make", "count"), [(separable, 2), (inverted, 3)])
def test_a_block_is_as_many_links_as_it_has_convolutions(make, count):
    x = Input((13, 9, 3))
    y = make(make(make(conv(x, 12), 24, 2), 24, 1), 7, 1)
    assert len(links_of(Model(x, y))) == 1 + 3 * count


@pytest.mark.parametrize("activation", ["relu", "relu6", "tanh", "linear"])
@pytest.mark.parametrize("use_bias", [False, True])
def test_separable_convolutions_are_two_links(use_bias, activation):
    settings = {"use_bias": use_bias, "activation": activation, "bias_initializer": "ones"}
    x = Input((9, 8, 5))
    y = layers.SeparableConv2D(20, (2, 3), padding="same", strides=2, **settings)(x)
    y = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2, **settings)(y)
    assert len(links_of(Model(x, layers.Dense(3)(layers.Flatten()(y))))) == 4


@pytest.mark.parametrize(
    "odd",
    [
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.DepthwiseConv2D(3, dtype="mixed_bfloat16"),
        lambda: layers.SeparableConv2D(3, 3, depth_multiplier=2),
        lambda: layers.ReLU(6.0, negative_slope=0.5),
        lambda: layers.ReLU(6.0, threshold=0.5),
        lambda: layers.DepthwiseConv2D(3, activity_regularizer="l2"),
        lambda: layers.Activation("tanh"),
    ],
)
def test_what_no_link_can_do_ends_the_beginning(odd):
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 1, activation="relu")(conv(x, 4))
    assert_same_in_one_call(Model(x, conv(odd()(y), 2)), 2)


@pytest.mark.parametrize("channels", [1, 2])
def test_images_of_few_channels_are_depthwise_links_too(channels):
    x = Input((8, 8, channels))
    assert len(links_of(Model(x, conv(conv(layers.DepthwiseConv2D(3)(x), 2), 2)))) == 3


def test_a_pooling_behind_a_depthwise_convolution_is_a_link_of_its_own():
    x = Input((8, 8, 3))
    y = layers.MaxPooling2D(2)(layers.DepthwiseConv2D(3, activation="relu")(x))
    assert len(links_of(Model(x, y))) == 2


@pytest.mark.parametrize("ceiling", [6.0, 0.25, 0.0, None])
def test_relu_behind_a_pooling_has_its_largest_value_too(ceiling):
    x = Input((8, 8, 3))
    y = layers.MaxPooling2D(2)(layers.ReLU(ceiling)(conv(x, 4)))
    y = layers.ReLU(ceiling)(layers.MaxPooling2D(2)(layers.Activation("relu6")(y)))
    links_of(Model(x, y))


def test_new_filters_and_settings_are_noticed():
    x = Input((6, 6, 3))
    depthwise = layers.DepthwiseConv2D(3, padding="same")
    mixed = layers.SeparableConv2D(4, 3, padding="same")
    relu = layers.ReLU(6.0)
    model = Model(x, relu(mixed(depthwise(x))))
    data = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)
    randomize(model)
    results = []
    for change in (
        lambda: None,
        lambda: depthwise.kernel.assign(depthwise.kernel.numpy() * 2),
        lambda: mixed.depthwise_kernel.assign(mixed.depthwise_kernel.numpy() + 1),
        lambda: mixed.pointwise_kernel.assign(mixed.pointwise_kernel.numpy() + 1),
        lambda: setattr(relu, "max_value", 0.5),
        lambda: setattr(mixed, "bias", None),
        lambda: setattr(depthwise, "activation", layers.Activation("tanh")),
    ):
        change()
        wanted = model(data).numpy()
        with no_grad():
            results.append(model(data).numpy())
        np.testing.assert_array_equal(results[-1], wanted)
    for before, after in zip(results, results[1:], strict=False):
        assert (before != after).any()
