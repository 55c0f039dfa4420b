"""From arrays, generators and lists to batches; and the checks on the way."""

import numpy as np
import pytest

from minicnn.autograd import Tensor
from minicnn.models import checks
from minicnn.models.arranging import one_array
from minicnn.models.batches import (
    ArrayBatches,
    Batch,
    Feed,
    StreamBatches,
    checked,
    converted,
    is_stream,
    split,
)
from minicnn.models.checks import as_array, check_finite, looks_like_pixels
from minicnn.models.class_weights import ClassWeights
from minicnn.models.sources import batches_of, split_off, training_batches, validation_batches
from minicnn.random import set_seed


def values(batches):
    return [batch.x.ravel().tolist() for batch in batches]


def numbered(count=5, **settings):
    return ArrayBatches(Batch(np.arange(count), np.arange(count)), **settings)


def test_the_last_batch_is_smaller():
    batches = numbered(batch_size=2)
    assert values(batches) == [[0, 1], [2, 3], [4]]
    assert batches.steps == 3


def test_every_epoch_has_a_new_order_and_keeps_rows_together():
    batches = ArrayBatches(
        Batch(np.arange(50), np.arange(50) * 2, np.arange(50) * 3),
        batch_size=7,
        order=np.random.default_rng(0),
    )
    orders = []
    for _ in range(2):
        rows = [np.stack(batch) for batch in batches]
        x, y, weight = np.concatenate(rows, axis=1)
        np.testing.assert_array_equal(y, 2 * x)
        np.testing.assert_array_equal(weight, 3 * x)
        assert sorted(x) == list(range(50))
        orders.append(x.tolist())
    assert orders[0] != orders[1] != sorted(orders[1])


@pytest.mark.parametrize(
    "dtype", ["uint8", "float32", "float64", "int16", "bool", "float16", ">f8"]
)
@pytest.mark.parametrize("shape", [(23, 4, 5), (23,)])
def test_shuffled_batches_are_bit_by_bit_those_of_numpy(dtype, shape):
    x = (200 * np.random.default_rng(0).random(shape)).astype(dtype)
    for rows in (x, x[::-1], np.asfortranarray(x)):
        batches = ArrayBatches(Batch(rows), 5, np.random.default_rng(7))
        order = np.random.default_rng(7).permutation(len(x))
        for number, batch in enumerate(batches):
            expected = rows[order[5 * number : 5 * number + 5]].astype(np.float32)
            assert batch.x.dtype == np.float32
            np.testing.assert_array_equal(batch.x, expected)


def test_memory_that_is_read_only_is_read():
    x = np.arange(6.0)
    x.flags.writeable = False
    (batch,) = ArrayBatches(Batch(x), 6, np.random.default_rng(0))
    assert sorted(batch.x.tolist()) == [0, 1, 2, 3, 4, 5]


def test_a_batch_that_is_kept_stays_as_it_was():
    x = np.arange(40 * 30_000, dtype=np.uint8).reshape(40, -1)  # large: its memory is used again
    kept = list(ArrayBatches(Batch(x), 8, np.random.default_rng(0)))
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in kept]), x[order])


def test_batches_are_float32_but_class_numbers_stay_integers():
    batch = converted(Batch(np.zeros(2, np.uint8), np.zeros(2, np.int64), np.zeros(2)))
    assert [array.dtype for array in batch] == [np.float32, np.int64, np.float32]
    assert converted(Batch(np.zeros(2), np.zeros(2))).y.dtype == np.float32


def test_arrays_are_not_copied():
    x = np.zeros((4, 2), np.float32)
    batches = batches_of((x, np.zeros(4), None), 2, "fit")
    assert batches.data.x is x
    assert all(np.shares_memory(batch.x, x) for batch in batches)


def test_generators_lists_and_indexed_objects_yield_batches():
    class Indexed:
        def __len__(self):
            return 2

        def __getitem__(self, k):
            if k > 1:
                raise AssertionError("asked for too much")
            return pairs[k]

    pairs = [(np.array([1.0]), np.array([0])), (np.array([2.0]), np.array([1]))]
    for source in (pairs, iter(pairs), Indexed(), tuple(pairs)):
        assert is_stream(source)
        assert values(StreamBatches(source, "fit", True)) == [[1], [2]]
    assert StreamBatches(pairs, "fit", True).steps == 2
    assert StreamBatches(iter(pairs), "fit", True).steps is None


def test_what_is_an_array_is_no_stream():
    for x in (np.zeros(3), [1, 2], [[1, 2], [3, 4]], Tensor([1.0]), np.float32(1), "text", {}):
        assert not is_stream(x)
    assert not is_stream([(1, 2), (3, 4)], y=[0, 1])  # rows, as there are labels for them


def test_a_batch_may_bring_weights():
    stream = StreamBatches([(np.ones(2), np.ones(2), np.array([0.5, 2.0]))], "fit", True)
    (batch,) = stream
    np.testing.assert_array_equal(batch.weight, [0.5, 2.0])


