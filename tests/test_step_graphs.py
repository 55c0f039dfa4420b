"""Training steps as CUDA graphs do the very same as steps kernel by kernel, or say why they cannot.

On a machine without a GPU the emulator stands in for it.
"""

import functools
import warnings

import numpy as np
import pytest

from minicnn import Model, Sequential, Tensor, layers, losses, optimizers, random, trace
from minicnn.callbacks import Callback, LearningRateScheduler
from minicnn.layers import Layer
from minicnn.models import captured as captured_steps

pytestmark = pytest.mark.parametrize(
    "device",
    [pytest.param("emulator", id="captured"), pytest.param("gpu", marks=pytest.mark.gpu)],
    indirect=True,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 6, 6, 3)).astype(np.float32)
CLASSES = rng.integers(0, 4, 20)


def network(*beginning, head=None):
    """A small network that begins with some layers."""
    end = [layers.Dense(4, activation="softmax")] if head is None else head
    return Sequential([layers.Input((6, 6, 3)), *beginning, layers.Flatten(), *end])


def trained(make, jit_compile, y=CLASSES, loss="sparse_categorical_crossentropy", **settings):
    """A model after 4 steps on batches that differ, and their losses."""
    weights = settings.pop("sample_weight", None)
    random.set_seed(1)
    model = make()
    model.compile(settings.pop("optimizer", "sgd"), loss, jit_compile=jit_compile, **settings)
    batches = [X, X + np.float32(0.1), -X, X / 2]
    return model, [model.train_on_batch(x, y, sample_weight=weights) for x in batches]


def assert_same(make, **settings):
    """Steps as graphs and steps kernel by kernel lead to the same bits."""
    model, losses = trained(make, False, **settings)
    captured, found = trained(make, True, **settings)
    assert captured.step_graphs.why_not == "" and captured.step_graphs.graph is not None
    assert model.step_graphs.graph is None
    assert found == losses
    for w, v in zip(captured.variables, model.variables, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=v.path)
    for a, b in zip(captured.optimizer.state(), model.optimizer.state(), strict=True):
        np.testing.assert_array_equal(a, b)


def conv(**keywords):
    return layers.Conv2D(3, 3, **keywords)


BEGINNINGS = {
    "conv and pool": lambda: [conv(activation="relu"), layers.MaxPooling2D(2)],
    "batch norm": lambda: [conv(use_bias=False), layers.BatchNormalization(), layers.ReLU()],
    "plain batch norm": lambda: [conv(), layers.BatchNormalization(center=False, scale=False)],
    "frozen": lambda: [conv(trainable=False), layers.BatchNormalization(trainable=False)],
    "dropout": lambda: [conv(), layers.Dropout(0.3), layers.SpatialDropout2D(0.2)],
    "noise": lambda: [layers.GaussianNoise(0.1), conv(), layers.GaussianDropout(0.1)],
    "alpha dropout": lambda: [conv(activation="selu"), layers.AlphaDropout(0.2)],
    "flip and crop": lambda: [layers.RandomFlip(), layers.RandomCrop(5, 5), conv()],
    "turn and zoom": lambda: [layers.RandomRotation(0.1), layers.RandomZoom(0.1), conv()],
    "move": lambda: [layers.RandomTranslation(0.1, 0.1), conv()],
    "light": lambda: [
        layers.RandomBrightness(0.1, (-4, 4)),
        layers.RandomContrast(0.1, (-4, 4)),
        conv(),
    ],
    "scaled": lambda: [
        layers.Rescaling(0.5, [0.0, 1.0, 2.0]),
        layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        conv(),
    ],
    "resized": lambda: [layers.Resizing(5, 7), conv(), layers.UpSampling2D(2)],
    "depthwise": lambda: [layers.DepthwiseConv2D(3), layers.SeparableConv2D(2, 2)],
    "transposed": lambda: [layers.Conv2DTranspose(2, 3, strides=2), layers.AveragePooling2D(2)],
    "rows normalized": lambda: [layers.LayerNormalization(), layers.GroupNormalization(3), conv()],
    "the largest": lambda: [conv(), layers.GlobalMaxPooling2D(keepdims=True)],
    "padded": lambda: [layers.ZeroPadding2D(1), conv(), layers.Cropping2D(1)],
    "activations": lambda: [conv(activation="gelu"), layers.PReLU(), conv(activation="elu")],
    "penalties": lambda: [conv(kernel_regularizer="l1l2", activity_regularizer="l2")],
    "a penalty of angles": lambda: [layers.Dense(2, kernel_regularizer="orthogonal_regularizer")],
    "constraints": lambda: [conv(kernel_constraint="max_norm")],
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_networks_learn_the_same(device, name):
    assert_same(lambda: network(*BEGINNINGS[name]()))


def two_paths():
    x = layers.Input((6, 6, 3))
    left, right = conv(padding="same")(x), conv(padding="same", activation="relu")(x)
    joined = layers.Concatenate()([left, right, layers.Add()([left, right])])
    return Model(x, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(joined)))


