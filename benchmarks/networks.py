"""The networks that are compared, said once: the with_*.py say how each library writes them down.

Here is also what all sides share: the weights they start from, their data, and how many
multiplications and additions the networks take.
"""

from typing import NamedTuple

import numpy as np

CLASSES = 10
RATE = 0.01


class Conv(NamedTuple):
    """A convolution; "same" zeros are distributed as in Keras."""

    filters: int
    size: int = 3
    stride: int = 1
    padding: str = "valid"
    bias: bool = True
    activation: str | None = None


class Depthwise(NamedTuple):
    """A convolution of each channel with a filter of its own; "same" zeros, no bias."""

    size: int = 3
    stride: int = 1


class Norm(NamedTuple):
    """Batch normalization with Keras' settings."""

    momentum: float = 0.99
    epsilon: float = 1e-3


class Activate(NamedTuple):
    """An activation on its own."""

    name: str


class Pool(NamedTuple):
    """Pooling with windows that do not overlap."""

    kind: str  # "max" or "average"
    size: int = 2


class GlobalAverage(NamedTuple):
    """The mean of each channel."""


class Flatten(NamedTuple):
    """Rows, columns and channels become one axis."""


class Dense(NamedTuple):
    """A matrix product with a bias."""

    units: int
    activation: str | None = None


class Residual(NamedTuple):
    """relu(body(x) + shortcut(x)); an empty shortcut is x itself.

    Where the body changes the shape, the shortcut is a convolution of single pixels, with batch
    normalization: option B of the paper.
    """

    body: tuple
    shortcut: tuple = ()


class Network(NamedTuple):
    """What goes in, the chain of layers, and how it is trained.

    Training is by Adam with Keras' settings; or, with a momentum, by gradient descent at RATE.
    """

    title: str
    image_shape: tuple[int, int, int]
    layers: tuple
    momentum: float | None = None


def _tutorial():
    """The network of Keras' CNN tutorial, with a wider last part."""
    return (
        *(Conv(32, activation="relu"), Pool("max")),
        *(Conv(64, activation="relu"), Pool("max")),
        *(Conv(128, activation="relu"), Pool("max")),
        *(Flatten(), Dense(128, "relu"), Dense(CLASSES, "softmax")),
    )


def _lenet():
    """LeNet-5 with a softmax; LeCun et al. 1998, doi:10.1109/5.726791."""
    return (
        *(Conv(6, 5, activation="tanh"), Pool("average")),
        *(Conv(16, 5, activation="tanh"), Pool("average")),
        *(Flatten(), Dense(120, "tanh"), Dense(84, "tanh"), Dense(CLASSES, "softmax")),
    )


def _resnet20():
    """ResNet-20 for CIFAR-10; He et al. 2015, arXiv:1512.03385, section 4.2."""
    layers = [_plain_conv(16), Norm(), Activate("relu")]
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage > 0 and block == 0 else 1
            body = (_plain_conv(filters, stride), Norm(), Activate("relu"))
            shortcut = (_plain_conv(filters, stride, 1), Norm()) if stride > 1 else ()
            layers.append(Residual((*body, _plain_conv(filters), Norm()), shortcut))
    return (*layers, GlobalAverage(), Dense(CLASSES, "softmax"))


def _plain_conv(filters, stride=1, size=3):
    return Conv(filters, size, stride, "same", bias=False)


def _mobilenet():
    """MobileNet, Howard et al. 2017, arXiv:1704.04861, table 1.

    But the first two of its five strides are 1: images of CIFAR-10 have 32 x 32 pixels, not 224.
    """
    layers = [_plain_conv(32), Norm(), Activate("relu")]
    widths = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    for before, filters in zip([32, *widths], widths, strict=False):
        stride = 2 if filters > before >= 128 else 1
        layers += [Depthwise(3, stride), Norm(), Activate("relu")]
        layers += [_plain_conv(filters, size=1), Norm(), Activate("relu")]
    return (*layers, GlobalAverage(), Dense(CLASSES, "softmax"))


NETWORKS = {
    "tutorial": Network("the tutorial CNN", (32, 32, 3), _tutorial()),
    "lenet": Network("LeNet-5", (32, 32, 1), _lenet()),
    "resnet20": Network("ResNet-20", (32, 32, 3), _resnet20(), momentum=0.9),
    "mobilenet": Network("MobileNet", (32, 32, 3), _mobilenet(), momentum=0.9),
}