@pytest.mark.parametrize("item", [np.ones(2), (np.ones(2),), (1, 2, 3, 4)])
def test_a_batch_without_labels_or_with_too_many_parts_is_refused(item):
    with pytest.raises(ValueError, match=r"fit: batch 0 must be \(x, y\) or \(x, y, weight\)"):
        list(StreamBatches([item], "fit", labels=True))


def test_a_broken_batch_is_named():
    good, bad = (np.ones(2), np.ones(2)), (np.array([1.0, np.nan]), np.ones(2))
    with pytest.raises(ValueError, match=r"fit: batch 1: x \[MC031\] has 1 NaN, the first at \[1"):
        list(StreamBatches([good, bad], "fit", labels=True))


# --- checks


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="x has 3, y has 2 rows"):
        checked(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="x has 3, y has 3, sample_weight has 4 rows"):
        checked(np.zeros((3, 2)), np.zeros(3), np.zeros(4))


def test_empty_data_is_refused():
    with pytest.raises(ValueError, match=r"fit \[MC054\]: x is empty: its shape is \(0, 2\)"):
        checked(np.zeros((0, 2)), np.zeros(0))


def test_a_single_number_is_no_batch():
    with pytest.raises(ValueError, match="x must have a batch axis, but is a single number"):
        checked(3.0, np.zeros(3))


@pytest.mark.parametrize("name", ["x", "y", "sample_weight"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_everywhere(name, bad):
    arrays = {name: np.zeros((3, 2)) for name in ("x", "y", "sample_weight")}
    arrays[name][2, 1] = bad
    with pytest.raises(ValueError, match=rf"fit: {name} \[MC031\] has 1 .*first at \[2, 1\]"):
        checked(*arrays.values())


def test_the_first_nan_is_told_and_all_are_counted():
    x = np.zeros((20, 4, 4, 3), np.float32)
    x[17, 3, 2, 0] = x[17, 3, 2, 1] = np.nan
    x[18, 0, 0, 0] = np.inf
    wanted = r"2 NaN and 1 infinite or too large for float32, the first at \[17, 3, 2, 0\]"
    with pytest.raises(ValueError, match=wanted):
        check_finite("x", x)


def test_a_nan_is_found_in_every_part_of_large_data(monkeypatch):
    monkeypatch.setattr(checks, "CHUNK", 8)
    for row in range(7):
        x = np.zeros((7, 3))
        x[row, 2] = np.nan
        with pytest.raises(ValueError, match=rf"first at \[{row}, 2\]"):
            check_finite("x", x)
    check_finite("x", np.zeros((7, 3)))


def test_numbers_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="1 infinite or too large for float32"):
        check_finite("x", np.array([1e39]))


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ({"a": 1}, "must be an array, but is a dict"),
        ([[1, 2], [3]], "holds entries of different shapes"),
        (["cat", "dog"], "dtype is <U3. Turn class names into numbers"),
        (np.array([1 + 2j]), "dtype is complex128"),
        (np.array([None, 1]), "dtype is object"),
    ],
)
def test_what_holds_no_numbers_is_refused(x, match):
    with pytest.raises(TypeError, match=f"fit: x .*{match}"):
        as_array("fit: x", x)


def test_tensors_and_lists_are_arrays():
    assert as_array("x", Tensor([1.0, 2.0])).tolist() == [1, 2]
    assert as_array("x", [[1, 2], [3, 4]]).shape == (2, 2)


def test_pixels_are_whole_numbers_up_to_255():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3))
    assert looks_like_pixels(pixels) and looks_like_pixels(pixels.astype(np.float32))
    assert not looks_like_pixels(pixels / 255)
    assert not looks_like_pixels(pixels - 128)
    assert not looks_like_pixels(pixels + 0.5)
    assert not looks_like_pixels(pixels * 2)


# --- arguments of fit


def test_arguments_that_contradict_a_stream_are_refused():
    stream = iter([(np.ones(2), np.ones(2))])
    with pytest.raises(ValueError, match="x yields batches, so y must be part of them"):
        batches_of((stream, np.ones(2), None), 32, "fit")
    with pytest.raises(ValueError, match="so sample_weight must be part of them"):
        batches_of((stream, None, np.ones(2)), 32, "fit")
    with pytest.raises(ValueError, match="validation_split can only cut arrays"):
        split_off(StreamBatches(stream, "fit", True), 0.5, None)


def test_missing_arguments_are_named():
    with pytest.raises(ValueError, match="fit: x is missing"):
        batches_of((None, None, None), 32, "fit")
    with pytest.raises(ValueError, match="fit: y is missing"):
        batches_of((np.ones(2), None, None), 32, "fit")
    with pytest.raises(TypeError, match="labels go into an argument of their own, y"):
        one_array("predict: x", (np.ones((4, 3)), np.ones(4)))


def test_the_seed_decides_about_the_order():
    orders = []
    for _ in range(2):
        set_seed(3)
        batches = training_batches((np.arange(20), np.zeros(20), None), 20, shuffle=True)
        orders.append(values(batches))
    assert orders[0] == orders[1] != [list(range(20))]
    unshuffled = training_batches((np.arange(20), np.zeros(20), None), 20, shuffle=False)
    assert values(unshuffled) == [list(range(20))]


