"""Files of Keras are read here and those of minicnn in Keras: weights, models, optimizers."""

import os
import warnings

import numpy as np
import pytest

import minicnn

pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Keras imports warns of itself
    keras = pytest.importorskip("keras", reason="Keras is not installed")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match"),
]
N = 16


def chain(K):
    L = K.layers
    return K.Sequential(
        [
            K.Input((8, 8, 3)),
            L.Conv2D(4, 3, padding="same", use_bias=False),
            L.BatchNormalization(momentum=0.7),
            L.ReLU(),
            L.MaxPooling2D(),
            L.DepthwiseConv2D(3),
            L.SeparableConv2D(5, 1, activation="tanh"),
            L.Dropout(0.0),
            L.Flatten(),
            L.Dense(6, activation="relu", kernel_regularizer="l2"),
            L.Dense(3, activation="softmax"),
        ],
        name="chain",
    )


def residual(K):
    L = K.layers
    x = inputs = K.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(x))
    x = L.GlobalAveragePooling2D()(L.Add()([x, y]))
    return K.Model(inputs, L.Dense(3, activation="softmax")(x))


def two_inputs(K):
    L = K.layers
    image, row = K.Input((8, 8, 3), name="image"), K.Input((4,), name="row")
    x = L.Flatten()(L.Conv2D(2, 3, strides=2)(image))
    return K.Model([image, row], L.Dense(3, activation="softmax")(L.Concatenate()([x, row])))


def shared(K):
    L = K.layers
    left, right = K.Input((4,)), K.Input((4,))
    same = L.Dense(5, activation="tanh")
    apart = same(left) - same(right)
    return K.Model([left, right], L.Dense(3, activation="softmax")(apart * apart))


def nested(K):
    L = K.layers
    a, b = K.Input((4,)), K.Input((4,))
    encoder = K.Sequential([L.Dense(5, use_bias=False), L.BatchNormalization(), L.Dense(4)])
    x = K.Input((4,))
    head = K.Model(x, L.Dense(3, activation="softmax")(L.Dense(6, activation="relu")(x)))
    return K.Model([a, b], head(L.Add()([encoder(a), encoder(b)])))


def frozen(K):
    model = chain(K)
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    return model


MODELS = [chain, residual, two_inputs, shared, nested, frozen]


def data_for(model):
    rng = np.random.default_rng(0)
    x = [rng.random((N, *tensor.shape[1:]), np.float32) for tensor in model.inputs]
    return (x if len(x) > 1 else x[0]), rng.integers(0, 3, N)


def optimizer(K, name):
    settings = {"SGD": {"momentum": 0.9}, "RMSprop": {"centered": True, "momentum": 0.5}}
    return getattr(K.optimizers, name)(0.01, **settings.get(name, {}))


def train(model, x, y, epochs=2):
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


def compiled(make, K, name="Adam"):
    model = make(K)
    loss = K.losses.SparseCategoricalCrossentropy()
    model.compile(optimizer(K, name), loss=loss, metrics=["accuracy"])
    return model


def assert_same_models(one, other, x):
    wanted, came = one.predict(x, verbose=0), other.predict(x, verbose=0)
    np.testing.assert_allclose(came, wanted, atol=1e-5)


def assert_both_go_on_alike(one, other, x, y):
    """Another epoch ends in equal losses and weights; without the optimizer's state it does not."""
    first, second = train(one, x, y, 1), train(other, x, y, 1)
    np.testing.assert_allclose(second["loss"], first["loss"], rtol=1e-4)
    np.testing.assert_allclose(second["accuracy"], first["accuracy"])
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, atol=5e-5)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.keras")


@pytest.mark.parametrize("make", MODELS)
def test_models_of_keras_load_here_and_train_on(path, make):
    theirs = compiled(make, keras)
    x, y = data_for(theirs)
    train(theirs, x, y)
    theirs.save(path)
    ours = minicnn.models.load_model(path)
    assert ours.optimizer.iterations == 4
    assert_same_models(theirs, ours, x)
    assert_both_go_on_alike(theirs, ours, x, y)


@pytest.mark.parametrize("make", MODELS)
def test_models_of_ours_load_in_keras_and_train_on(path, make):
    ours = compiled(make, minicnn)
    x, y = data_for(ours)
    train(ours, x, y)
    ours.save(path)
    theirs = keras.models.load_model(path)
    assert_same_models(ours, theirs, x)
    assert_both_go_on_alike(ours, theirs, x, y)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "AdamW"])
