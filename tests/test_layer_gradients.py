"""Gradients of layers, by finite differences, for the input and for every weight."""

import numpy as np
import pytest

from minicnn.autograd import Tensor, grad
from minicnn.gradcheck import check_gradient, gradcheck
from minicnn.layers import (
    ELU,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    LeakyReLU,
    MaxPooling2D,
    PReLU,
    ReLU,
    Reshape,
    SeparableConv2D,
    Softmax,
    ZeroPadding2D,
)

IMAGES = (2, 5, 6, 4)
CASES = {
    "dense": (lambda **k: Dense(3, **k), (3, 5)),
    "dense tanh on images": (lambda **k: Dense(3, "tanh", **k), IMAGES),
    "dense softmax": (lambda **k: Dense(3, "softmax", **k), (3, 5)),
    "dense without bias": (lambda **k: Dense(3, use_bias=False, **k), (3, 5)),
    "conv2d": (lambda **k: Conv2D(3, 3, **k), IMAGES),
    "conv2d relu": (lambda **k: Conv2D(3, (3, 2), activation="relu", **k), IMAGES),
    "conv2d elu": (lambda **k: Conv2D(3, 2, activation="elu", **k), IMAGES),
    "conv2d strides": (lambda **k: Conv2D(3, 3, (2, 3), padding="same", **k), IMAGES),
    "conv2d dilated": (lambda **k: Conv2D(3, 2, dilation_rate=(2, 1), **k), IMAGES),
    "conv2d groups": (lambda **k: Conv2D(4, 3, groups=2, activation="relu", **k), IMAGES),
    "depthwise": (lambda **k: DepthwiseConv2D(3, padding="same", **k), IMAGES),
    "depthwise relu": (
        lambda **k: DepthwiseConv2D(3, 2, depth_multiplier=2, activation="relu", **k),
        IMAGES,
    ),
    "separable": (lambda **k: SeparableConv2D(3, 2, depth_multiplier=2, **k), IMAGES),
    "separable elu": (lambda **k: SeparableConv2D(3, 3, (2, 3), activation="elu", **k), IMAGES),
    "max pooling": (lambda **k: MaxPooling2D((2, 3), **k), IMAGES),
    "max pooling same": (lambda **k: MaxPooling2D(3, 2, "same", **k), IMAGES),
    "average pooling": (lambda **k: AveragePooling2D(2, 1, **k), IMAGES),
    "average pooling same": (lambda **k: AveragePooling2D(3, 2, "same", **k), IMAGES),
    "global average": (lambda **k: GlobalAveragePooling2D(**k), IMAGES),
    "global max": (lambda **k: GlobalMaxPooling2D(keepdims=True, **k), IMAGES),
    "flatten": (lambda **k: Flatten(**k), IMAGES),
    "reshape": (lambda **k: Reshape((3, -1), **k), IMAGES),
    "zero padding": (lambda **k: ZeroPadding2D(((1, 2), (0, 3)), **k), IMAGES),
    "activation": (lambda **k: Activation("gelu", **k), IMAGES),
    "relu": (lambda **k: ReLU(max_value=1, negative_slope=0.1, threshold=0.2, **k), IMAGES),
    "leaky relu": (lambda **k: LeakyReLU(**k), IMAGES),
    "prelu": (lambda **k: PReLU(shared_axes=[1], **k), IMAGES),
    "elu": (lambda **k: ELU(0.7, **k), IMAGES),
    "softmax": (lambda **k: Softmax(axis=1, **k), IMAGES),
}


def as_function(layer):
    """The layer as a function of its input and its weights; its last output, squared, bends."""
    names = [weight.name for weight in layer.weights]

    def function(x, *weights):
        for name, weight in zip(names, weights, strict=True):
            setattr(layer, name, weight)
        y = layer(x)
        return y * y

    return function


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_right_to_second_order(case):
    make, shape = CASES[case]
    layer = make(dtype="float64")
    layer.ensure_built(shape)
    rng = np.random.default_rng(1)
    # All numbers differ, and none lies at a kink: max pooling needs a winner, relu a side.
    x = (rng.permutation(np.prod(shape)) / np.prod(shape) * 3 - 1.49).reshape(shape)
    check_gradient(as_function(layer), x, *[rng.normal(size=w.shape) for w in layer.weights])


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.25, 1.0, 3.0])
def test_prelu_has_at_0_the_slope_of_the_left_side(alpha, device):
    layer = PReLU(lambda shape, dtype: np.full(shape, alpha, dtype))
    x = Tensor(np.array([[-2.0, 0.0, -0.0, 3.0]], np.float32), requires_grad=True)
    dx, dalpha = grad(layer(x).sum(), [x, layer.alpha])
    np.testing.assert_array_equal(dx.numpy(), np.float32([[alpha, alpha, alpha, 1]]))
    np.testing.assert_array_equal(dalpha.numpy(), np.float32([-2, 0, 0, 0]))


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_prelu_is_cleared_at_its_kink(alpha):
    layer = PReLU(dtype="float64")
    layer.ensure_built((1, 4))

    def function(x, slopes):
        layer.alpha = slopes
        return layer(x)

    assert gradcheck(function, np.array([[-2.0, 0.0, -0.0, 3.0]]), np.full(4, alpha))


def test_prelu_passes_nan_on():
    assert np.isnan(PReLU("ones")(np.array([[np.nan]])).numpy()).all()


def test_dropout_has_the_gradient_of_its_mask():
    x = np.random.default_rng(0).normal(size=(3, 4))

    def function(x):
        y = Dropout(0.5, seed=3, dtype="float64")(x, training=True)  # the same mask every time
        return y * y

    assert (function(Tensor(x)).numpy() == 0).any()
    check_gradient(function, x)


def test_batch_normalization_has_the_gradients_of_its_training():
    layer = BatchNormalization(dtype="float64")
    layer.ensure_built(IMAGES)
    rng = np.random.default_rng(0)

    def function(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        y = layer(x, training=True)
        return y * y

    check_gradient(function, rng.normal(size=IMAGES), rng.normal(size=4), rng.normal(size=4))