class Step(NamedTuple):
    """A layer that computes, and the shapes of what goes in and comes out, without the batch."""

    layer: NamedTuple
    before: tuple[int, ...]
    after: tuple[int, ...]


def steps(layers, shape):
    """All layers with their shapes, in their order; of a Residual the body, then the shortcut."""
    found = []
    for layer in layers:
        if isinstance(layer, Residual):
            inner = steps(layer.body, shape)
            found += [*inner, *steps(layer.shortcut, shape)]
            shape = inner[-1].after
        else:
            after = _shape_after(layer, shape)
            found.append(Step(layer, shape, after))
            shape = after
    return found


def _shape_after(layer, shape):
    match layer:
        case Conv(filters=F, size=P, stride=s, padding=padding):
            H, W, _ = shape if padding == "same" else (shape[0] - P + 1, shape[1] - P + 1, 0)
            return (-(-H // s), -(-W // s), F)
        case Depthwise(stride=s):
            return (-(-shape[0] // s), -(-shape[1] // s), shape[2])
        case Pool(size=size):
            return (shape[0] // size, shape[1] // size, shape[2])
        case GlobalAverage():
            return shape[2:]
        case Flatten():
            return (int(np.prod(shape)),)
        case Dense(units=units):
            return (units,)
    return shape


def flops(network):
    """Multiplications and additions of convolutions and products for one image, going forward."""
    return sum(_flops(step) for step in steps(network.layers, network.image_shape))


def training_flops(network):
    """The same for a training step: dx and dw each cost as much as y; the images need no dx."""
    first, *others = (_flops(step) for step in steps(network.layers, network.image_shape))
    return 2 * first + 3 * sum(others)


def _flops(step):
    match step.layer:
        case Conv(size=P):
            return 2 * P * P * step.before[-1] * int(np.prod(step.after))
        case Depthwise(size=P):
            return 2 * P * P * int(np.prod(step.after))
        case Dense():
            return 2 * step.before[-1] * step.after[-1]
    return 0


def weights(network, seed=0):
    """Weights to start from, as Keras orders and shapes them: a list of arrays for each layer.

    Layers without weights have none, so this can be walked through beside `steps`.
    """
    rng = np.random.default_rng(seed)
    return [_weights(step, rng) for step in steps(network.layers, network.image_shape)]


def _weights(step, rng):
    match step.layer:
        case Conv(filters=F, size=P, bias=bias):
            kernel = _glorot(rng, (P, P, step.before[-1], F))
            return [kernel, np.zeros(F, np.float32)] if bias else [kernel]
        case Depthwise(size=P):
            return [_glorot(rng, (P, P, step.before[-1], 1))]
        case Dense(units=units):
            return [_glorot(rng, (step.before[-1], units)), np.zeros(units, np.float32)]
        case Norm():
            C = step.before[-1]
            return [array(C, dtype=np.float32) for array in (np.ones, np.zeros, np.zeros, np.ones)]
    return []


def _glorot(rng, shape):
    *window, before, after = shape
    limit = np.sqrt(6 / (np.prod(window) * (before + after)))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def images(network, count, seed=1):
    """Random images (count, H, W, C) and labels (count,); the same on all sides."""
    rng = np.random.default_rng(seed)
    x = rng.random((count, *network.image_shape), dtype=np.float32)
    return x, rng.integers(0, CLASSES, count)


def conv_arrays(shape, seed=2):
    """Random x, weight and dy for a convolution of a conv_shapes.Shape; the same on all sides."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size, np.float32) for size in (shape.x, shape.weight, shape.y)]


def conv_layer_arrays(shape):
    """Random x, weight, bias and dy for a convolution with a bias."""
    x, weight, dy = conv_arrays(shape)
    return [x, weight, _line(shape.F)[1], dy]


def separable_arrays(depthwise, pointwise):
    """Random x; weight, gamma and beta, for both convolutions of a block; and dy."""
    x, filters, _ = conv_arrays(depthwise)
    _, mixing, dy = conv_arrays(pointwise)
    return [x, filters, *_line(depthwise.F), mixing, *_line(pointwise.F), dy]


def _line(channels, seed=4):
    """Random gamma, none of them near 0, and beta."""
    rng = np.random.default_rng(seed)
    gamma = rng.uniform(0.5, 1.5, channels).astype(np.float32)
    return [gamma, rng.standard_normal(channels, np.float32)]


def bright_images(network, count, seed=3):
    """Random images that are the brighter, the higher their class."""
    x, y = images(network, count, seed)
    return x * (y[:, None, None, None] + 1).astype(np.float32) / CLASSES, y
