"""compile, fit, evaluate, predict: what they compute, return and print, and what they refuse."""

import signal
import warnings

import numpy as np
import pytest

from minicnn import layers
from minicnn.autograd import Tensor
from minicnn.callbacks import Callback
from minicnn.losses import SparseCategoricalCrossentropy
from minicnn.metrics import MeanAbsoluteError
from minicnn.models import Sequential
from minicnn.models.interrupts import interrupts_held
from minicnn.optimizers import SGD
from minicnn.random import set_seed


def data(count=10, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, 4), np.float32), rng.integers(0, classes, count)


def classifier(metrics=("accuracy",), optimizer="sgd", **settings):
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics), **settings)
    return model


def regression(weight=0.0, rate=0.1):
    """A model y = w x with a known weight: everything can be worked out by hand."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[weight]]])
    model.compile(SGD(rate), "mse", metrics=["mae"])
    return model


def quiet(model, *arguments, **settings):
    return model.fit(*arguments, verbose=0, **settings)


# --- what is computed


def test_a_cnn_learns_twenty_images_by_heart():
    set_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 12, 12, 3), np.float32), rng.integers(0, 4, 20)
    model = Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    before = model.get_weights()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.01
    history = quiet(model, x, y, epochs=60, batch_size=10).history
    assert history["accuracy"][-1] == 1.0 and history["loss"][-1] < 0.05
    assert model.evaluate(x, y, verbose=0)[1] == 1.0
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.abs(new - old).max() > 1e-3  # every weight, the filters too, has moved


def test_a_step_is_the_one_worked_out_by_hand():
    model = regression(weight=1.0, rate=0.1)
    # loss = mean of (w x - y)^2 = ((1 - 3)^2 + (2 - 4)^2) / 2 = 4;  dw = mean of 2 (w x - y) x = -6
    logs = model.train_on_batch(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
    assert logs == [4.0, 2.0]
    assert model.get_weights()[0].item() == pytest.approx(1.6, rel=1e-6)


def test_fit_does_the_steps_of_train_on_batch():
    x, y = data(10)
    one, two = classifier(), classifier()
    two.set_weights(one.get_weights())
    quiet(one, x, y, batch_size=4, shuffle=False, epochs=2)
    for _ in range(2):
        for start in (0, 4, 8):
            two.train_on_batch(x[start : start + 4], y[start : start + 4])
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.optimizer.iterations == two.optimizer.iterations == 6


def test_the_loss_of_an_epoch_weights_batches_by_their_size():
    model = regression(weight=0.0, rate=0.0)
    x, y = np.zeros((5, 1)), np.array([[1.0], [1.0], [1.0], [1.0], [3.0]])
    history = quiet(model, x, y, batch_size=4, shuffle=False).history
    assert history == {"loss": [(4 * 1 + 9) / 5], "mae": [(4 * 1 + 3) / 5]}


def test_evaluate_changes_nothing_and_is_the_mean_over_samples():
    model = regression(weight=1.0)
    x, y = np.array([[1.0], [2.0], [4.0]]), np.zeros((3, 1))
    assert model.evaluate(x, y, batch_size=2, verbose=0) == [7.0, pytest.approx(7 / 3)]
    assert model.get_weights()[0].item() == 1.0


def test_predict_gives_one_row_per_sample():
    model = classifier()
    x, _ = data(7)
    outputs = model.predict(x, batch_size=3, verbose=0)
    assert outputs.shape == (7, 3) and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, model(x).numpy(), rtol=1e-6)
    np.testing.assert_allclose(outputs[:3], model.predict_on_batch(x[:3]), rtol=1e-6)
    stream = [(x[:3],), (x[3:],)]
    np.testing.assert_allclose(outputs, model.predict(stream, verbose=0), rtol=1e-6)


def test_training_is_told_to_the_layers_and_inference_too():
    class Notes(layers.Layer):
        def call(self, x, training=False):
            seen.append(training)
            return x

    seen = []
    model = Sequential([layers.Input((4,)), Notes(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen.clear()
    x, y = data(4)
    quiet(model, x, y, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model(x)
    assert seen == [True, False, False, False, False]


def test_penalties_are_part_of_the_loss_in_training_and_evaluation():
    model = Sequential([layers.Input((1,)), layers.Dense(1, kernel_regularizer="l2")])
    model.set_weights([[[2.0]], [0.0]])
    model.compile(SGD(0.1), "mse")
    x, y = np.zeros((2, 1)), np.zeros((2, 1))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(0.01 * 4)
    assert model.train_on_batch(x, y) == pytest.approx(0.01 * 4)
    assert model.get_weights()[0].item() == pytest.approx(2 - 0.1 * 0.01 * 2 * 2)


def test_sample_weights_count_in_the_loss_and_in_weighted_metrics_only():
    model = regression(weight=0.0)
    model.compile(SGD(0.0), "mse", metrics=["mae"], weighted_metrics=[MeanAbsoluteError("w")])
    x, y, weight = np.zeros((2, 1)), np.array([[1.0], [3.0]]), np.array([3.0, 1.0])
    logs = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    assert logs == {"loss": (3 * 1 + 9) / 2, "mae": 2.0, "w": (3 * 1 + 3) / 4}
    assert list(logs) == sorted(logs)
    assert quiet(model, x, y, sample_weight=weight).history["loss"] == [6.0]


def test_class_weights_are_sample_weights():
    x, y = data(9)
    one, two = classifier(), classifier()
    two.set_weights(one.get_weights())
    table = {0: 0.5, 1: 3.0}
    first = quiet(one, x, y, shuffle=False, class_weight=table).history
    second = quiet(two, x, y, shuffle=False, sample_weight=[table.get(k, 1.0) for k in y]).history
    assert first == second
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])


def test_loss_weights_scale_the_loss():
    model = regression(weight=1.0, rate=0.0)
    model.compile(SGD(0.0), "mse", loss_weights=0.5)
    assert model.evaluate(np.ones((1, 1)), np.zeros((1, 1)), verbose=0) == 0.5
    with pytest.raises(TypeError, match="loss_weights must be a number"):
        model.compile(loss="mse", loss_weights={"a": 1})


def test_frozen_layers_do_not_move_and_thawing_is_honored_in_the_next_fit():
    model = Sequential([layers.Input((4,)), layers.Dense(5), layers.Dense(3, activation="softmax")])
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    start = model.get_weights()
    quiet(model, *data())
    frozen = model.get_weights()
    model.layers[0].trainable = True
    with pytest.warns(UserWarning, match=r"fit \[MC051\]: note: .*trains now also '\w+/\w+/bias'"):
        quiet(model, *data())
    thawed = model.get_weights()
    np.testing.assert_array_equal(start[0], frozen[0])
    assert (frozen[2] != start[2]).any() and (thawed[0] != frozen[0]).any()


def test_a_model_with_nothing_to_train_warns():
    model = classifier()
    model.trainable = False
    with pytest.warns(UserWarning, match="has no weights that training could change"):
        quiet(model, *data())


def test_fit_builds_an_unbuilt_model_from_the_first_batch():
    model = Sequential([layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    quiet(model, *data())
    assert model.input_shape == (None, 4)
    stream = Sequential([layers.Dense(3, activation="softmax")])
    stream.compile("sgd", "sparse_categorical_crossentropy")
    quiet(stream, iter([data(2)]))
    assert stream.input_shape == (None, 4)


def test_compiling_again_resets_the_optimizer():
    model = classifier(optimizer="adam")
    quiet(model, *data())
    assert model.optimizer.iterations == 1
    with pytest.warns(UserWarning, match=r"compile \[MC055\]: note: .*reset \(step 1 to 0\)"):
        model.compile("adam", "sparse_categorical_crossentropy")
    assert model.optimizer.iterations == 0 and not model.optimizer.built


def test_integer_inputs_and_lists_are_converted():
    model = classifier()
    x = np.random.default_rng(0).integers(0, 9, (6, 4), dtype=np.uint8)
    y = np.array([0, 1, 2, 0, 1, 2])
    as_floats = model.evaluate(x.astype(np.float64), y, verbose=0)
    assert model.evaluate(x, y, verbose=0) == as_floats
    assert model.evaluate(x.tolist(), y.tolist(), verbose=0) == as_floats
    assert model.evaluate(Tensor(x.astype(np.float32)), y[:, None], verbose=0) == as_floats


def test_data_is_not_changed_and_stays_writeable():
    x, y = data()
    before = x.copy()
    model = classifier()
    quiet(model, x, y, validation_split=0.2)
    model.train_on_batch(x, y)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(x, before)
    x[0] = 1.0


# --- what is returned and printed


def test_results_are_a_number_a_list_or_a_dict():
    x, y = data()
    assert isinstance(classifier(metrics=[]).evaluate(x, y, verbose=0), float)
    model = classifier(metrics=["sparse_top_k_categorical_accuracy", "accuracy"])
    assert model.metrics_names == ["loss", "sparse_top_k_categorical_accuracy", "accuracy"]
    results = model.evaluate(x, y, verbose=0)
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert results == [named[name] for name in model.metrics_names]
    assert list(named) == ["accuracy", "loss", "sparse_top_k_categorical_accuracy"]
    assert model.test_on_batch(x, y) == pytest.approx(results)
    assert model.test_on_batch(x, y, return_dict=True).keys() == named.keys()


def test_metrics_keep_the_name_that_was_typed_and_a_second_one_counts():
    def close(y_true, y_pred):
        return np.ones(len(y_pred))

    model = regression()
    model.compile("sgd", "mse", metrics=["mae", "mae", close, MeanAbsoluteError("own")])
    assert model.metrics_names == ["loss", "mae", "mae_1", "close", "own"]
    logs = model.evaluate(np.ones((1, 1)), np.ones((1, 1)), verbose=0, return_dict=True)
    assert logs["mae"] == logs["mae_1"] == 1.0 and logs["close"] == 1.0
    assert [metric.name for metric in model.metrics] == model.metrics_names


def test_metrics_may_be_a_dict_or_nested():
    model = regression()
    model.compile("sgd", "mse", metrics={"out": ["mae"]})
    assert model.metrics_names == ["loss", "mae"]
    model.compile("sgd", ["mse"], metrics=[["mae"]])
    assert model.metrics_names == ["loss", "mae"]


@pytest.mark.parametrize(
    ("units", "loss", "labels"),
    [
        (1, "binary_crossentropy", np.array([0, 1, 1, 0])),
        (3, "sparse_categorical_crossentropy", np.array([0, 1, 2, 0])),
        (3, "categorical_crossentropy", np.eye(3)[[0, 1, 2, 0]]),
    ],
)
@pytest.mark.parametrize("word", ["accuracy", "acc"])
def test_accuracy_is_the_one_that_fits_the_shapes(units, loss, labels, word):
    activation = "sigmoid" if units == 1 else "softmax"
    model = Sequential([layers.Input((4,)), layers.Dense(units, activation=activation)])
    model.compile("sgd", loss, metrics=[word])
    x = data(4)[0]
    outputs = model.predict(x, verbose=0)
    if units == 1:
        right = (outputs[:, 0] > 0.5) == labels
    else:
        right = outputs.argmax(1) == (labels.argmax(1) if labels.ndim == 2 else labels)
    logs = model.evaluate(x, labels, verbose=0, return_dict=True)
    assert logs[word] == right.mean()


def test_accuracy_is_chosen_again_for_a_new_last_layer():
    model = classifier()
    x, y = data(8)
    quiet(model, x, y)
    model.pop()
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    outputs = model.predict(x, verbose=0)[:, 0]
    assert model.evaluate(x, y > 0, verbose=0)[1] == ((outputs > 0.5) == (y > 0)).mean()


def test_epochs_are_numbers_of_epochs():
    history = quiet(classifier(), *data(), epochs=5, initial_epoch=2)
    assert history.epoch == [2, 3, 4]
    assert quiet(classifier(), *data(), epochs=1, initial_epoch=1).epoch == []


def test_validation_happens_when_it_is_due():
    x, y = data()
    for frequency, wanted in ((2, 2), ([1, 4], 2), (5, 0)):
        history = quiet(
            classifier(), x, y, epochs=4, validation_data=(x, y), validation_freq=frequency
        )
        assert len(history.history.get("val_loss", [])) == wanted


def test_validation_is_evaluate_on_the_validation_data():
    x, y = data(10)
    model = classifier()
    history = quiet(model, x, y, validation_split=0.3).history
    loss, accuracy = model.evaluate(x[7:], y[7:], verbose=0)
    assert history["val_loss"] == [loss] and history["val_accuracy"] == [accuracy]
    weighted = quiet(model, x, y, validation_data=(x, y, np.zeros(10))).history
    assert weighted["val_loss"] == [0.0]


def test_validation_steps_take_the_first_batches_every_time():
    x, y = data(10)
    model = classifier(optimizer=SGD(0.0))
    history = quiet(
        model, x, y, epochs=2, validation_data=(x, y), validation_steps=1, validation_batch_size=4
    ).history
    expected = model.evaluate(x[:4], y[:4], verbose=0)[0]
    assert history["val_loss"] == [expected, expected]


def test_steps_per_epoch_limit_an_epoch():
    recorder = Recorder()
    quiet(classifier(), *data(10), batch_size=2, epochs=2, steps_per_epoch=3, callbacks=recorder)
    assert recorder.steps == [3, 3] and recorder.params["steps"] == 3


class Recorder(Callback):
    """Counts the steps of each epoch."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1


