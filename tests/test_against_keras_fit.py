"""One training side by side with Keras: the same weights, the same batches, the same numbers."""

import os
import warnings

import numpy as np
import pytest

from minicnn import layers, optimizers
from minicnn.models import Sequential

pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Keras imports warns of itself
    keras = pytest.importorskip("keras", reason="Keras is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
STEPS, BATCH = 50, 16


def tutorial(package, model):
    """The network of the Keras tutorial, smaller."""
    model.add(package.Input((16, 16, 3)))
    model.add(package.Conv2D(8, (3, 3), activation="relu"))
    model.add(package.MaxPooling2D((2, 2)))
    model.add(package.Conv2D(16, (3, 3), activation="relu"))
    model.add(package.MaxPooling2D((2, 2)))
    model.add(package.Flatten())
    model.add(package.Dense(32, activation="relu"))
    model.add(package.Dense(10, activation="softmax"))
    return model


@pytest.fixture
def pair():
    """A model of Keras and one of minicnn with equal weights, both compiled."""
    keras.utils.set_random_seed(0)
    theirs = tutorial(keras.layers, keras.Sequential())
    ours = tutorial(layers, Sequential())
    ours.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.Adam(), "categorical_crossentropy", metrics=["accuracy"])
    ours.compile(optimizers.Adam(), "categorical_crossentropy", metrics=["accuracy"])
    return theirs, ours


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, STEPS * BATCH)
    x = rng.random((len(labels), 16, 16, 3), np.float32)
    x[np.arange(len(labels)), labels] += 2  # a bright row that says which class it is
    return x, np.eye(10)[labels]


def test_the_losses_of_50_steps_are_those_of_keras(pair, data):
    x, y = data
    theirs, ours = pair
    rows = [slice(start, start + BATCH) for start in range(0, len(x), BATCH)]
    expected = [theirs.train_on_batch(x[k], y[k]) for k in rows]
    losses = [ours.train_on_batch(x[k], y[k]) for k in rows]
    assert len(losses) == STEPS
    np.testing.assert_allclose(np.array(losses)[:, 0], np.array(expected)[:, 0], atol=1e-4)
    assert losses[-1][0] < losses[0][0] - 0.1  # something was learned


def test_fit_evaluate_and_predict_give_what_keras_gives(pair, data):
    x, y = (array[:320] for array in data)
    settings = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    settings |= {"validation_split": 0.25, "class_weight": {0: 2.0, 3: 0.5}}
    theirs, ours = pair
    expected, history = (model.fit(x, y, **settings).history for model in pair)
    assert list(history) == list(expected)
    for name, values in expected.items():
        # one sample of 240 that falls on the other side of a tie is 0.0042
        np.testing.assert_allclose(history[name], values, atol=5e-3, err_msg=name)
    np.testing.assert_allclose(history["loss"], expected["loss"], atol=1e-4)
    weight = np.linspace(0, 2, len(x))
    results = [model.evaluate(x, y, sample_weight=weight, verbose=0) for model in pair]
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-4)
    outputs = [model.predict(x, verbose=0) for model in pair]
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-4)


def test_evaluate_and_predict_are_those_of_keras_before_any_training(pair, data):
    x, y = data
    results = [model.evaluate(x, y, batch_size=30, verbose=0) for model in pair]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)
    outputs = [model.predict(x, verbose=0) for model in pair]
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-6)
