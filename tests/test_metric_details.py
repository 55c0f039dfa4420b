"""Metrics where scores are tied, weights of few bits, or labels no class: the rare cases."""

import numpy as np
import pytest

from minicnn import metrics


def test_a_score_just_on_one_of_many_thresholds_is_rounded_as_in_keras():
    """In float32, 7 / 13 * 13 is a little more than 7: the score lies above threshold number 7."""
    labels, scores = [0, 1], np.array([6.5 / 13, 7 / 13], np.float32)
    assert metrics.AUC(num_thresholds=14)(labels, scores) == 1
    assert metrics.PrecisionAtRecall(1.0, num_thresholds=14)(labels, scores) == 1


def test_of_many_tied_scores_the_first_are_the_largest():
    """Each second one of 200; a sort that is not stable takes later ones."""
    labels, scores = np.zeros((1, 200)), np.full((1, 200), 0.2)
    labels[0, 1:7:2], scores[0, 1::2] = 1, 0.7
    assert metrics.Precision(top_k=3)(labels, scores) == 1


def test_a_class_is_counted_along_the_last_axis():
    labels = np.array([[[0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]])  # 1 sample, 2 places, 5 classes
    assert metrics.Recall(class_id=4)(labels, np.full((1, 2, 5), 0.7)) == 1
    assert metrics.Precision(class_id=4)(labels, np.full((1, 2, 5), 0.7)) == 0.5


@pytest.mark.parametrize("cls", [metrics.MeanIoU, metrics.BinaryIoU])
def test_the_matrix_of_iou_has_a_row_per_true_class(cls):
    metric = cls(2) if cls is metrics.MeanIoU else cls()
    metric.update_state([0, 0, 0], [1, 0, 1])
    np.testing.assert_array_equal(metric.counts, [[1, 2], [0, 0]])


def test_iou_leaves_out_labels_and_answers_that_are_no_class():
    metric = metrics.MeanIoU(2)
    metric.update_state([0, 1, 2, 0, -1], [0, 1, 1, 2, 1])
    assert metric.result() == pytest.approx(1)


def test_yes_and_no_are_two_classes():
    with pytest.raises(ValueError, match="no class 2 among 2"):
        metrics.BinaryIoU(target_class_ids=[2])


def test_weights_of_few_bits_are_added_up_without_overflow():
    weights = np.full(4, 30_000, np.float16)
    assert metrics.Mean()([1.0, 2.0, 3.0, 4.0], weights) == 2.5


def test_a_function_may_give_several_numbers_for_each_sample():
    metric = metrics.get(lambda y_true, y_pred: abs(y_true - y_pred))
    assert metric([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [5.0, 4.0]]) == 0.75