def test_printed_lines_are_keras(capsys, monkeypatch):
    from minicnn.utils import progbar

    monkeypatch.setattr(progbar.time, "perf_counter", lambda: 0.0)
    model = regression(weight=1.0, rate=0.0)
    x, y = np.ones((4, 1)), np.zeros((4, 1))
    model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y))
    model.fit(x, y, batch_size=2, verbose=1)
    model.evaluate(x, y)
    model.predict(x)
    line = "0s - 0s/step - loss: 1.0000 - mae: 1.0000"
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/2",
        f"2/2 - {line} - val_loss: 1.0000 - val_mae: 1.0000",
        "Epoch 2/2",
        f"2/2 - {line} - val_loss: 1.0000 - val_mae: 1.0000",
        "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 1.0000 - mae: 1.0000",
        f"1/1 - {line}",
        "1/1 - 0s - 0s/step",
    ]


def test_verbose_0_is_silent(capsys):
    model = classifier()
    x, y = data()
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert capsys.readouterr().out == ""


# --- streams


def test_any_iterable_of_batches_can_be_learned():
    x, y = data(6)
    pairs = [(x[:4], y[:4]), (x[4:], y[4:])]
    models = [classifier() for _ in range(3)]
    for model in models:
        model.set_weights(models[0].get_weights())
    quiet(models[0], x, y, batch_size=4, shuffle=False, epochs=2)
    quiet(models[1], pairs, epochs=2)
    endless = (pair for _ in range(9) for pair in pairs)
    quiet(models[2], endless, epochs=2, steps_per_epoch=2)
    for model in models[1:]:
        np.testing.assert_array_equal(model.get_weights()[0], models[0].get_weights()[0])
    assert models[0].evaluate(pairs, verbose=0) == models[0].evaluate(x, y, 4, verbose=0)


