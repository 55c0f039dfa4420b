"""How Keras does what is compared, with its own default settings, on the backend it finds."""

import os

import keras
import networks
from keras import layers

THREADS = int(os.environ["OMP_NUM_THREADS"])
if keras.backend.backend() == "tensorflow":
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
    tensorflow.config.threading.set_inter_op_parallelism_threads(THREADS)
elif keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(THREADS)


def build(network):
    """The network as Keras' functional model, with the weights that all sides start from."""
    made, inputs = [], layers.Input(network.image_shape)
    model = keras.Model(inputs, _through(network.layers, inputs, made))
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
    optimizer = keras.optimizers.SGD(networks.RATE, momentum) if momentum else "adam"
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model


def train_step(network, batch_size):
    """One step of training; gives the loss of this step."""
    network = networks.NETWORKS[network]
    model = compiled(network)
    x, y = networks.images(network, batch_size)

    def step():
        model.reset_metrics()  # train_on_batch gives the mean of all losses since
        return float(model.train_on_batch(x, y))

    return step


def inference(network, batch_size):
    """The probabilities for one batch of images."""
    network = networks.NETWORKS[network]
    model = build(network)
    x, _ = networks.images(network, batch_size)
    return lambda: model.predict_on_batch(x)


def epoch(network, count, batch_size):
    """An epoch of training; gives the mean loss."""
    network = networks.NETWORKS[network]
    model = compiled(network)
    x, y = networks.bright_images(network, count)
    return lambda: model.fit(x, y, batch_size, verbose=0).history["loss"][0]
