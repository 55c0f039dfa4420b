"""Functional models side by side with Keras: names, order, text, configuration, training."""

import json
import os
import warnings

import numpy as np
import pytest

import minicnn
from minicnn import models
from minicnn.layers.names import reset_names

pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Keras imports warns of itself
    keras = pytest.importorskip("keras", reason="Keras is not installed")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match"),
]
RNG = np.random.default_rng(0)
N = 24
IMAGES = RNG.random((N, 8, 8, 3), np.float32)
ROWS = RNG.random((N, 4), np.float32)
CLASSES = RNG.integers(0, 3, N)
NUMBERS = RNG.random((N, 1), np.float32)
SPARSE = "sparse_categorical_crossentropy"


def residual(K):
    """A small residual network."""
    L = K.layers
    x = inputs = K.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = L.Activation("relu")(L.BatchNormalization()(x))
    for strides, filters in ((1, 4), (2, 6)):
        way = x if strides == 1 else L.Conv2D(filters, 1, strides=strides)(x)
        y = L.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        y = L.ReLU()(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        x = L.ReLU()(L.Add()([y, way]))
    x = L.GlobalAveragePooling2D()(x)
    return K.Model(inputs, L.Dense(3, activation="softmax")(x))


def two_inputs(K):
    L = K.layers
    image, row = K.Input((8, 8, 3), name="image"), K.Input((4,), name="row")
    x = L.MaxPooling2D()(L.Conv2D(4, 3, activation="relu")(image))
    x = L.Concatenate()([L.Flatten()(x), L.Dense(5, activation="tanh")(row)])
    return K.Model([image, row], L.Dense(3, activation="softmax")(x), name="two")


def siamese(K):
    L = K.layers
    left, right = K.Input((4,), name="left"), K.Input((4,), name="right")
    encoder = K.Sequential([L.Dense(6, activation="relu"), L.Dense(5)], name="encoder")
    apart = L.Subtract()([encoder(left), encoder(right)])
    return K.Model({"left": left, "right": right}, L.Dense(1)(apart * apart))


def many_outputs(K):
    L = K.layers
    x = K.Input((4,))
    y = L.Dense(6, activation="relu", kernel_regularizer="l2")(x)
    classes = L.Dense(3, activation="softmax", name="classes")(y)
    return K.Model(x, [classes, L.Dense(1, name="number")(y)])


def outputs_in_a_dict(K):
    L = K.layers
    x = K.Input((4,))
    y = L.Dropout(0.0)(L.Dense(6, activation="relu")(x))
    number = L.Dense(1)(y)
    return K.Model(x, {"c": L.Dense(3, activation="softmax")(y), "b": number})


def shared_at_two_depths(K):
    L = K.layers
    x = K.Input((4,))
    one, other = L.Dense(4, activation="tanh", name="one"), L.Dense(4, name="other")
    return K.Model(x, L.Average()([one(other(one(x))), 1.0 - x / 2.0, -(other(x) ** 2.0)]))


def models_within(K):
    L = K.layers
    x = K.Input((4,))
    inner = K.Model(x, [L.Dense(3)(x), L.Dense(2)(x)], name="inner")
    top = K.Input((4,))
    a, b = inner(top)
    around = K.Sequential([K.Input((5,)), L.Dense(2, activation="relu")], name="around")
    y = around(L.Concatenate()([a, b]))
    c, _ = inner(L.Maximum()([top, L.Minimum()([top, L.Multiply()([top, top])])]))
    return K.Model(top, L.Dense(1)(L.concatenate([y, c, top[:, 1:3]])))


CASES = {
    "residual": (residual, IMAGES, CLASSES, {"loss": SPARSE, "metrics": ["accuracy"]}),
    "two inputs": (two_inputs, [IMAGES, ROWS], CLASSES, {"loss": SPARSE}),
    "siamese": (siamese, {"left": ROWS, "right": ROWS[::-1]}, NUMBERS, {"loss": "mse"}),
    "many outputs": (
        many_outputs,
        ROWS,
        [CLASSES, NUMBERS],
        {
            "loss": [SPARSE, "mse"],
            "loss_weights": [0.5, 2.0],
            "metrics": {"classes": "accuracy", "number": ["mae", "mse"]},
        },
    ),
    "many outputs by name": (
        many_outputs,
        ROWS,
        {"classes": CLASSES, "number": NUMBERS},
        {
            "loss": {"classes": SPARSE, "number": "mae"},
            "metrics": ["accuracy", None],
            "weighted_metrics": [["accuracy"], ["mae"]],
        },
    ),
    "outputs in a dict": (
        outputs_in_a_dict,
        ROWS,
        {"c": CLASSES, "b": NUMBERS},
        {"loss": {"c": SPARSE, "b": "mse"}, "metrics": {"b": "mae"}},
    ),
    "one loss for all": (
        many_outputs,
        ROWS,
        [np.eye(3, dtype="float32")[CLASSES], NUMBERS],
        {"loss": "mse"},
    ),
    "shared at two depths": (shared_at_two_depths, ROWS, ROWS, {"loss": "mse"}),
    "models within": (models_within, ROWS, NUMBERS, {"loss": "mse"}),
}


@pytest.fixture(params=CASES)
def case(request):
    """Keras' model and ours, with the same weights; data; and what compile is told."""
    make, *rest = CASES[request.param]
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    reset_names()
    theirs, ours = make(keras), make(minicnn)
    ours.set_weights(theirs.get_weights())
    return theirs, ours, *rest


def leaves(structure):
    return minicnn.layers.structure.leaves(structure)


def assert_near(ours, theirs, **tolerance):
    assert type(ours) is type(theirs)
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def test_layers_and_weights_have_the_same_names_in_the_same_order(case):
    theirs, ours, *_ = case
    assert ours.name == theirs.name and type(ours).__name__ == type(theirs).__name__
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [weight.path for weight in ours.weights] == [weight.path for weight in theirs.weights]
    assert ours.output_names == theirs.output_names
    assert ours.count_params() == theirs.count_params()


def test_shapes_are_the_same(case):
    theirs, ours, *_ = case
    for name in ("input_shape", "output_shape"):
        assert getattr(ours, name) == getattr(theirs, name)
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        shapes = [x.shape for x in leaves(other.output)]
        assert [x.shape for x in leaves(one.output)] == shapes


def test_outputs_are_the_same(case):
    theirs, ours, x, *_ = case
    assert_near(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{}, {"expand_nested": True}, {"show_trainable": True, "line_length": 78}]
)
def test_summaries_are_the_same(case, settings, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    theirs, ours, *_ = case
    texts = []
    for model in (theirs, ours):
        model.summary(print_fn=texts.append, **settings)
    assert texts[1] == texts[0]


def differences(ours, theirs, path=""):
    """Where our configuration says something that Keras' does not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, entry in ours.items():
            if key in theirs:
                yield from differences(entry, theirs[key], f"{path}/{key}")
            elif key != "build_config":  # of a layer without weights; Keras builds some of these
                yield f"{path}/{key}: {entry}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for k, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}/{k}")
    elif ours != theirs:
        yield f"{path}: {ours}, and not {theirs}"


def test_configurations_are_the_same(case):
    theirs, ours, *_ = case
    assert list(differences(json.loads(ours.to_json()), json.loads(theirs.to_json()))) == []


def test_keras_reads_our_json_and_we_read_that_of_keras(case):
    theirs, ours, x, *_ = case
    wanted = ours.predict(x, verbose=0)
    read = keras.models.model_from_json(ours.to_json())
    read.set_weights(ours.get_weights())
    assert_near(read.predict(x, verbose=0), wanted, atol=1e-5)
    for model in (models.model_from_json(theirs.to_json()), models.clone_model(ours)):
        assert [layer.name for layer in model.layers] == [layer.name for layer in ours.layers]
        model.set_weights(ours.get_weights())
        assert_near(model.predict(x, verbose=0), wanted, atol=1e-6)


def test_training_is_the_same(case):
    theirs, ours, x, y, settings = case
    weight = np.linspace(0.5, 1.5, N).astype("float32")
    held_out = minicnn.layers.structure.mapped(lambda array: array * 0.5, x)
    fit = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}
    histories, results = [], []
    for package, model in ((keras, theirs), (minicnn, ours)):
        model.compile(package.optimizers.Adam(0.01), **settings)
        if not isinstance(y, dict):  # Keras cannot take weights then
            fit["sample_weight"] = weight
        history = model.fit(x, y, validation_data=(held_out, y), **fit)
        histories.append(history.history)
        results.append(model.evaluate(x, y, verbose=0, return_dict=True))
    assert list(histories[1]) == list(histories[0])
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=2e-4, atol=2e-5, err_msg=name)
    assert results[1] == pytest.approx(results[0], rel=2e-4, abs=2e-5)
    assert_near(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=5e-4)


# -- transfer learning


def base_of(K):
    L = K.layers
    x = K.Input((8, 8, 3))
    y = L.Conv2D(4, 3, use_bias=False)(x)
    y = L.ReLU()(L.BatchNormalization()(y))
    return K.Model(x, L.MaxPooling2D()(y), name="base")


def test_transfer_learning_and_fine_tuning_are_the_same():
    losses = []
    weights = None
    for K in (keras, minicnn):
        base = base_of(K)
        base.trainable = False
        x = K.Input((8, 8, 3))
        head = K.layers.Dense(3, activation="softmax")
        y = head(K.layers.GlobalAveragePooling2D()(base(x)))
        model = K.Model(x, y)
        assert len(model.trainable_weights) == 2 and len(model.weights) == 7
        weights = model.get_weights() if weights is None else weights
        model.set_weights(weights)
        fit = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
        model.compile(K.optimizers.Adam(0.01), loss=SPARSE)
        losses.append(model.fit(IMAGES, CLASSES, **fit).history["loss"])
        for before, after in zip(weights[:5], model.get_weights(), strict=False):
            np.testing.assert_array_equal(before, after)
        base.trainable = True
        base.layers[2].trainable = False  # the BatchNormalization keeps its averages
        assert len(model.trainable_weights) == 3
        model.compile(K.optimizers.SGD(0.01), loss=SPARSE)
        losses[-1] += model.fit(IMAGES, CLASSES, **fit).history["loss"]
        kernel, *frozen = model.get_weights()[:5]
        assert np.abs(kernel - weights[0]).max() > 0
        for before, after in zip(weights[1:5], frozen, strict=True):
            np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_a_frozen_model_trains_nothing_whatever_its_layers_say():
    for K in (keras, minicnn):
        model = base_of(K)
        model.trainable = False
        model.layers[1].trainable = True
        assert model.trainable_weights == []
        assert len(model.non_trainable_weights) == 5
        model.trainable = True
        assert len(model.trainable_weights) == 3
