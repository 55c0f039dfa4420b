"""BackupAndRestore: an interrupted training goes on to the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn import layers, optimizers, utils
from minicnn.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
)
from minicnn.models import Sequential
from minicnn.optimizers import schedules


class Crash(Callback):
    """Raises an error in the middle of a training."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


def compiled(optimizer=None):
    utils.set_random_seed(1)
    model = Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        optimizer or optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def data(count=40):
    rng = np.random.default_rng(0)
    return rng.random((count, 6), np.float32), rng.integers(0, 3, count)


def run(folder, place=None, own=(), optimizer=None, save_freq=1, batches=None, **settings):
    """Train; with a place, crash there and train once more from the backup."""
    given = (batches,) if batches is not None else data()
    settings = {"epochs": 4, "verbose": 0, "validation_data": data(9)} | settings
    if batches is None:
        settings["batch_size"] = 8

    def fit(*more):
        model = compiled(optimizer() if optimizer else None)
        backup = BackupAndRestore(folder, save_freq=save_freq)
        model.fit(*given, callbacks=[backup, *(make() for make in own), *more], **settings)
        return model

    if place is None:
        return fit()
    with pytest.raises(KeyboardInterrupt):
        fit(Crash(*place))
    return fit()


def assert_same(one, two):
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.optimizer.state(), two.optimizer.state(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.history.history == two.history.history
    assert one.history.epoch == two.history.epoch


@pytest.mark.parametrize("place", [(0, 1), (1, 0), (1, 3), (3, 4)])
@pytest.mark.parametrize("save_freq", [1, 2, "epoch"])
def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path, place, save_freq):
    straight = run(tmp_path / "a", save_freq=save_freq)
    assert_same(straight, run(tmp_path / "b", place, save_freq=save_freq))
    assert not (tmp_path / "b").exists()  # fit has ended, so the backup is not needed any more


OTHERS = {
    "EarlyStopping": dict(own=[lambda: EarlyStopping("loss", 1.0, 2, restore_best_weights=True)]),
    "ReduceLROnPlateau": dict(own=[lambda: ReduceLROnPlateau("loss", 0.3, 0, min_delta=0.1)]),
    "LearningRateScheduler": dict(own=[lambda: LearningRateScheduler(lambda e, r: r * 0.7)]),
    "SwapEMAWeights": dict(
        own=[lambda: SwapEMAWeights(swap_on_epoch=True)],
        optimizer=lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
    ),
    "steps_per_epoch": dict(steps_per_epoch=3),
    "no shuffling": dict(shuffle=False),
    "class_weight": dict(class_weight={0: 2.0}),
    "schedule": dict(optimizer=lambda: optimizers.Nadam(schedules.CosineDecay(0.02, 15))),
    "accumulation": dict(optimizer=lambda: optimizers.SGD(0.1, gradient_accumulation_steps=3)),
    "lookahead": dict(optimizer=lambda: optimizers.Lookahead(optimizers.Nadam(0.02), 3)),
    "a list of batches": dict(
        batches=[(data()[0][k : k + 8], data()[1][k : k + 8]) for k in (0, 8, 16)]
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("place", [(2, 0), (2, 2)])
def test_everything_that_decides_the_further_steps_is_in_the_backup(tmp_path, place, name):
    straight = run(tmp_path / "a", **OTHERS[name])
    assert_same(straight, run(tmp_path / "b", place, **OTHERS[name]))


def test_the_log_and_the_checkpoints_go_on(tmp_path):
    texts = []
    for side, place in (("a", None), ("b", (2, 1))):
        log, best = tmp_path / f"{side}.csv", tmp_path / f"{side}.weights.h5"
        own = [
            lambda log=log: CSVLogger(log),
            lambda best=best: ModelCheckpoint(best, "loss", 0, True, True),
        ]
        run(tmp_path / side, place, own)
        texts.append(log.read_text())
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == 5


def test_a_generator_is_gone_through_again(tmp_path):
    def endless():
        rng = np.random.default_rng(5)
        while True:
            yield rng.random((4, 6), np.float32), rng.integers(0, 3, 4)

    results = []
    for side, place in (("a", None), ("b", (2, 1))):
        calls = [Crash(*place)] if place else []
        for more in (calls, []):
            model = compiled()
            backup = BackupAndRestore(tmp_path / side, save_freq=1)
            try:
                model.fit(
                    endless(), steps_per_epoch=3, epochs=4, verbose=0, callbacks=[backup, *more]
                )
            except KeyboardInterrupt:
                continue
            break
        results.append(model)
    assert_same(*results)


def crashed(folder, **settings):
    model = compiled()
    backup = BackupAndRestore(folder, save_freq=2, **settings)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data(), batch_size=8, epochs=3, verbose=0, callbacks=[backup, Crash(1, 1)])
    return compiled(), BackupAndRestore(folder, save_freq=2, **settings)


def test_a_broken_backup_is_refused(tmp_path):
    model, backup = crashed(tmp_path)
    file = tmp_path / "training.npz"
    content = file.read_bytes()
    for broken in (b"", b"hello", content[: len(content) // 2], content[:200] + content[300:]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="the backup cannot be read.*delete it to begin anew"):
            model.fit(*data(), batch_size=8, epochs=3, verbose=0, callbacks=[backup])


def test_the_backup_before_can_be_kept(tmp_path):
    straight = compiled()
    straight.fit(*data(), batch_size=8, epochs=3, verbose=0)
    model, backup = crashed(tmp_path, double_checkpoint=True)
    (tmp_path / "training.npz").write_bytes(b"broken")
    model.fit(*data(), batch_size=8, epochs=3, verbose=0, callbacks=[backup])
    assert_same(straight, model)
    assert not tmp_path.exists()


def test_the_backup_can_be_kept_after_the_end(tmp_path):
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    compiled().fit(*data(), epochs=2, verbose=0, callbacks=[backup])
    model = compiled()
    model.fit(*data(), epochs=3, verbose=0, callbacks=[backup])
    assert model.history.epoch == [0, 1, 2] and model.optimizer.iterations == 6


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    compiled().fit(*data(), verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_backup_of_another_training_is_refused(tmp_path):
    model, backup = crashed(tmp_path)
    with pytest.raises(ValueError, match="backup is of another training, with 5 steps per epoch"):
        model.fit(*data(), batch_size=4, epochs=3, verbose=0, callbacks=[backup])
    other = Sequential([layers.Input((6,)), layers.Dropout(0.5), layers.Dense(3)])
    other.compile("adam", "mse")
    x, _ = data()
    with pytest.raises(ValueError, match="backup is of another model or optimizer"):
        other.fit(x, x[:, :3], batch_size=8, epochs=3, verbose=0, callbacks=[backup])


@pytest.mark.parametrize("save_freq", [0, "batch", 1.5])
def test_bad_settings_are_refused(save_freq):
    with pytest.raises(ValueError, match="save_freq must be 'epoch' or a number of batches"):
        BackupAndRestore("backup", save_freq=save_freq)
    with pytest.raises(ValueError, match="backup_dir is empty"):
        BackupAndRestore("")


def test_only_a_running_fit_has_a_state():
    with pytest.raises(RuntimeError, match="no fit is running"):
        compiled().backup()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize(
    "kills", [8, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 100))]
)
def test_kills_at_random_moments_change_nothing(tmp_path, kills):
    script = Path(__file__).with_name("killed_training.py")
    roots = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": roots}
    command = [sys.executable, str(script), str(tmp_path), str(kills)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["hits"] == kills and found["went_on"] > kills / 2 and found["finished"]