def test_a_generator_that_runs_out_ends_the_training_with_a_warning():
    x, y = data(6)
    model = classifier()
    with pytest.warns(UserWarning, match="the data has run out, so training ends early"):
        history = quiet(model, iter([(x, y)]), epochs=3)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="the data has run out"):
        history = quiet(model, iter([(x, y)] * 3), epochs=2, steps_per_epoch=2)
    assert history.epoch == [0, 1]


def test_an_empty_stream_is_refused():
    for empty in (iter([]), (pair for pair in ())):
        with pytest.raises(ValueError, match=r"fit \[MC054\]: there is no batch in what x yields"):
            quiet(classifier(), empty)


def test_validation_with_a_generator_needs_its_steps():
    x, y = data(6)
    with pytest.raises(ValueError, match="validation_data is a generator.*Give validation_steps"):
        quiet(classifier(), x, y, epochs=2, validation_data=iter([(x, y)]))
    endless = iter([(x, y)] * 9)
    history = quiet(classifier(), x, y, epochs=2, validation_data=endless, validation_steps=2)
    assert len(history.history["val_loss"]) == 2


# --- Ctrl-C


def test_an_interrupt_leaves_whole_steps_and_a_history():
    class Interrupts(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 5:
                raise KeyboardInterrupt

    x, y = data(8)
    one, two = classifier(), classifier()
    two.set_weights(one.get_weights())
    with pytest.raises(KeyboardInterrupt):
        quiet(one, x, y, batch_size=4, epochs=9, shuffle=False, callbacks=[Interrupts()])
    assert one.history.epoch == [0, 1] and one.optimizer.iterations == 5
    quiet(two, x, y, batch_size=4, epochs=2, shuffle=False)
    two.train_on_batch(x[:4], y[:4])
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])
    quiet(one, x, y)  # and it can go on


