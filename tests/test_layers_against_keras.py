"""The same weights and inputs give the same outputs, names, shapes and files as in real Keras."""

import os
import warnings

import h5py
import numpy as np
import pytest

from minicnn import layers
from minicnn.layers.names import reset_names
from minicnn.models import Sequential
from minicnn.models.weight_files import read_weights, write_weights

pytest.importorskip("torch", reason="Keras is compared on its torch backend: pip install torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras", reason="compares with Keras: pip install keras")

IMAGES = (2, 9, 8, 4)
CASES = [
    ("Dense", {"units": 5}, (3, 7)),
    ("Dense", {"units": 5, "activation": "softmax"}, (3, 7)),
    ("Dense", {"units": 5, "activation": "tanh", "use_bias": False}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "activation": "relu"}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": (2, 3), "activation": "elu"}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": (4, 2), "padding": "same"}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "strides": (3, 2)}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 1, "strides": 2, "use_bias": False}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "dilation_rate": (2, 3)}, IMAGES),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, IMAGES),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2, "activation": "relu"}, IMAGES),
    ("Conv2D", {"filters": 8, "kernel_size": 3, "groups": 4, "strides": 2}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": 3}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": 3, "activation": "relu", "padding": "same"}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": (2, 3), "depth_multiplier": 3, "strides": 2}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 3, "use_bias": False}, IMAGES),
    ("DepthwiseConv2D", {"kernel_size": 3, "activation": "tanh"}, (2, 5, 6, 1)),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3}, IMAGES),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "activation": "relu"}, IMAGES),
    ("SeparableConv2D", {"filters": 6, "kernel_size": (3, 2), "depth_multiplier": 2}, IMAGES),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 2, "dilation_rate": (2, 3)}, IMAGES),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "use_bias": False}, IMAGES),
    ("MaxPooling2D", {}, IMAGES),
    ("MaxPooling2D", {"pool_size": (3, 2), "strides": (1, 2)}, IMAGES),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("AveragePooling2D", {"pool_size": 2}, IMAGES),
    ("AveragePooling2D", {"pool_size": (2, 3), "strides": 1}, IMAGES),
    # On torch, Keras pads averages with copies of border pixels, unlike on its other backends:
    # so here is a window without padding; test_layers.py has one with it.
    ("AveragePooling2D", {"pool_size": 1, "strides": 2, "padding": "same"}, IMAGES),
    ("BatchNormalization", {}, IMAGES),
    ("BatchNormalization", {"epsilon": 0.1, "momentum": 0.5, "center": False}, (3, 7)),
    ("BatchNormalization", {"axis": 3, "scale": False}, IMAGES),
    ("GlobalAveragePooling2D", {}, IMAGES),
    ("GlobalAveragePooling2D", {"keepdims": True}, IMAGES),
    ("GlobalMaxPooling2D", {}, IMAGES),
    ("GlobalMaxPooling2D", {"keepdims": True}, IMAGES),
    ("Flatten", {}, IMAGES),
    ("Flatten", {}, (3,)),
    ("Reshape", {"target_shape": (4, -1, 3)}, IMAGES),
    ("ZeroPadding2D", {}, IMAGES),
    ("ZeroPadding2D", {"padding": (1, 2)}, IMAGES),
    ("ZeroPadding2D", {"padding": ((1, 2), (3, 0))}, IMAGES),
    ("Activation", {"activation": "gelu"}, IMAGES),
    ("ReLU", {}, IMAGES),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3}, IMAGES),
    ("LeakyReLU", {}, IMAGES),
    ("ELU", {"alpha": 0.5}, IMAGES),
    ("Softmax", {}, IMAGES),
    ("Softmax", {"axis": 1}, IMAGES),
    ("Dropout", {"rate": 0.4}, IMAGES),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} {case[1]}")
def pair(request):
    """Our layer and that of Keras, with the same weights, and an input."""
    name, settings, shape = request.param
    rng = np.random.default_rng(0)
    ours, theirs = getattr(layers, name)(**settings), getattr(keras.layers, name)(**settings)
    ours.ensure_built(shape)
    theirs.build(shape)
    weights = [rng.normal(size=w.shape).astype("float32") for w in ours.weights]
    weights = [
        np.abs(array) if weight.name == "moving_variance" else array
        for weight, array in zip(ours.weights, weights, strict=True)
    ]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, rng.normal(size=shape).astype("float32")


def answer(theirs, x):
    """The output of a layer or model of Keras, a tensor of torch, as an array."""
    return theirs(x).detach().cpu().numpy()


