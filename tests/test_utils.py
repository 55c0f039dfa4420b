"""One-hot labels and the one seed for everything."""

import random

import numpy as np
import pytest

import minicnn.random
from minicnn.utils import set_random_seed, to_categorical


@pytest.mark.parametrize(
    "classes",
    [[2, 0], [[2], [0]], np.array([2, 0], np.uint8), np.array([[2.0], [0.0]], np.float32)],
)
def test_classes_become_one_hot_rows_of_float64(classes):
    rows = to_categorical(classes)
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_num_classes_adds_columns_for_classes_that_do_not_occur():
    assert to_categorical([1], num_classes=4).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    "shape, expected",
    [((), (5,)), ((1,), (1, 5)), ((2, 3), (2, 3, 5)), ((2, 3, 1), (2, 3, 5)), ((0,), (0, 5))],
)
def test_a_last_axis_of_length_1_is_replaced_and_others_stay(shape, expected):
    assert to_categorical(np.zeros(shape, int), num_classes=5).shape == expected


def test_argmax_undoes_to_categorical():
    classes = np.random.default_rng(0).integers(0, 7, (4, 5))
    assert np.array_equal(to_categorical(classes, 7).argmax(-1), classes)


def test_to_categorical_leaves_its_input_alone():
    classes = np.array([[1], [0]])
    to_categorical(classes)
    assert classes.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    "classes, num_classes, error, message",
    [
        ([0, -1], None, ValueError, "classes count from 0, but x contains -1"),
        (
            [0, 10],
            10,
            ValueError,
            "class 10, but num_classes=10 allows 0 to 9. Give num_classes=11",
        ),
        ([0.4, 1.0], None, ValueError, "classes are whole numbers, but x contains 0.4"),
        ([0, np.nan], None, ValueError, "classes are whole numbers, but x contains nan"),
        ([0, np.inf], None, ValueError, "classes are whole numbers, but x contains inf"),
        ([], None, ValueError, "x is empty, so give num_classes"),
        (["cat"], None, TypeError, "x must hold whole numbers, but its dtype is <U3"),
        ([0], 2.5, TypeError, "num_classes must be an integer, but is 2.5"),
        ([0], True, TypeError, "num_classes must be an integer, but is True"),
        ([], -1, ValueError, "num_classes must be at least 1, but is -1"),
        ([0], 0, ValueError, "num_classes must be at least 1, but is 0"),
    ],
)
def test_classes_that_cannot_be_written_are_an_error(classes, num_classes, error, message):
    with pytest.raises(error, match=f"to_categorical: .*{message}"):
        to_categorical(classes, num_classes)


def test_to_categorical_agrees_with_keras():
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    classes = np.random.default_rng(0).integers(0, 6, (20, 1))
    for num_classes in (None, 9):
        ours, theirs = (
            f(classes, num_classes) for f in (to_categorical, keras.utils.to_categorical)
        )
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)


def drawn():
    return random.random(), np.random.rand(), minicnn.random.new_generator().random()


def test_one_seed_repeats_all_three_sources_of_randomness():
    set_random_seed(3)
    first = drawn()
    set_random_seed(3)
    assert drawn() == first
    set_random_seed(4)
    assert all(new != old for new, old in zip(drawn(), first, strict=True))


def test_python_and_numpy_are_seeded_as_keras_seeds_them():
    set_random_seed(3)
    assert random.random() == random.Random(3).random()
    assert np.random.rand() == np.random.RandomState(3).rand()


@pytest.mark.parametrize(
    "seed, error, message",
    [
        (1.5, TypeError, "seed must be an integer, but is 1.5"),
        (None, TypeError, "seed must be an integer, but is None"),
        (True, TypeError, "seed must be an integer, but is True"),
        (-1, ValueError, "seed must be from 0 to 4294967295, but is -1"),
        (2**32, ValueError, "seed must be from 0 to 4294967295, but is 4294967296"),
    ],
)
def test_a_seed_that_is_none_is_an_error(seed, error, message):
    with pytest.raises(error, match=f"set_random_seed: {message}"):
        set_random_seed(seed)
