"""A training that is killed again and again, run by test_backup.py in a process of its own.

    python killed_training.py FOLDER KILLS

The training is killed KILLS times with SIGKILL, each time at a random moment after its first step,
and goes on from what the last one has left. Whenever it comes to its end, which some runs do before
they are killed, it must have come to the same bits as one that was never interrupted. Each run is a
fork of this process, which has imported everything but started no threads. Prints some numbers, in
JSON.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from minicnn import callbacks, layers, optimizers, utils
from minicnn.models import Sequential

EPOCHS, SAMPLES, BATCH = 5, 48, 8


def training(folder, save_freq):
    """Train a small network that draws random numbers wherever it can."""
    utils.set_random_seed(7)
    x = np.random.default_rng(0).random((SAMPLES, 8, 8, 3), np.float32)
    y = np.arange(SAMPLES) % 3
    model = Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.RandomFlip("horizontal"),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        validation_split=0.25,
        callbacks=[
            callbacks.ReduceLROnPlateau("loss", factor=0.7, patience=0, min_delta=0.05),
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            callbacks.BackupAndRestore(folder / "backup", save_freq=save_freq),
            callbacks.EarlyStopping("loss", patience=99, restore_best_weights=False),
            callbacks.CSVLogger(folder / "log.csv"),
            Alive(folder),
        ],
    )
    result = {
        "weights": digest(model.get_weights()),
        "optimizer": digest(model.optimizer.state()),
        "history": model.history.history,
        "epochs": model.history.epoch,
        "log": (folder / "log.csv").read_text(),
    }
    (folder / "result.json").write_text(json.dumps(result))


class Alive(callbacks.Callback):
    """Says when the training has begun, and makes steps long enough to be hit."""

    def __init__(self, folder):
        super().__init__()
        self.sign = folder / "alive"

    def on_train_batch_end(self, batch, logs=None):
        self.sign.touch()
        time.sleep(0.002)


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def run(folder, save_freq, seconds=None):
    """Run the training in a fork; kill it some time after its first step, if one is given."""
    sign = folder / "alive"
    sign.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        training(folder, save_freq)
        os._exit(0)
    if seconds is not None:
        # a training whose backup is of its end has no step left, and ends without a sign of life
        while not sign.exists() and not ended(child):
            time.sleep(0.001)
        time.sleep(seconds)
        os.kill(
            child, signal.SIGKILL
        )  # one that has ended is not reaped yet, so this hits no other
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def ended(child):
    """Say whether the child has ended; it stays there to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main(folder, kills):
    straight, killed = folder / "straight", folder / "killed"
    straight.mkdir()
    killed.mkdir()
    run(straight, save_freq=10**6)
    right = (straight / "result.json").read_text()
    moments, hits, finished, went_on = random.Random(3), 0, 0, 0
    while hits < kills or not finished:
        save_freq = (1, 2, "epoch")[hits % 3]
        was_killed = run(killed, save_freq, moments.uniform(0, 0.05) if hits < kills else None)
        hits += was_killed
        went_on += (killed / "backup" / "training.npz").exists()
        result = killed / "result.json"
        if result.exists():
            if result.read_text() != right:
                sys.exit(f"right:\n{right}\nafter kills:\n{result.read_text()}")
            finished += 1
            result.unlink()
    print(json.dumps({"hits": hits, "finished": finished, "went_on": went_on}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
