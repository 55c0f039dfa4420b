"""How minicnn does what is compared; the functions of all with_*.py have the same names.

Each takes what it needs by name and number, and returns a function to be timed.
"""

import networks
import numpy as np

from minicnn import Tensor, grad, layers, models, no_grad, ops, optimizers
from minicnn.backend import kernels


def build(network):
    """The network, with the weights that all sides start from: a Sequential, unless it branches."""
    made, inputs = [], layers.Input(network.image_shape)
    outputs = _through(network.layers, inputs, made)
    branches = any(isinstance(layer, networks.Residual) for layer in network.layers)
    model = models.Model(inputs, outputs) if branches else models.Sequential([inputs, *made])
    for layer, arrays in zip(made, networks.weights(network), strict=True):
        layer.set_weights(arrays)
    return model


def _through(chain, x, made):
    """What a chain of layers makes of x; `made` gets all layers, in the order of networks.steps."""
    for layer in chain:
        if isinstance(layer, networks.Residual):
            y = _through(layer.body, x, made)
            x = layers.Add()([y, _through(layer.shortcut, x, made)])
            x = layers.Activation("relu")(x)
        else:
            made.append(_layer(layer))
            x = made[-1](x)
    return x


def _layer(layer):
    match layer:
        case networks.Conv(F, P, s, padding, bias, activation):
            return layers.Conv2D(F, P, s, padding, use_bias=bias, activation=activation)
        case networks.Depthwise(P, s):
            return layers.DepthwiseConv2D(P, s, "same", use_bias=False)
        case networks.Norm(momentum, epsilon):
            return layers.BatchNormalization(momentum=momentum, epsilon=epsilon)
        case networks.Activate(name):
            return layers.Activation(name)
        case networks.Pool("max", size):
            return layers.MaxPooling2D(size)
        case networks.Pool("average", size):
            return layers.AveragePooling2D(size)
        case networks.GlobalAverage():
            return layers.GlobalAveragePooling2D()
        case networks.Flatten():
            return layers.Flatten()
        case networks.Dense(units, activation):
            return layers.Dense(units, activation=activation)
    raise NotImplementedError(layer)


def compiled(network):
    """The network, ready to be trained."""
    model = build(network)
    momentum = network.momentum
    optimizer = optimizers.SGD(networks.RATE, momentum) if momentum else "adam"
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model


def train_step(network, batch_size):
    """One step of training; gives the loss."""
    network = networks.NETWORKS[network]
    model = compiled(network)
    x, y = networks.images(network, batch_size)
    return lambda: model.train_on_batch(x, y)


def inference(network, batch_size, method="call"):
    """The probabilities for one batch of images."""
    network = networks.NETWORKS[network]
    model = build(network)
    x, _ = networks.images(network, batch_size)

    def call():
        with no_grad():
            return model(x).numpy()

    return {
        "call": call,
        "predict": lambda: model.predict(x, batch_size=batch_size, verbose=0),
    }[method]


def conv_map(kind, shape):
    """One of the three maps of a convolution: "y", "dx" or "dw"."""
    x, weight, dy = networks.conv_arrays(shape)
    border = (shape.border, shape.border)
    arrangement = ((shape.s, shape.s), (border, border), (1, 1), shape.groups)
    conv2d = kernels.conv2d
    return {
        "y": lambda: conv2d.forward(x, weight, None, False, *arrangement),
        "dx": lambda: conv2d.input_grad(dy, weight, x.shape, *arrangement),
        "dw": lambda: conv2d.weight_grad(x, dy, weight.shape, *arrangement),
    }[kind]


def conv_layer(shape):
    """A pass through a convolution with bias and relu, and back; see layers.py."""
    x, *weights, dy = map(Tensor, networks.conv_layer_arrays(shape))
    x.requires_grad = shape.C > 3

    def forward():
        return ops.conv2d(x, *weights, shape.s, "same", activation="relu")

    return _pass(forward, x, weights, dy)


def separable_block(depthwise, pointwise):
    """A pass through MobileNet's block and back; see layers.py."""
    x, *weights, dy = map(Tensor, networks.separable_arrays(depthwise, pointwise))
    x.requires_grad = True
    filters, gamma, beta, mixing, last_gamma, last_beta = weights

    def forward():
        y = ops.conv2d(x, filters, None, depthwise.s, "same", groups=depthwise.groups)
        y, _, _ = ops.batch_norm(y, gamma, beta, activation="relu")
        y = ops.conv2d(y, mixing)
        return ops.batch_norm(y, last_gamma, last_beta, activation="relu")[0]

    return _pass(forward, x, weights, dy)


def _pass(forward, x, weights, dy):
    """y, and the gradients of x, if it wants one, and of the weights."""
    for weight in weights:
        weight.requires_grad = True
    wanted = [x, *weights] if x.requires_grad else weights

    def run():
        y = forward()
        return [tensor.numpy() for tensor in (y, *grad(y, wanted, seed=dy))]

    return run


def epoch(network, count, batch_size, method="fit"):
    """An epoch of training; gives the mean loss."""
    network = networks.NETWORKS[network]
    model = compiled(network)
    x, y = networks.bright_images(network, count)
    cuts = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    batches = [(x[cut].copy(), y[cut].copy()) for cut in cuts]

    def fit():
        return model.fit(x, y, batch_size, verbose=0).history["loss"][0]

    def steps():
        losses = [model.train_on_batch(*batch) for batch in batches]
        return np.average(losses, weights=[len(labels) for _, labels in batches])

    return {"fit": fit, "steps": steps}[method]