@pytest.fixture
def _interruptible():
    """Ctrl-C as in a terminal: who starts the tests in the background switches it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_update_is_not_interrupted():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            done.append("the update")
        done.append("too late")
    assert done == ["the update"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- what is refused


def test_before_compile_and_without_a_loss():
    model = Sequential([layers.Input((4,)), layers.Dense(3)])
    x, y = data()
    for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=rf"{call.__name__}: model .* is not compiled. Call"):
            call(x, y)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"fit \[MC023\]: .* was compiled without a loss"):
        model.fit(x, y)
    assert model.predict(x, verbose=0).shape == (10, 3)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"optimizer": "adm"}, "unknown optimizer 'adm'. Did you mean 'adam'"),
        ({"loss": "categorical_crossentrpy"}, "Did you mean 'categorical_crossentropy'"),
        ({"metrics": ["acuracy"]}, "unknown metric 'acuracy'. Did you mean 'accuracy'"),
        ({"metrics": "accuracy"}, r"metrics must be a list, as \['accuracy'\]"),
        ({"weighted_metrics": "mae"}, r"weighted_metrics must be a list, as \['mae'\]"),
        ({"loss": SparseCategoricalCrossentropy(reduction="none")}, "has reduction='none'"),
    ],
)
def test_compile_finds_mistakes(settings, match):
    model = classifier()
    optimizer = model.optimizer
    with pytest.raises(ValueError, match=match):
        model.compile(**settings)
    assert model.optimizer is optimizer and model.metrics_names == ["loss", "accuracy"]


def test_compile_accepts_what_means_nothing_here():
    regression().compile(
        "sgd", "mse", None, None, None, True, 4, jit_compile=False, auto_scale_loss=False
    )


@pytest.mark.parametrize(
    ("call", "word", "right"),
    [
        ("fit", "epoch", "epochs"),
        ("fit", "batchsize", "batch_size"),
        ("evaluate", "verbos", "verbose"),
        ("predict", "step", "steps"),
        ("compile", "metric", "metrics"),
        ("compile", "optimiser", "optimizer"),
        ("train_on_batch", "class_weights", "class_weight"),
        ("summary", "line_lenght", "line_length"),
    ],
)
def test_misspelt_keywords_get_a_hint(call, word, right):
    with pytest.raises(
        TypeError, match=f"{call} .MC050.: has no argument '{word}'. Did you mean '{right}'"
    ):
        getattr(classifier(), call)(**{word: 1})


@pytest.mark.parametrize(
    "name",
    ["batch_size", "epochs", "steps_per_epoch", "validation_steps", "validation_batch_size"],
)
@pytest.mark.parametrize("value", [0, -1])
def test_counts_must_be_positive(name, value):
    x, y = data()
    with pytest.raises(ValueError, match=f"fit .MC054.: {name} must be an integer of at least 1"):
        quiet(classifier(), x, y, validation_data=(x, y), **{name: value})
    with pytest.raises(TypeError, match=f"fit .MC054.: {name} must be an integer"):
        quiet(classifier(), x, y, validation_data=(x, y), **{name: 1.5})


def test_an_unknown_verbosity_is_refused():
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto', but is 3"):
        classifier().fit(*data(), verbose=3)


def test_class_and_sample_weights_exclude_each_other():
    x, y = data()
    with pytest.raises(ValueError, match="class_weight and sample_weight cannot be given together"):
        quiet(classifier(), x, y, class_weight={0: 2.0}, sample_weight=np.ones(10))


def unchanged(model, call, error, match):
    """`call` raises before the first step."""
    before = model.get_weights()
    with pytest.raises(error, match=match):
        call(model)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("bad", "match"),
    [(np.nan, r"x \[MC031\] has 1 NaN, the first at \[9, 3\]"), (np.inf, "1 infinite")],
)
def test_a_nan_is_found_before_the_first_step(bad, match):
    x, y = data()
    x[9, 3] = bad
    unchanged(classifier(), lambda m: quiet(m, x, y, batch_size=1), ValueError, match)
    unchanged(classifier(), lambda m: m.predict(x, verbose=0), ValueError, match)
    good = data()[0]
    unchanged(classifier(), lambda m: quiet(m, good, y, validation_data=(x, y)), ValueError, match)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0] * 9 + [3], r"\[MC012\].*reach from 0 to 3.*3 outputs"),
        ([-1] + [0] * 9, r"\[MC012\]"),
        ([0.0] * 8 + [0.4, 2.0], r"\[MC013\].*one is 0.4"),
        (np.eye(3)[[0] * 10], r"\[MC011\]"),
        (np.zeros((10, 2), int), r"\[MC010\]"),
    ],
)
def test_bad_labels_are_found_before_the_first_step(labels, match):
    x, labels = data()[0], np.asarray(labels)
    unchanged(classifier(), lambda m: quiet(m, x, labels, batch_size=1), ValueError, match)
    unchanged(classifier(), lambda m: m.evaluate(x, labels, 1, verbose=0), ValueError, match)


def test_a_forgotten_flatten_is_recognized():
    model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Dense(10)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"\[MC003\]: the output of the model has 4 axes.*Flatten"):
        quiet(model, np.zeros((2, 8, 8, 3)), np.zeros(2, int))


def test_a_missing_batch_axis_is_recognized():
    with pytest.raises(ValueError, match=r"Add the batch axis: x\[None\]"):
        classifier().predict(np.zeros(4), verbose=0)


def test_pixels_are_warned_of_once_per_model_at_the_users_line():
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(SGD(1e-6), "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).integers(0, 256, (10, 4), dtype=np.uint8), data()[1]
    with pytest.warns(UserWarning, match=r"\[MC030\].*span 0 to 2\d\d.*x / 255") as found:
        quiet(model, x, y, batch_size=10)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet(model, x, y)
        quiet(classifier(), x / 255, y)


@pytest.mark.parametrize("inside", [False, True])
def test_pixels_are_right_for_a_model_that_scales_them(inside):
    scaling = layers.Rescaling(1 / 255)
    first = Sequential([layers.RandomFlip(), scaling]) if inside else scaling
    model = Sequential(
        [layers.Input((4, 4, 1)), first, layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    model.compile(SGD(1e-6), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), dtype=np.uint8)
    quiet(model, x, data()[1])  # warnings are errors
