"""Callbacks: when they are called, with what, and what the built-in ones do."""

import numpy as np
import pytest

from minicnn import layers
from minicnn.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    ModelCheckpoint,
    MonitorCallback,
)
from minicnn.models import Sequential

HOOKS = [name for name in dir(Callback) if name.startswith("on_")]


class Recorder(Callback):
    """Notes every call: the name, the number, and the keys of the logs."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _recording(name):
    def hook(self, *arguments):
        number = [a for a in arguments if isinstance(a, int)]
        logs = arguments[-1] if arguments and isinstance(arguments[-1], dict) else {}
        self.calls.append((name, *number, *logs))

    return hook


for _name in HOOKS:
    if _name not in ("on_batch_begin", "on_batch_end"):
        setattr(Recorder, _name, _recording(_name))


class FakeModel:
    """As much of a model as callbacks need."""

    def __init__(self):
        self.metrics = []
        self.stop_training = False
        self.weights = 0
        self.saved = []

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights

    def save_weights(self, path):
        self.saved.append((str(path), self.weights))


def data(count=8):
    rng = np.random.default_rng(0)
    return rng.random((count, 3), np.float32), rng.integers(0, 2, count)


def compiled():
    model = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def run(callback, values, name="val_loss", more=None):
    """Play epochs with these values of one name; the weights are the number of the epoch."""
    model = FakeModel()
    callback.set_model(model)
    callback.on_train_begin()
    logs = {}
    for epoch, value in enumerate(values):
        model.weights = epoch
        logs = {name: value, **(more or {})}
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callback.on_train_end(logs)
    return model


def test_the_order_of_fit_with_validation():
    recorder = Recorder()
    x, y = data(4)
    compiled().fit(x, y, batch_size=2, verbose=0, validation_data=data(2), callbacks=[recorder])
    keys = ("accuracy", "loss")
    assert recorder.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0, *keys),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1, *keys),
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0, *keys),
        ("on_test_end", *keys),
        ("on_epoch_end", 0, *keys, "val_accuracy", "val_loss"),
        ("on_train_end", *keys, "val_accuracy", "val_loss"),
    ]


def test_the_order_of_predict():
    recorder = Recorder()
    compiled().predict(data(3)[0], batch_size=2, verbose=0, callbacks=recorder)
    assert recorder.calls == [
        ("on_predict_begin",),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0, "outputs"),
        ("on_predict_batch_begin", 1),
        ("on_predict_batch_end", 1, "outputs"),
        ("on_predict_end",),
    ]


def test_batch_hooks_have_short_names_for_training():
    class Short(Callback):
        calls = ""

        def on_batch_begin(self, batch, logs=None):
            self.calls += "("

        def on_batch_end(self, batch, logs=None):
            self.calls += ")"

    short = Short()
    x, y = data(4)
    compiled().fit(x, y, batch_size=2, verbose=0, callbacks=short, validation_data=(x, y))
    assert short.calls == "()()"


def test_batch_logs_are_running_means():
    class Losses(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.__dict__.setdefault("seen", []).append(logs["loss"])

    losses = Losses()
    x, y = data(6)
    history = compiled().fit(x, y, batch_size=4, verbose=0, callbacks=[losses])
    assert len(losses.seen) == 2
    assert history.history["loss"] == [losses.seen[-1]]


def test_keys_that_a_callback_adds_reach_history_and_the_printed_line(capsys):
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["extra"] = 0.25

    x, y = data()
    history = compiled().fit(x, y, verbose=2, callbacks=[Adds()])
    assert history.history["extra"] == [0.25]
    assert list(history.history) == ["accuracy", "loss", "extra"]
    assert capsys.readouterr().out.endswith("- extra: 0.2500\n")


def test_callbacks_see_model_and_params():
    recorder = Recorder()
    model = compiled()
    x, y = data()
    model.fit(x, y, batch_size=3, epochs=2, verbose=0, callbacks=[recorder])
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 2, "steps": 3}


def test_stopping_in_a_batch_ends_the_epoch_but_not_the_rest_of_it():
    class Stops(Recorder):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    stops = Stops()
    x, y = data(8)
    history = compiled().fit(
        x, y, batch_size=2, epochs=3, verbose=0, validation_data=(x, y), callbacks=[stops]
    )
    names = [call[0] for call in stops.calls]
    assert names.count("on_train_batch_begin") == 1
    assert names[-2:] == ["on_epoch_end", "on_train_end"] and "on_test_end" in names
    assert history.epoch == [0] and "val_loss" in history.history


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (EarlyStopping, r"EarlyStopping is a class. Give an object of it: EarlyStopping\(\)"),
        ("early_stopping", "wants Callback objects, but got 'e'"),
        (3, "wants Callback objects, but got 3"),
    ],
)
def test_what_is_no_callback_is_refused(wrong, hint):
    with pytest.raises(TypeError, match=hint):
        CallbackList(wrong)


def test_history_holds_floats_and_is_new_in_every_fit():
    model = compiled()
    x, y = data()
    first = model.fit(x, y, epochs=2, verbose=0)
    second = model.fit(x, y, verbose=0)
    assert model.history is second is not first
    assert first.epoch == [0, 1] and second.epoch == [0]
    assert all(type(value) is float for value in first.history["loss"])
    assert first.model is model and first.params["epochs"] == 2


def test_a_misspelt_key_of_the_history_gets_a_hint():
    history = History()
    with pytest.raises(KeyError, match="no epoch is done"):
        history.history["loss"]
    history.on_epoch_end(0, {"accuracy": 0.5, "val_accuracy": 0.5})
    with pytest.raises(KeyError, match="has no 'acc'. Did you mean 'accuracy'"):
        history.history["acc"]
    with pytest.raises(KeyError, match="has no 'val_acuracy'. Did you mean 'val_accuracy'"):
        history.history["val_acuracy"]
    assert "acc" not in history.history and history.history.get("acc") is None


# --- EarlyStopping


def test_it_stops_when_the_patience_is_over():
    stopping = EarlyStopping(patience=2)
    run(stopping, [1.0, 0.9, 0.95, 0.91, 0.1])
    assert stopping.stopped_epoch == 3 and stopping.best == 0.9


def test_a_better_value_renews_the_patience():
    stopping = EarlyStopping(patience=2)
    model = run(stopping, [1.0, 1.1, 0.9, 1.1, 0.8])
    assert not model.stop_training


def test_it_never_stops_in_the_first_epoch():
    model = run(EarlyStopping(baseline=0.1), [float("nan")])
    assert not model.stop_training


def test_a_change_must_exceed_min_delta():
    stopping = EarlyStopping(patience=1, min_delta=-0.25)  # its sign does not matter
    run(stopping, [1.0, 0.75])
    assert stopping.stopped_epoch == 1
    stopping = EarlyStopping(patience=1, min_delta=0.25)
    assert not run(stopping, [1.0, 0.5]).stop_training


def test_more_can_be_better():
    stopping = EarlyStopping("score", mode="max", patience=1)
    run(stopping, [0.5, 0.6, 0.6, 0.7], name="score")
    assert stopping.stopped_epoch == 2 and stopping.best == 0.6


def test_a_baseline_must_be_beaten_in_time():
    stopping = EarlyStopping(patience=2, baseline=0.5)
    run(stopping, [1.0, 0.9, 0.95])
    assert stopping.stopped_epoch == 2
    assert not run(EarlyStopping(patience=2, baseline=0.5), [1.0, 0.4, 0.9]).stop_training


def test_it_begins_to_watch_when_it_is_told():
    stopping = EarlyStopping(start_from_epoch=3)
    run(stopping, [0.0, 1.0, 2.0, 3.0, 4.0])
    assert stopping.stopped_epoch == 4


def test_the_best_weights_come_back_also_without_a_stop(capsys):
    stopping = EarlyStopping(patience=5, restore_best_weights=True, verbose=1)
    model = run(stopping, [1.0, 0.5, 0.7])
    assert model.weights == 1
    assert capsys.readouterr().out == (
        "Restoring model weights from the end of the best epoch: 2.\n"
    )


def test_what_is_done_is_printed_as_keras_does(capsys):
    run(EarlyStopping(verbose=1, restore_best_weights=True), [1.0, 2.0])
    assert capsys.readouterr().out == (
        "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


def test_every_fit_begins_with_a_fresh_state():
    stopping = EarlyStopping(patience=1)
    run(stopping, [0.1, 0.2])
    model = run(stopping, [1.0])
    assert not model.stop_training and stopping.best == 1.0


def test_nan_is_never_better():
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    model = run(stopping, [float("nan"), 1.0, float("nan"), float("nan")])
    assert stopping.stopped_epoch == 3 and model.weights == 1


@pytest.mark.parametrize(
    ("metric", "mode"), [("accuracy", "max"), ("mse", "min"), ("top_k_categorical_accuracy", "max")]
)
def test_the_direction_is_that_of_the_metric(metric, mode):
    model = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[metric])
    stopping = EarlyStopping(monitor=metric)
    x, y = data()
    model.fit(x, np.eye(2)[y], verbose=0, callbacks=[stopping])
    assert stopping.mode == mode


def test_an_unknown_direction_is_an_error_before_the_first_epoch():
    def odd(y_true, y_pred):
        return np.zeros(len(y_pred))

    model = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[odd])
    before = model.get_weights()
    with pytest.raises(ValueError, match="whether more or less of 'odd' is better. Give mode="):
        model.fit(*data(), verbose=0, callbacks=EarlyStopping("odd"))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max', but is 'down'"):
        EarlyStopping(mode="down")


@pytest.mark.parametrize(
    "make", [EarlyStopping, lambda monitor: ModelCheckpoint("a.weights.h5", monitor, 0, True, True)]
)
def test_an_unknown_name_is_an_error_before_the_first_epoch(make):
    model = compiled()
    before = model.get_weights()
    with pytest.raises(ValueError, match="'acuracy', but.*accuracy, loss. Did you mean 'accuracy'"):
        model.fit(*data(), verbose=0, callbacks=[make("acuracy")])
    with pytest.raises(ValueError, match="Give fit validation_data or validation_split"):
        model.fit(*data(), verbose=0, callbacks=[make("val_loss")])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_name_that_another_callback_adds_can_be_watched():
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = float(epoch)

    stopping = EarlyStopping("score", mode="min", patience=1)
    model = compiled()
    history = model.fit(*data(), epochs=5, verbose=0, callbacks=[Adds(), stopping])
    assert history.epoch == [0, 1]
    with pytest.raises(ValueError, match="watches 'sore'.*Did you mean 'score'"):
        model.fit(*data(), verbose=0, callbacks=[Adds(), EarlyStopping("sore", mode="min")])


def test_epochs_without_validation_do_not_count():
    class Counts(MonitorCallback):
        values = ()

        def on_epoch_end(self, epoch, logs=None):
            self.values += (self._value(logs) is not None,)

    x, y = data()
    counts = Counts("val_loss")
    compiled().fit(
        x, y, epochs=4, verbose=0, validation_data=(x, y), validation_freq=2, callbacks=[counts]
    )
    assert counts.values == (False, True, False, True)


# --- ModelCheckpoint


def checkpoint(path, **settings):
    return ModelCheckpoint(path, save_weights_only=True, **settings)


def test_every_epoch_is_saved_under_its_number(tmp_path):
    path = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.weights.h5"
    model = run(checkpoint(path), [1.0, 0.123])
    assert [(name[len(str(tmp_path)) :], w) for name, w in model.saved] == [
        ("/new/01-1.00.weights.h5", 0),
        ("/new/02-0.12.weights.h5", 1),
    ]
    assert (tmp_path / "new").is_dir()


def test_only_the_best_is_saved_on_demand(tmp_path, capsys):
    path = str(tmp_path / "best.weights.h5")
    model = run(checkpoint(path, save_best_only=True, verbose=1), [1.0, 2.0, 0.5])
    assert [weights for _, weights in model.saved] == [0, 2]
    assert capsys.readouterr().out == (
        f"\nEpoch 1: val_loss improved from None to 1.00000, saving model to {path}\n"
        f"\nEpoch 1: finished saving model to {path}\n"
        f"\nEpoch 2: val_loss did not improve from 1.00000\n"
        f"\nEpoch 3: val_loss improved from 1.00000 to 0.50000, saving model to {path}\n"
        f"\nEpoch 3: finished saving model to {path}\n"
    )


def test_a_threshold_must_be_beaten(tmp_path):
    path = tmp_path / "best.weights.h5"
    model = run(checkpoint(path, save_best_only=True, initial_value_threshold=0.6), [1.0, 0.5])
    assert [weights for _, weights in model.saved] == [1]


def test_it_can_save_after_a_number_of_batches(tmp_path):
    x, y = data(8)
    path = tmp_path / "{epoch}-{batch}.weights.h5"
    compiled().fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=checkpoint(path, save_freq=3))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "1-3.weights.h5",
        "2-2.weights.h5",
    ]


def test_saved_weights_are_those_of_the_best_epoch(tmp_path):
    path = tmp_path / "best.weights.h5"
    model = compiled()
    x, y = data()
    saver = checkpoint(path, monitor="loss", save_best_only=True)
    model.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=[saver])
    other = compiled()
    other.load_weights(path)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("path", "weights_only", "error", "match"),
    [
        ("a.h5", True, ValueError, r"must end in '.weights.h5', but is 'a.h5'"),
        ("a.npz", False, ValueError, r"must end in '.keras'"),
        ("a.h5", False, ValueError, r"must end in '.keras', or in '.weights.h5' with"),
    ],
)
def test_the_file_name_must_say_what_is_in_it(path, weights_only, error, match):
    with pytest.raises(error, match=match):
        ModelCheckpoint(path, save_weights_only=weights_only)


def test_a_bad_frequency_is_refused():
    for frequency in ("batch", 0):
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a number of batches"):
            checkpoint("a.weights.h5", save_freq=frequency)


def test_names_in_the_file_name_are_checked_before_the_first_epoch(tmp_path):
    path = tmp_path / "{epoch}-{val_los}.weights.h5"
    x, y = data()
    with pytest.raises(ValueError, match="'val_los'.*Did you mean 'val_loss'"):
        compiled().fit(x, y, verbose=0, validation_data=(x, y), callbacks=checkpoint(path))
    path = tmp_path / "{val_loss}.weights.h5"
    with pytest.raises(ValueError, match="'val_loss', but the logs will only have"):
        compiled().fit(
            x, y, verbose=0, validation_data=(x, y), callbacks=checkpoint(path, save_freq=1)
        )