def test_paths_that_part_and_join_learn_the_same(device):
    assert_same(two_paths)


def test_several_outputs_learn_the_same(device):
    def make():
        x = layers.Input((6, 6, 3))
        flat = layers.Flatten()(conv()(x))
        return Model(x, [layers.Dense(4)(flat), layers.Dense(1)(flat)])

    y = [np.eye(4)[CLASSES], X[:, 0, 0, :1]]
    assert_same(make, y=y, loss=["mse", "mae"], loss_weights=[1.0, 0.5])


ONE_HOT, NUMBERS = np.eye(4)[CLASSES], X[:, 0, 0, :1]
LOSSES = {
    "sparse, logits": (losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES, 4),
    "one-hot": (losses.CategoricalCrossentropy(True, label_smoothing=0.1), ONE_HOT, 4),
    "yes or no": (losses.BinaryCrossentropy(True), CLASSES[:, None] % 2, 1),
    "squares": ("mse", NUMBERS, 1),
    "differences": ("mae", NUMBERS, 1),
    "huber": ("huber", NUMBERS, 1),
    "hinge": ("hinge", CLASSES[:, None] % 2, 1),
    "cosine": ("cosine_similarity", ONE_HOT, 4),
    "focal": (losses.CategoricalFocalCrossentropy(from_logits=True), ONE_HOT, 4),
    "sum": (losses.MeanSquaredError(reduction="sum"), NUMBERS, 1),
    **{name: (name, ONE_HOT, 4) for name in ("categorical_hinge", "squared_hinge", "log_cosh")},
    **{name: (name, NUMBERS, 1) for name in ("mape", "msle")},
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_same(device, name):
    loss, y, units = LOSSES[name]
    assert_same(lambda: network(conv(), head=[layers.Dense(units)]), loss=loss, y=y)


def test_a_sigmoid_and_its_loss_are_the_same(device):
    def make():
        return network(conv(), head=[layers.Dense(1, activation="sigmoid")])

    assert_same(make, loss="binary_crossentropy", y=CLASSES[:, None] % 2)


OF_PROBABILITIES = {
    "binary focal": (losses.BinaryFocalCrossentropy(), "sigmoid"),
    "focal": (losses.CategoricalFocalCrossentropy(), "softmax"),
    "divergence": (losses.KLDivergence(), "softmax"),
    "poisson": (losses.Poisson(), "softmax"),
}


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_losses_of_probabilities_are_the_same(device, name):
    loss, activation = OF_PROBABILITIES[name]

    def make():
        return network(conv(), head=[layers.Dense(4, activation=activation)])

    assert_same(make, loss=loss, y=ONE_HOT)


def test_sample_weights_are_the_same(device):
    assert_same(lambda: network(conv()), sample_weight=np.arange(20.0))


SIMPLE = ("adadelta", "adagrad", "adamax", "nadam", "ftrl", "lamb", "lion")
OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "muon": lambda: optimizers.Muon(0.01),
    "schedule": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 4)),
    "clipped": lambda: optimizers.SGD(0.1, global_clipnorm=0.1),
    "averaged": lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    "accumulated": lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
    "scaled": lambda: optimizers.SGD(0.1, loss_scale_factor=8),
    **{name: functools.partial(optimizers.get, name) for name in SIMPLE},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_do_the_same(device, name):
    def make():
        return network(conv(), layers.BatchNormalization())

    model, losses = trained(make, False, optimizer=OPTIMIZERS[name]())
    captured, found = trained(make, True, optimizer=OPTIMIZERS[name]())
    assert captured.step_graphs.graph is not None and found == losses
    for w, v in zip(captured.variables, model.variables, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=v.path)


class Meddling(Callback):
    """Does between steps what users do."""

    def on_train_batch_end(self, batch, logs=None):
        model = self.model
        if batch == 2:  # of the second epoch, too
            model.layers[0].set_weights([w / 2 for w in model.layers[0].get_weights()])
            model.layers[1].moving_mean.assign(np.ones(3, np.float32))


