"""Metrics: values worked out by hand, over several batches, and the mistakes they catch."""

import math

import numpy as np
import pytest

from minicnn import losses, metrics
from minicnn.autograd import Tensor
from minicnn.metrics import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    Mean,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    Sum,
    TopKCategoricalAccuracy,
)

SCORES = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4], [0.2, 0.7, 0.1]])


def test_mean_and_sum_run_over_batches():
    mean, total = Mean(), Sum()
    for values, weights in (([1.0, 3.0], None), ([5.0], [2.0])):
        mean.update_state(values, weights)
        total.update_state(values, weights)
    assert mean.result() == 14 / 4
    assert total.result() == 14


def test_batches_count_by_their_size():
    metric = SparseCategoricalAccuracy()
    metric.update_state([1, 0, 2], SCORES[:3])
    metric.update_state([0], SCORES[3:])
    assert metric.result() == 0.75


def test_a_reset_forgets_everything():
    metric = Mean()
    metric.update_state([7.0])
    metric.reset_state()
    assert metric.result() == 0.0
    metric.update_state([1.0])
    assert metric.result() == 1.0


def test_weights_are_divided_by_their_sum():
    metric = SparseCategoricalAccuracy()
    assert metric([1, 1, 2, 0], SCORES, sample_weight=[3.0, 1.0, 0.0, 0.0]) == 0.75
    squares = MeanSquaredError()
    assert squares(np.zeros((2, 2)), [[1, 3], [2, 2]], sample_weight=[1, 3]) == (5 + 3 * 4) / 4


def test_the_sum_of_a_million_small_values_is_exact():
    metric = Mean()
    for _ in range(10):
        metric.update_state(np.full(100_000, 0.1, np.float32))
    assert metric.result() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_accuracies_by_hand():
    assert Accuracy()([1, 2, 3, 4], [1, 2, 0, 0]) == 0.5
    assert BinaryAccuracy()([[1], [0], [1]], [[0.6], [0.4], [0.4]]) == 2 / 3
    assert BinaryAccuracy(threshold=0.3)([[1], [1], [1]], [[0.6], [0.4], [0.4]]) == 1
    assert CategoricalAccuracy()(np.eye(3)[[1, 0, 0, 0]], SCORES) == 0.5
    assert SparseCategoricalAccuracy()([1, 0, 0, 0], SCORES) == 0.5
    assert SparseCategoricalAccuracy()([[1], [0], [0], [0]], SCORES) == 0.5


def test_a_probability_on_the_threshold_is_a_no():
    assert BinaryAccuracy()([[0], [1]], [[0.5], [0.5]]) == 0.5


def test_tied_scores_go_to_the_first_class():
    assert SparseCategoricalAccuracy()([0, 1], [[0.5, 0.5], [0.5, 0.5]]) == 0.5


@pytest.mark.parametrize("k, wanted", [(1, 0.25), (2, 0.5), (3, 1.0)])
def test_top_k_by_hand(k, wanted):
    labels = [1, 2, 0, 2]  # in place 1, 2, 3 (behind 0.4 and 0.3: a tie), 3
    scores = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.4, 0.4], [0.2, 0.7, 0.1]])
    assert SparseTopKCategoricalAccuracy(k=k)(labels, scores) == wanted
    assert TopKCategoricalAccuracy(k=k)(np.eye(3)[labels], scores) == wanted


def test_a_tie_at_place_k_counts_as_in():
    assert SparseTopKCategoricalAccuracy(k=1)([1], [[0.5, 0.5]]) == 1.0
    assert SparseTopKCategoricalAccuracy(k=2)([2], [[0.4, 0.3, 0.3]]) == 1.0


def test_nan_is_not_among_the_first():
    assert SparseTopKCategoricalAccuracy(k=2)([0, 1], [[np.nan, 0.3, 0.3]] * 2) == 0.5


def test_errors_by_hand():
    truth, outputs = [[0.0, 0.0], [1.0, 3.0]], [[1.0, 3.0], [1.0, 1.0]]
    assert MeanSquaredError()(truth, outputs) == 3.5
    assert MeanAbsoluteError()(truth, outputs) == 1.5
    assert RootMeanSquaredError()(truth, outputs) == math.sqrt(3.5)


def test_the_root_is_taken_over_all_batches_at_once():
    metric = RootMeanSquaredError()
    metric.update_state([0.0], [1.0])
    metric.update_state([0.0], [7.0])
    assert metric.result() == 5.0


def test_unsigned_integers_are_subtracted_safely():
    assert MeanAbsoluteError()(np.array([3], np.uint8), np.array([1], np.uint8)) == 2.0


def test_labels_fit_outputs_of_one_unit():
    assert MeanAbsoluteError()(np.zeros(4), np.ones((4, 1))) == 1.0
    assert BinaryAccuracy()(np.ones(4), np.ones((4, 1))) == 1.0


def test_tensors_and_results():
    result = SparseCategoricalAccuracy()([1], Tensor(SCORES[:1]))
    assert type(result) is float and result == 1.0