def test_each_optimizer_goes_both_ways(path, name):
    theirs = compiled(two_inputs, keras, name)
    x, y = data_for(theirs)
    train(theirs, x, y)
    theirs.save(path)
    ours = minicnn.models.load_model(path)
    ours.save(path)
    again = keras.models.load_model(path)
    assert_both_go_on_alike(theirs, ours, x, y)
    np.testing.assert_equal(int(again.optimizer.iterations.numpy()), 4)
    train(again, x, y, 1)
    for a, b in zip(theirs.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, atol=5e-5)


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.9}),
    ("Adam", {"global_clipnorm": 0.5, "gradient_accumulation_steps": 2}),
    ("AdamW", {"clipvalue": 0.01}),
    ("Adagrad", {}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Lion", {}),
    ("Ftrl", {}),
    ("Lamb", {}),
    ("Muon", {}),
]
SCHEDULES = [
    ("ExponentialDecay", (0.05, 3, 0.5), {"staircase": True}),
    ("CosineDecay", (0.01, 7), {"alpha": 0.1, "warmup_target": 0.05, "warmup_steps": 3}),
    ("PiecewiseConstantDecay", ([2, 4], [0.05, 0.02, 0.01]), {}),
    ("PolynomialDecay", (0.05, 5), {"power": 2.0, "cycle": True}),
    ("InverseTimeDecay", (0.05, 3, 0.5), {}),
    ("CosineDecayRestarts", (0.05, 3), {}),
]


def assert_training_goes_on_in(other, one, own, path):
    """A model that was trained in one library, with its `own` optimizer, is loaded in the other."""
    model = two_inputs(one)
    model.compile(own, loss=one.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    x, y = data_for(model)
    train(model, x, y)
    model.save(path)
    assert_both_go_on_alike(model, other.models.load_model(path), x, y)


@pytest.mark.parametrize("one, other", [(keras, minicnn), (minicnn, keras)])
@pytest.mark.parametrize("name, settings", OPTIMIZERS)
def test_every_optimizer_goes_on_in_the_other_library(path, name, settings, one, other):
    own = getattr(one.optimizers, name)(**{"learning_rate": 0.01, **settings})
    assert_training_goes_on_in(other, one, own, path)


@pytest.mark.parametrize("one, other", [(keras, minicnn), (minicnn, keras)])
@pytest.mark.parametrize("name, numbers, settings", SCHEDULES)
def test_every_schedule_goes_on_in_the_other_library(path, name, numbers, settings, one, other):
    schedule = getattr(one.optimizers.schedules, name)(*numbers, **settings)
    assert_training_goes_on_in(other, one, one.optimizers.Adam(schedule), path)


@pytest.mark.parametrize("make", MODELS)
def test_weights_alone_go_both_ways(tmp_path, make):
    path = str(tmp_path / "a.weights.h5")
    theirs, ours = make(keras), make(minicnn)
    x, _ = data_for(ours)
    ours.save_weights(path)
    theirs.load_weights(path)
    assert_same_models(ours, theirs, x)
    theirs, ours = make(keras), make(minicnn)
    theirs.save_weights(path)
    ours.load_weights(path)
    assert_same_models(theirs, ours, x)


def test_weights_are_taken_out_of_whole_models_of_keras(path):
    theirs, ours = compiled(nested, keras), nested(minicnn)
    theirs.save(path)
    ours.load_weights(path)
    assert_same_models(theirs, ours, data_for(ours)[0])


def subclass(K):
    class Branches(K.Model):
        def __init__(self):
            super().__init__()
            self.first = K.layers.Dense(3)
            self.blocks = [K.layers.Dense(3), [K.layers.Dense(3), K.layers.Dense(3)]]
            self.again = self.first
            self.by_name = {"z": K.layers.Dense(3), "a": K.layers.Dense(2)}

        def call(self, x):
            x = self.blocks[0](self.first(x))
            for layer in self.blocks[1]:
                x = layer(x)
            return self.by_name["a"](self.by_name["z"](self.again(x)))

    return Branches()


def test_weights_of_subclasses_go_both_ways(tmp_path):
    path, x = str(tmp_path / "a.weights.h5"), np.random.default_rng(0).random((5, 3), np.float32)
    theirs, ours = subclass(keras), subclass(minicnn)
    ours(x), theirs(x)
    ours.save_weights(path)
    theirs.load_weights(path)
    assert_same_models(ours, theirs, x)
    theirs = subclass(keras)
    theirs(x)
    theirs.save_weights(path)
    ours.load_weights(path)
    assert_same_models(theirs, ours, x)
