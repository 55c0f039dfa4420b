"""Same seed, same numbers, bit by bit: from run to run, and with any number of threads."""

import numba
import numpy as np
import pytest

from minicnn import layers, ops, utils
from minicnn.backend import kernels
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


@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_many_matrices_are_those_of_each_pair(threads):
    """NumPy's, which has threads of its own, gave other bits for other numbers of them."""
    rng, before = np.random.default_rng(0), numba.get_num_threads()
    x, weight = rng.normal(size=(2, 3, 40, 200)), rng.normal(size=(2, 3, 200, 60))
    numba.set_num_threads(min(threads, before))
    try:
        y = ops.matmul(x, weight)
    finally:
        numba.set_num_threads(before)
    for k in np.ndindex(2, 3):
        one = kernels.matmul.multiply(x[k], weight[k], None, False)
        np.testing.assert_array_equal(y.numpy()[k], one)


def trained_on_pictures(seed, folder):
    """The same with pictures from a folder, in random order, augmented in the model and before."""
    utils.set_random_seed(seed)
    settings = {"validation_split": 0.25, "subset": "both", "verbose": False}
    data = utils.image_dataset_from_directory(folder, image_size=10, batch_size=4, **settings)
    flip = layers.RandomFlip("vertical")
    training = [(flip(x, training=True), y) for x, y in data[0]]
    model = Sequential(
        [
            layers.Input((10, 10, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(0.2, 0.2),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.2),
            layers.RandomContrast(0.2),
            layers.RandomBrightness(0.2),
            layers.RandomCrop(8, 8),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.1),
            layers.Conv2D(4, 3, activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(data[0], validation_data=data[1], epochs=2, verbose=0)
    first = training[0][0].numpy()
    return [first, *model.get_weights(), np.array(list(history.history.values()))]


def test_one_seed_decides_weights_order_dropout_augmentation_and_the_split(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(8):
            pixels = rng.integers(0, 256, (9 + k, 12, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
    one, again, other = (trained_on_pictures(seed, tmp_path) for seed in (1, 1, 2))
    assert same(one, again)
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_seed_below_zero_is_refused():
    with pytest.raises(ValueError, match="set_seed: seed must be at least 0"):
        set_seed(-1)