@pytest.mark.parametrize("typed", ["accuracy", "acc"])
@pytest.mark.parametrize(
    "y_true, y_pred, cls",
    [
        ((None,), (None, 1), BinaryAccuracy),
        ((None, 1), (None, 1), BinaryAccuracy),
        ((32,), (32, 10), SparseCategoricalAccuracy),
        ((32, 1), (32, 10), SparseCategoricalAccuracy),
        ((32, 10), (32, 10), CategoricalAccuracy),
    ],
)
def test_accuracy_is_chosen_by_shapes_and_reported_as_typed(typed, y_true, y_pred, cls):
    metric = metrics.for_output(typed, y_true, y_pred)
    assert type(metric) is cls and metric.name == typed


def test_names_are_reported_as_typed():
    assert metrics.for_output("mse", (None, 1), (None, 1)).name == "mse"
    mine = Mean(name="mine")
    assert metrics.for_output(mine, (None,), (None, 1)) is mine and mine.name == "mine"


@pytest.mark.parametrize(
    "name, cls",
    [
        ("mse", MeanSquaredError),
        ("MAE", MeanAbsoluteError),
        ("accuracy", Accuracy),
        ("SparseCategoricalAccuracy", SparseCategoricalAccuracy),
        ("sparse_top_k_categorical_accuracy", SparseTopKCategoricalAccuracy),
        ("root_mean_squared_error", RootMeanSquaredError),
    ],
)
def test_metrics_are_found_by_name(name, cls):
    metric = metrics.get(name)
    assert type(metric) is cls
    assert metric.name == cls().name


def test_get_takes_objects_classes_and_functions():
    def largest_error(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=-1)

    metric = metrics.get(largest_error)
    assert metric.name == metrics.serialize(metric) == "largest_error"
    assert metric([[0, 0], [0, 0]], [[1, 2], [3, 4]], sample_weight=[1, 3]) == 14 / 4
    assert metrics.get(metric) is metric
    assert type(metrics.get(Mean)) is Mean


def test_a_loss_function_can_be_a_metric():
    metric = metrics.get(losses.mean_squared_error)
    assert metric.name == "mean_squared_error"
    assert metric([[0.0], [0.0]], np.array([[1.0], [3.0]])) == 5.0


def test_a_function_that_gives_one_number_counts_for_its_whole_batch():
    metric = metrics.get(lambda y_true, y_pred: np.mean(y_pred))
    metric.update_state(np.zeros(3), np.zeros(3))
    metric.update_state(np.zeros(1), np.ones(1))
    assert metric.result() == 0.25


@pytest.mark.parametrize(
    "metric", [Mean("mine"), BinaryAccuracy(threshold=0.25), TopKCategoricalAccuracy(k=3)]
)
def test_a_config_makes_the_same_metric(metric):
    config = metric.get_config()
    assert type(metric).from_config(config).get_config() == config
    saved = metrics.serialize(metric)
    saved["config"] = saved["config"] | {"dtype": "float32"}  # as Keras writes it
    assert metrics.get(saved).get_config() == config


@pytest.mark.parametrize(
    "metric, y_true, y_pred, match",
    [
        (MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 3)), r"MC010.*\(4, 1\)"),
        (Accuracy(), np.zeros(4), np.zeros((4, 4)), "MC010"),
        (CategoricalAccuracy(), np.zeros(4), SCORES, "categorical_accuracy .MC011.*'sparse'"),
        (SparseCategoricalAccuracy(), np.eye(3)[[0, 0, 0, 0]], SCORES, "MC011"),
        (SparseCategoricalAccuracy(), [0, 1, 2, 3], SCORES, "MC012.*from 0 to 3"),
        (SparseTopKCategoricalAccuracy(), [0, 1, 2, 0.5], SCORES, "MC013.*0.5"),
    ],
)
def test_labels_and_outputs_that_do_not_fit_are_refused(metric, y_true, y_pred, match):
    with pytest.raises(ValueError, match=match):
        metric.update_state(y_true, y_pred)


def test_sample_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"mean: sample_weight has shape \(2,\)"):
        Mean().update_state([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize("k", [0, 1.5, True, "5"])
def test_k_is_an_integer_above_0(k):
    with pytest.raises(ValueError, match="k must be an integer above 0"):
        TopKCategoricalAccuracy(k=k)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown metric 'spars_categorical_accuracy'. Did you"):
        metrics.get("spars_categorical_accuracy")
    with pytest.raises(TypeError, match="metric: wants a name or an object of class Metric"):
        metrics.get(3)


def test_a_metric_of_ones_own_needs_its_methods():
    with pytest.raises(NotImplementedError, match="Metric defines no update_state"):
        Metric().update_state([1.0], [1.0])
    with pytest.raises(NotImplementedError, match="Metric defines no result"):
        Metric().result()
    with pytest.raises(NotImplementedError, match="Metric defines no reset_state"):
        Metric().reset_state()