def test_the_last_samples_validate():
    batches = training_batches((np.arange(10), np.zeros(10), None), 4, shuffle=True)
    held_out = split_off(batches, 0.25, None)
    assert values(held_out) == [[7, 8, 9]]
    assert sorted(x for part in values(batches) for x in part) == list(range(7))
    assert batches.steps == 2


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5])
def test_a_split_must_be_a_fraction(fraction):
    with pytest.raises(ValueError, match="validation_split must be between 0 and 1"):
        split(Batch(np.arange(10)), fraction)


def test_a_split_must_leave_something_on_both_sides():
    with pytest.raises(ValueError, match="leaves no sample of 10 for training"):
        split(Batch(np.arange(10)), 0.95)
    with pytest.raises(ValueError, match="leaves no sample of 1 for training"):
        split(Batch(np.arange(1)), 0.5)


def test_classes_that_only_validation_has_are_told():
    y = np.repeat(np.arange(5), 4)
    batches = training_batches((np.zeros((20, 2)), y, None), 4, shuffle=True)
    with pytest.warns(UserWarning, match=r"\[MC034\].* of the classes 3, 4 there are samples only"):
        split_off(batches, 0.4, None)


def test_validation_data_is_arrays_or_a_stream():
    pair = (np.ones((2, 3)), np.ones(2))
    assert isinstance(validation_batches(pair, 2), ArrayBatches)
    assert isinstance(validation_batches([*pair, np.ones(2)], 2), ArrayBatches)
    assert isinstance(validation_batches([pair, pair], 2), StreamBatches)
    assert isinstance(validation_batches(iter([pair]), 2), StreamBatches)
    with pytest.raises(ValueError, match=r"must be \(x, y\) or \(x, y, weight\), but has 1 parts"):
        validation_batches((np.ones(2),), 2)
    with pytest.raises(ValueError, match=r"must be \(x, y\), .* but is ndarray"):
        validation_batches(np.ones(2), 2)


# --- epochs


def test_an_epoch_is_all_there_is():
    feed = Feed(numbered(3, batch_size=2))
    assert [values(feed.epoch()) for _ in range(2)] == [[[0, 1], [2]]] * 2
    assert feed.steps == 2


def test_peeking_takes_nothing_away():
    for steps in (None, 2):
        feed = Feed(numbered(4, batch_size=2), steps)
        assert feed.peek().x.tolist() == feed.peek().x.tolist() == [0, 1]
        feed = Feed(numbered(4, batch_size=2), steps)
        feed.peek()
        assert values(feed.epoch()) == [[0, 1], [2, 3]]
        feed.peek()
        assert values(feed.epoch()) == [[0, 1], [2, 3]]


def test_with_steps_the_next_epoch_goes_on():
    feed = Feed(numbered(3, batch_size=1), steps=2)
    assert [values(feed.epoch()) for _ in range(3)] == [[[0], [1]], [[2], [0]], [[1], [2]]]
    assert not feed.ran_out


def test_a_generator_can_run_out():
    pairs = [(np.array([float(k)]), np.array([0])) for k in range(3)]
    feed = Feed(StreamBatches(iter(pairs), "fit", True), steps=2)
    assert values(feed.epoch()) == [[0], [1]] and not feed.ran_out
    assert values(feed.epoch()) == [[2]] and feed.ran_out
    assert feed.peek() is None


def test_a_generator_without_steps_has_one_epoch():
    pairs = [(np.array([float(k)]), np.array([0])) for k in range(3)]
    feed = Feed(StreamBatches(iter(pairs), "fit", True))
    assert feed.peek() is not None
    assert values(feed.epoch()) == [[0], [1], [2]] and not feed.ran_out
    assert feed.peek() is None and feed.ran_out


# --- class weights


@pytest.mark.parametrize(
    "y", [np.array([0, 1, 3, 9]), np.array([[0], [1], [3], [9]]), np.eye(10)[[0, 1, 3, 9]]]
)
def test_classes_give_their_weights_to_samples(y):
    weights = ClassWeights({0: 0.5, 3: 4.0}).of_samples(y)
    np.testing.assert_array_equal(weights, np.float32([0.5, 1, 4, 1]))


@pytest.mark.parametrize("table", [{"cat": 1.0}, {-1: 1.0}, {0: -1.0}, {0: np.nan}])
def test_bad_class_weights_are_refused(table):
    with pytest.raises(ValueError, match="class_weight wants {class number: weight}"):
        ClassWeights(table)


def test_class_weights_must_be_a_dict_and_fit_the_labels():
    with pytest.raises(TypeError, match="class_weight must be a dict"):
        ClassWeights([1.0, 2.0])
    with pytest.raises(ValueError, match=r"one label per sample, but y has shape \(2, 3, 4\)"):
        ClassWeights({0: 1.0}).of_samples(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="batches that bring weights of their own"):
        ClassWeights({0: 1.0}).applied_to(Batch(np.zeros(2), np.zeros(2), np.zeros(2)))