def fitted(jit_compile, **settings):
    """A model after 4 epochs of 5 steps, the last of them with fewer images."""
    random.set_seed(2)
    model = network(conv(activation="relu"), layers.BatchNormalization(), layers.Dropout(0.2))
    model.compile(
        optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    halving = LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(
        X[:18], CLASSES[:18], 4, epochs=4, verbose=0, callbacks=[Meddling(), halving], **settings
    )
    return model


@pytest.mark.parametrize(
    "settings",
    [{}, {"validation_data": (-X, CLASSES)}, {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0, 3: 1.0}}],
    ids=["plain", "validated", "weighted"],
)
def test_fit_does_the_same(device, settings):
    model, captured = fitted(False, **settings), fitted(True, **settings)
    assert captured.step_graphs.graph is not None
    assert captured.history.history == model.history.history
    for w, v in zip(captured.variables, model.variables, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=v.path)


def compiled(*beginning, jit_compile=True, loss="sparse_categorical_crossentropy"):
    """A model that has done its first two steps, with the warning that they gave."""
    model = network(*beginning)
    model.compile("sgd", loss, jit_compile=jit_compile)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            model.train_on_batch(X, CLASSES)
    return model, " ".join(str(warning.message) for warning in caught)


def test_freezing_a_layer_makes_a_new_graph(device):
    model, _ = compiled(conv(), layers.BatchNormalization())
    graph, before = model.step_graphs.graph, model.layers[0].get_weights()
    model.layers[0].trainable = False
    for _ in range(3):
        model.train_on_batch(X, CLASSES)
    assert model.step_graphs.graph is not graph
    for weight, old in zip(model.layers[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def moved_away_and_back(model):
    device = model.layers[0].kernel.device
    model.to("cpu")
    model.to(device)


def frozen_for_a_step(model):
    model.layers[0].trainable = False
    model.train_on_batch(X, CLASSES)
    model.layers[0].trainable = True


def saved_and_loaded(model):
    model.save_weights("some.weights.h5")
    model.load_weights("some.weights.h5")


@pytest.mark.parametrize("between", [moved_away_and_back, frozen_for_a_step, saved_and_loaded])
def test_whatever_happens_between_two_steps_the_next_ones_learn(
    device, between, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    def learnt(jit_compile):
        random.set_seed(4)
        model = network(conv(), layers.BatchNormalization())
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
        before = [model.train_on_batch(X, CLASSES) for _ in range(3)]
        between(model)
        return model, before + [model.train_on_batch(X, CLASSES) for _ in range(3)]

    (_, eager), (captured, found) = learnt(False), learnt(True)
    assert captured.step_graphs.graph is not None and found == eager


class Scaled(losses.Loss):
    """A loss with a number that can be changed while the model learns."""

    factor = 1.0

    def call(self, y_true, y_pred):
        return losses.mean_squared_error(y_true, y_pred) * self.factor


def test_settings_that_change_while_it_learns_count_from_the_next_step_on(device):
    def learnt(jit_compile):
        random.set_seed(3)
        model, loss = network(layers.Dropout(0.2), conv()), Scaled()
        loss.factor = 1.0
        model.compile("sgd", loss, jit_compile=jit_compile)
        found = []
        for step in range(9):
            model.layers[0].rate = 0.2 if step < 3 else 0.7
            loss.factor = 1.0 if step < 6 else 5.0
            found.append(model.train_on_batch(X, np.eye(4)[CLASSES]))
        return model, found

    (model, eager), (captured, found) = learnt(False), learnt(True)
    assert captured.step_graphs.graph is not None and found == eager
    for w, v in zip(captured.variables, model.variables, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=v.path)


def test_a_watched_step_runs_op_by_op(device, capsys):
    model, _ = compiled(conv())
    with trace():
        model.train_on_batch(X, CLASSES)
    assert "Convolve" in capsys.readouterr().out
    assert model.step_graphs.graph is not None


def test_hooks_are_called_in_each_step(device):
    model, _ = compiled(conv())
    calls = []
    handle = model.layers[0].register_forward_hook(lambda *args: calls.append(1))
    for _ in range(3):
        model.train_on_batch(X, CLASSES)
    assert len(calls) == 3
    handle.remove()
    model.train_on_batch(X, CLASSES)
    assert len(calls) == 3


class Looking(Layer):
    """A layer that decides by what it sees, as no graph can."""

    def call(self, x):
        return x * 2 if x.numpy().mean() > 0 else x


def test_a_layer_that_looks_at_numbers_is_a_reason(device):
    model, said = compiled(conv(), Looking(), layers.Dropout(0.5, seed=3))
    assert model.step_graphs.graph is None and "MC060" in said
    assert "because" in said and "captur" in model.step_graphs.why_not
    eager, _ = compiled(conv(), Looking(), layers.Dropout(0.5, seed=3), jit_compile=False)
    assert not eager.step_graphs.why_not


class Bringing(Layer):
    """A layer that brings numbers of the CPU along, which the next step may have others of."""

    def call(self, x):
        return x + Tensor(np.ones(3, np.float32))


def test_a_layer_that_copies_from_the_cpu_is_a_reason(device):
    model, said = compiled(conv(), Bringing())
    assert model.step_graphs.graph is None and "MC060" in said
    assert "an array of shape (3,) was copied from the CPU" in model.step_graphs.why_not


def test_after_a_capture_that_failed_the_model_learns_as_if_nothing_had_been(device):
    def make():
        return network(layers.Dropout(0.5), conv(), layers.BatchNormalization(), Looking())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (one, first), (other, second) = trained(make, True), trained(make, False)
    assert first == second and one.step_graphs.why_not
    for w, v in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=v.path)


class Doubling(Layer):
    """A layer that a graph can repeat."""

    def call(self, x):
        return x * 2


@pytest.mark.parametrize("own", ["layer", "loss"])
def test_left_to_itself_a_gpu_captures_only_what_is_minicnns_own(device, own, monkeypatch):
    monkeypatch.setattr(captured_steps, "device_of", lambda x: "gpu")  # for whom "auto" is meant
    foreign = [Doubling()] if own == "layer" else []
    loss = Scaled() if own == "loss" else "mse"
    model = network(conv(), *foreign)
    model.compile("sgd", loss, jit_compile="auto")
    model.train_on_batch(X, np.eye(4)[CLASSES])
    with pytest.warns(UserWarning, match=f"MC060.*the {own} '.*' is not one of minicnn's own"):
        model.train_on_batch(X, np.eye(4)[CLASSES])
    assert model.step_graphs.graph is None


def test_labels_are_checked_in_each_step(device):
    model, _ = compiled(conv())
    assert model.step_graphs.graph is not None
    with pytest.raises(ValueError, match="MC012"):
        model.train_on_batch(X, CLASSES + 1)

    def batches():
        for step in range(16):
            yield X, CLASSES + (step == 14)

    before = model.layers[0].kernel.numpy()
    with pytest.raises(ValueError, match=r"MC012.*reach from . to 4"):
        model.fit(batches(), steps_per_epoch=16, verbose=0)
    assert (model.layers[0].kernel.numpy() != before).any()


def test_own_layers_are_captured_where_they_are_said_to_be_pure(device):
    assert_same(lambda: network(conv(), Doubling()))


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_on_the_emulator_graphs_are_only_made_where_they_are_asked_for(device, jit_compile):
    model, said = compiled(conv(), jit_compile=jit_compile)
    wanted = device == "gpu" and jit_compile == "auto"
    assert (model.step_graphs.graph is not None) == wanted and not said


def test_other_words_are_refused(device):
    model = network()
    with pytest.raises(ValueError, match="jit_compile must be True, False or 'auto', but is 'on'"):
        model.compile("sgd", "mse", jit_compile="on")


def test_run_eagerly_is_the_other_name_for_it(device):
    model = network(conv())
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=True)
    for _ in range(3):
        model.train_on_batch(X, CLASSES)
    assert model.step_graphs.graph is None


def test_a_loss_that_is_not_finite_leaves_the_weights_alone(device):
    model, _ = compiled(conv(), layers.Flatten())
    model.fit(X, CLASSES, 20, epochs=12, verbose=0)  # the first ten are looked at, op by op
    assert model.step_graphs.graph is not None
    before = [w.numpy() for w in model.trainable_weights]
    model.layers[0].kernel.assign(np.full((3, 3, 3, 3), np.float32(1e38)))
    with pytest.raises(FloatingPointError, match="MC041"):
        model.fit(X, CLASSES, 20, epochs=12, verbose=0)
    for w, old in list(zip(model.trainable_weights, before, strict=True))[1:]:
        np.testing.assert_array_equal(w.numpy(), old)