def test_outputs_are_equal(pair):
    ours, theirs, x = pair
    wanted = answer(theirs, x)
    np.testing.assert_allclose(ours(x).numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_output_shapes_are_foretold_alike(pair):
    ours, theirs, x = pair
    shape = (None, *x.shape[1:])
    assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))


def test_weights_have_the_same_names_and_paths(pair):
    ours, theirs, _ = pair
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()


def test_our_config_is_a_part_of_theirs(pair):
    ours, theirs, _ = pair
    wanted = theirs.get_config()
    for key, value in ours.get_config().items():
        if key == "dtype":
            assert value == wanted["dtype"]["config"]["name"]
        elif key != "name" and not key.endswith("initializer"):
            assert value == wanted[key], key


def test_keras_makes_a_layer_from_our_config(pair):
    ours, theirs, _ = pair
    again = type(theirs).from_config(ours.get_config())
    assert again.get_config() == {**theirs.get_config(), "name": ours.name}


def test_we_make_a_layer_from_the_config_of_keras(pair):
    ours, theirs, _ = pair
    config = theirs.get_config()
    config["dtype"] = config["dtype"]["config"]["name"]
    config.pop("quantization_config", None)
    assert type(ours).from_config(config).get_config() == {**ours.get_config(), "name": theirs.name}


def test_automatic_names_are_equal():
    keras.utils.clear_session()
    reset_names()
    for name, settings, _ in CASES:
        assert (
            getattr(layers, name)(**settings).name == getattr(keras.layers, name)(**settings).name
        )


# -- weight files


def network(library):
    """Four convolutions, two Dense layers, a normalization and four layers without weights."""
    return [
        library.Conv2D(4, 3, activation="relu", name="first"),
        library.MaxPooling2D(),
        library.Conv2D(6, 3, padding="same", use_bias=False),
        library.BatchNormalization(moving_mean_initializer="ones"),
        library.ReLU(),
        library.DepthwiseConv2D(2, depth_multiplier=2),
        library.SeparableConv2D(5, 2, padding="same"),
        library.Flatten(),
        library.Dense(8, activation="relu"),
        library.Dropout(0.5),
        library.Dense(3, activation="softmax", name="out"),
    ]


def our_network():
    made = network(layers)
    shape = (None, 10, 9, 2)
    for layer in made:
        layer.ensure_built(shape)
        shape = layer.compute_output_shape(shape)
    return made


def their_network():
    return keras.Sequential([keras.Input((10, 9, 2)), *network(keras.layers)], name="theirs")


def assert_equal_predictions(ours, theirs):
    x = np.random.default_rng(0).normal(size=(5, 10, 9, 2)).astype("float32")
    wanted, y = answer(theirs, x), x
    for layer in ours:
        y = layer(y)
    np.testing.assert_allclose(y.numpy(), wanted, atol=1e-6)


def save(theirs, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and NumPy 2 have a difference about __array__
        theirs.save_weights(path)


def contents(path):
    """Every group and dataset of a file, with shape, dtype and attributes."""
    found = {}

    def note(name, thing):
        kind = (thing.shape, thing.dtype) if isinstance(thing, h5py.Dataset) else "group"
        found[name] = kind, dict(thing.attrs)

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def test_keras_reads_our_files(tmp_path):
    path, ours, theirs = tmp_path / "a.weights.h5", our_network(), their_network()
    write_weights(path, Sequential(ours))
    theirs.load_weights(path)
    assert_equal_predictions(ours, theirs)


def test_a_compiled_keras_model_reads_our_files(tmp_path):
    path, ours, theirs = tmp_path / "a.weights.h5", our_network(), their_network()
    theirs.compile("adam", "mse")
    write_weights(path, Sequential(ours))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras misses the state of its optimizer, rightly
        theirs.load_weights(path)
    assert_equal_predictions(ours, theirs)


@pytest.mark.parametrize("compiled", [False, True])
def test_we_read_the_files_of_keras(tmp_path, compiled):
    path, ours, theirs = tmp_path / "a.weights.h5", our_network(), their_network()
    if compiled:
        theirs.compile("adam", "mse")
    save(theirs, path)
    read_weights(path, Sequential(ours))
    assert_equal_predictions(ours, theirs)


def test_our_files_hold_what_those_of_keras_hold(tmp_path):
    keras.utils.clear_session()
    reset_names()
    save(their_network(), tmp_path / "theirs.weights.h5")
    write_weights(tmp_path / "ours.weights.h5", Sequential(our_network(), name="theirs"))
    assert contents(tmp_path / "ours.weights.h5") == contents(tmp_path / "theirs.weights.h5")
