"""Same seed, same numbers, bit by bit: from run to run, and with any number of threads."""

import numba
import numpy as np
import pytest

from minicnn import layers
from minicnn.models import Sequential
from minicnn.random import set_seed


def trained(seed):
    """The weights, the losses and the outputs of a small training with all that is random."""
    set_seed(seed)
    rng = np.random.default_rng(0)
    x, y = rng.random((70, 16, 16, 3), np.float32), rng.integers(0, 5, 70)
    model = Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(9, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(33, activation="relu", kernel_regularizer="l2"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=3, validation_split=0.2, verbose=0)
    outputs = model.predict(x, verbose=0)
    return [*model.get_weights(), outputs, np.array(list(history.history.values()))]


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.fixture(scope="module")
def reference():
    return trained(seed=1)


def test_two_runs_with_one_seed_are_equal(reference):
    assert same(reference, trained(seed=1))


def test_another_seed_gives_other_numbers(reference):
    assert not same(reference, trained(seed=2))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(reference, threads):
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("this machine has only one thread")
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        assert same(reference, trained(seed=1))
    finally:
        numba.set_num_threads(before)
