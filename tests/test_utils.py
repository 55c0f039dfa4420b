"""Keras' public helpers: one-hot labels, the one seed for everything, splitting, files, names."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from loopback import serve

import minicnn.random
from minicnn import layers, utils
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


# Splitting, lengths, files, names


def test_data_is_split_by_shares_and_by_numbers():
    x, y = np.arange(10), np.arange(10) * 2
    (left, _), (right, labels) = utils.split_dataset((x, y), left_size=0.7)
    assert left.tolist() == [0, 1, 2, 3, 4, 5, 6] and right.tolist() == [7, 8, 9]
    assert labels.tolist() == [14, 16, 18]
    left, right = utils.split_dataset({"a": x}, right_size=2)
    assert left["a"].tolist() == list(range(8)) and right["a"].tolist() == [8, 9]
    assert [len(part) for part in utils.split_dataset(x)] == [5, 5]
    left, right = utils.split_dataset(x, 0.3, 0.2)  # the first and the last ones
    assert left.tolist() == [0, 1, 2] and right.tolist() == [8, 9]


def test_shuffled_parts_keep_samples_together_and_repeat_with_a_seed():
    x, y = np.arange(20), np.arange(20) * 2
    (a, b), (c, d) = utils.split_dataset((x, y), 0.5, shuffle=True, seed=3)
    assert sorted([*a, *c]) == list(range(20)) and a.tolist() != list(range(10))
    assert np.array_equal(b, 2 * a) and np.array_equal(d, 2 * c)
    (again, _), _ = utils.split_dataset((x, y), 0.5, shuffle=True, seed=3)
    assert np.array_equal(a, again)


@pytest.mark.parametrize(
    "given, error, message",
    [
        (([1, 2],), TypeError, "split_dataset: wants arrays, .* but got list"),
        (((np.ones(3), np.ones(4)),), ValueError, r"different numbers of samples: \[3, 4\]"),
        ((np.ones(4), 0.9, 0.9), ValueError, "of 4 samples, parts of 4 and 4 cannot be made"),
        ((np.ones(4), 4), ValueError, "parts of 4 and 0 cannot be made"),
        ((np.ones(4), 1.5), ValueError, "left_size must be from 0 to 1, but is 1.5"),
        ((np.ones(4), "half"), TypeError, "left_size must be a number"),
    ],
)
def test_what_cannot_be_split_is_named(given, error, message):
    with pytest.raises(error, match=message):
        utils.split_dataset(*given)


def test_lengths_are_made_1():
    x = np.array([[3.0, -4.0], [0.0, 0.0]])
    assert np.allclose(utils.normalize(x), [[0.6, -0.8], [0, 0]])
    assert np.allclose(utils.normalize(x, order=1), [[3 / 7, -4 / 7], [0, 0]])
    assert np.allclose(utils.normalize(x, axis=0, order=np.inf), [[1, -1], [0, 0]])


def test_names_count_from_zero_after_clear_session():
    layers.Dense(1)
    utils.clear_session()
    assert [layers.Dense(1).name, layers.Dense(1).name] == ["dense", "dense_1"]


def test_a_file_is_downloaded_once_and_believed_by_its_hash_only(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path))
    content = b"weights " * 100
    sha256 = hashlib.sha256(content).hexdigest()
    with serve(content) as server:
        for _ in range(2):
            path = utils.get_file("w.bin", server.url, file_hash=sha256)
        assert Path(path) == tmp_path / "datasets/w.bin" and Path(path).read_bytes() == content
        assert server.requests == ["all"]
        Path(path).write_bytes(b"something else")
        utils.get_file("w.bin", server.url, file_hash=sha256)
        assert Path(path).read_bytes() == content
        with pytest.raises(OSError, match="was expected; it was deleted"):
            utils.get_file("other.bin", server.url, file_hash="0" * 64)
    with pytest.raises(ValueError, match="get_file: file_hash is missing"):
        utils.get_file("w.bin", "http://127.0.0.1:9/w.bin")
    with pytest.raises(ValueError, match="get_file: file_hash must be a sha256"):
        utils.get_file("w.bin", "http://127.0.0.1:9/w.bin", file_hash="abc")
    for name in ("../w.bin", "a/b", ".."):
        with pytest.raises(ValueError, match="get_file: fname must be a plain file name"):
            utils.get_file(name, "http://127.0.0.1:9/w.bin", file_hash=sha256)
