"""Training with batch normalization side by side with Keras: the same steps, averages and files."""

import os
import warnings

import numpy as np
import pytest
from test_nesting import Residual as OurResidual

from minicnn import layers, optimizers
from minicnn.models import Sequential

pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Keras imports warns of itself
    keras = pytest.importorskip("keras", reason="Keras is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


class Residual(keras.layers.Layer):
    """The block of test_nesting.py, in Keras."""

    def __init__(self, filters, **keywords):
        super().__init__(**keywords)
        library = keras.layers
        self.one = library.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norm_one = library.BatchNormalization()
        self.tail = [
            library.Conv2D(filters, 3, padding="same", use_bias=False),
            library.BatchNormalization(),
        ]
        self.shortcut = library.Conv2D(filters, 1)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        super().build(input_shape)

    def call(self, x, training=False):
        y = keras.ops.relu(self.norm_one(self.one(x), training=training))
        y = self.tail[1](self.tail[0](y), training=training)
        return keras.ops.relu(y * self.scale + self.shortcut(x))


def plain(library, _):
    return [
        library.Conv2D(5, 3),
        library.BatchNormalization(momentum=0.8),
        library.Activation("relu"),
        library.Flatten(),
        library.Dense(6),
        library.BatchNormalization(epsilon=0.01, scale=False),
        library.ReLU(),
        library.Dense(4, activation="softmax"),
    ]


def residual(library, block):
    return [
        library.Conv2D(4, 3, use_bias=False),
        library.BatchNormalization(momentum=0.9),
        library.ReLU(),
        block(4),
        block(6),
        library.GlobalAveragePooling2D(),
        library.Dense(4, activation="softmax"),
    ]


@pytest.fixture(params=[plain, residual])
def pair(request):
    """A model of Keras and one of minicnn with equal weights, both compiled."""
    keras.utils.set_random_seed(0)
    theirs = keras.Sequential([keras.Input((8, 8, 3)), *request.param(keras.layers, Residual)])
    ours = Sequential([layers.Input((8, 8, 3)), *request.param(layers, OurResidual)])
    theirs(np.zeros((1, 8, 8, 3), np.float32))
    ours.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy")
    ours.compile(optimizers.SGD(0.05), "categorical_crossentropy")
    return theirs, ours


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 80)
    x = rng.random((len(labels), 8, 8, 3), np.float32)
    x[np.arange(len(labels)), labels] += 2  # a bright row that says which class it is
    return x, np.eye(4, dtype=np.float32)[labels]


def assert_equal_weights(theirs, ours):
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_losses_and_averages_of_a_fit_are_those_of_keras(pair, data):
    x, y = data
    theirs, ours = pair
    settings = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    settings["validation_split"] = 0.2
    expected, history = (model.fit(x, y, **settings).history for model in pair)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, atol=1e-4, err_msg=name)
    assert history["loss"][-1] < history["loss"][0] - 0.05  # something was learned
    assert_equal_weights(*pair)
    outputs = [model.predict(x, verbose=0) for model in pair]
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-4)


def test_frozen_normalizations_use_their_averages_as_in_keras(pair, data):
    theirs, ours = pair
    for model in pair:
        model.layers[1].trainable = False
    theirs.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy")
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)
    losses = [[model.train_on_batch(*data) for _ in range(3)] for model in pair]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    assert_equal_weights(*pair)


def test_names_and_counts_are_those_of_keras(pair):
    theirs, ours = pair
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    for kind in ("trainable_weights", "non_trainable_weights"):
        names = [[w.name for w in getattr(model, kind)] for model in pair]
        assert names[1] == names[0]


@pytest.mark.parametrize("direction", ["from Keras", "to Keras"])
def test_files_of_weights_go_both_ways(pair, data, tmp_path, direction):
    theirs, ours = pair
    source, target = pair if direction == "from Keras" else (ours, theirs)
    path = tmp_path / "a.weights.h5"
    source.fit(*data, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras misses the state of its optimizer, rightly
        source.save_weights(path)
        target.load_weights(path)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
