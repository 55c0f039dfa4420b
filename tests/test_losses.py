"""Losses: values worked out by hand, both ways to the same number, and the mistakes they catch."""

import math

import numpy as np
import pytest

from minicnn import losses, ops
from minicnn.autograd import Tensor, grad, no_grad
from minicnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)

LOG2 = math.log(2)


def tensor(values, dtype=np.float64, **settings):
    return Tensor(np.array(values, dtype), **settings)


def test_squared_and_absolute_errors_are_means_over_rows():
    truth, outputs = [[0.0, 0.0], [1.0, 3.0]], tensor([[1.0, 3.0], [1.0, 1.0]])
    np.testing.assert_array_equal(losses.mean_squared_error(truth, outputs).numpy(), [5, 2])
    np.testing.assert_array_equal(losses.mean_absolute_error(truth, outputs).numpy(), [2, 1])
    assert MeanSquaredError()(truth, outputs).item() == 3.5
    assert MeanAbsoluteError()(truth, outputs).item() == 1.5


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "none", None])
def test_reductions(reduction):
    loss = MeanSquaredError(reduction=reduction)([[0.0], [0.0]], tensor([[1.0], [3.0]]))
    wanted = {"sum": 10.0, "none": [1.0, 9.0], None: [1.0, 9.0]}.get(reduction, 5.0)
    np.testing.assert_array_equal(loss.numpy(), wanted)


def test_weights_are_divided_by_the_number_of_rows_and_not_by_their_sum():
    truth, outputs = np.zeros((4, 1)), tensor([[1.0], [1.0], [1.0], [1.0]])
    loss = MeanSquaredError()
    assert loss(truth, outputs, sample_weight=[4, 0, 0, 0]).item() == 1.0
    assert loss(truth, outputs, sample_weight=[[1], [1], [0], [0]]).item() == 0.5


def test_a_weight_per_sample_weighs_all_its_places():
    truth, outputs = np.zeros((2, 2, 3, 1)), Tensor(np.ones((2, 2, 3, 1)))
    assert MeanSquaredError()(truth, outputs, sample_weight=[2.0, 0.0]).item() == 1.0


@pytest.mark.parametrize("rows, columns", [((5,), (5, 1)), ((5, 1), (5,))])
def test_a_last_axis_of_size_1_is_added_or_dropped(rows, columns):
    truth, outputs = np.ones(rows), Tensor(np.zeros(columns))
    assert MeanSquaredError()(truth, outputs).item() == 1.0


def test_float32_outputs_give_a_float32_loss():
    weights = np.array([1.0, 2.0])  # float64
    for loss, truth in (
        (MeanSquaredError(), np.zeros((2, 2))),
        (CategoricalCrossentropy(label_smoothing=0.1), np.eye(2)),
        (SparseCategoricalCrossentropy(), np.array([0, 1])),
        (BinaryCrossentropy(label_smoothing=0.1), np.eye(2)),
    ):
        result = loss(truth, tensor([[0.5, 0.5], [0.25, 0.75]], np.float32), weights)
        assert result.dtype == np.float32


# crossentropy


def test_crossentropy_of_probabilities_by_hand():
    p = tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    wanted = [LOG2, 3 * LOG2]
    sparse = losses.sparse_categorical_crossentropy([0, 1], p)
    one_hot = losses.categorical_crossentropy([[1, 0, 0], [0, 1, 0]], p)
    np.testing.assert_allclose(sparse.numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(one_hot.numpy(), wanted, rtol=1e-12)


def test_probabilities_are_divided_by_their_sum():
    p = tensor([[0.7, 0.2, 0.1]]) * 0.5
    np.testing.assert_allclose(
        losses.sparse_categorical_crossentropy([0], p).numpy(), [-math.log(0.7)], rtol=1e-12
    )


def test_certain_mistakes_cost_what_they_cost_in_keras():
    p = tensor([[0.0, 1.0]], np.float32)
    assert losses.sparse_categorical_crossentropy([0], p).numpy()[0] == pytest.approx(16.118, 1e-4)
    binary = losses.binary_crossentropy([[1.0], [0.0]], tensor([[0.0], [1.0]], np.float32))
    assert binary.numpy() == pytest.approx([16.118, 15.942], 1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_from_logits_and_from_probabilities_agree(smoothing):
    logits = np.random.default_rng(0).normal(size=(6, 4))
    truth = np.eye(4)[[0, 1, 2, 3, 3, 1]]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    smooth = truth * (1 - smoothing) + smoothing / 4
    wanted = -(smooth * np.log(p)).sum(axis=1)
    for outputs, from_logits in ((logits, True), (p, False)):
        loss = CategoricalCrossentropy(from_logits, smoothing, reduction=None)
        np.testing.assert_allclose(loss(truth, Tensor(outputs)).numpy(), wanted, rtol=1e-10)
    loss = CategoricalCrossentropy(label_smoothing=smoothing, reduction=None)
    np.testing.assert_allclose(loss(truth, ops.softmax(Tensor(logits))).numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_binary_from_logits_and_from_probabilities_agree(smoothing):
    logits = np.random.default_rng(0).normal(size=(6, 3))
    truth = (np.random.default_rng(1).random((6, 3)) > 0.5).astype(float)
    p = 1 / (1 + np.exp(-logits))
    y = truth * (1 - smoothing) + smoothing / 2
    wanted = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)
    for outputs, from_logits in (
        (Tensor(logits), True),
        (Tensor(p), False),
        (ops.sigmoid(Tensor(logits)), False),
    ):
        loss = BinaryCrossentropy(from_logits, smoothing, reduction=None)
        np.testing.assert_allclose(loss(truth, outputs).numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_loss_after_softmax_works_on_the_logits(recorded):
    logits = tensor([[0.0, 1000.0]], np.float32, requires_grad=True)
    if recorded:
        loss = SparseCategoricalCrossentropy()([0], ops.softmax(logits))
        np.testing.assert_array_equal(grad(loss, [logits])[0].numpy(), [[-1, 1]])
    else:
        with no_grad():
            loss = SparseCategoricalCrossentropy()([0], ops.softmax(logits))
    assert loss.item() == 1000.0


@pytest.mark.parametrize("recorded", [True, False])
def test_a_loss_after_sigmoid_works_on_the_logits(recorded):
    logits = tensor([[-1000.0]], np.float32, requires_grad=True)
    if recorded:
        loss = BinaryCrossentropy()([[1.0]], ops.sigmoid(logits))
        np.testing.assert_array_equal(grad(loss, [logits])[0].numpy(), [[-1]])
    else:
        with no_grad():
            loss = BinaryCrossentropy()([[1.0]], ops.sigmoid(logits))
    assert loss.item() == 1000.0


def test_the_logits_of_a_sigmoid_are_not_taken_for_those_of_a_softmax():
    x = np.array([[0.0, 1.0], [2.0, -1.0]])
    p = 1 / (1 + np.exp(-x))
    wanted = -np.log(p[:, 0] / p.sum(axis=1))
    got = losses.sparse_categorical_crossentropy([0, 0], ops.sigmoid(Tensor(x)))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12)


def test_the_logits_of_a_softmax_are_not_taken_for_those_of_a_sigmoid():
    x = np.array([[0.0, 1.0], [2.0, -1.0]])
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    wanted = -(np.log(p[:, 0]) + np.log(1 - p[:, 1])) / 2
    got = losses.binary_crossentropy([[1, 0], [1, 0]], ops.softmax(Tensor(x)))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12)


def test_the_clip_of_foreign_probabilities_has_no_gradient():
    p = tensor([[0.0, 1.0]], requires_grad=True)
    loss = SparseCategoricalCrossentropy()([0], p)
    np.testing.assert_array_equal(grad(loss, [p])[0].numpy(), [[0, 0]])


def test_labels_may_have_a_last_axis_of_size_1_or_be_whole_floats():
    p = tensor([[0.5, 0.5], [0.25, 0.75]])
    wanted = losses.sparse_categorical_crossentropy([0, 1], p).numpy()
    for labels in ([[0], [1]], [0.0, 1.0], np.array([0, 1], np.uint8)):
        got = losses.sparse_categorical_crossentropy(labels, p).numpy()
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("from_logits", [False, True])
def test_there_may_be_a_loss_per_pixel(from_logits):
    rng = np.random.default_rng(0)
    outputs = rng.random((2, 3, 4, 5)) + 0.1
    outputs /= outputs.sum(axis=-1, keepdims=True)
    if from_logits:
        outputs = np.log(outputs)
    labels = rng.integers(5, size=(2, 3, 4))
    loss = SparseCategoricalCrossentropy(from_logits, reduction="none")
    got = loss(labels, Tensor(outputs)).numpy()
    flat = loss(labels.reshape(-1), Tensor(outputs.reshape(-1, 5))).numpy()
    assert got.shape == (2, 3, 4)
    np.testing.assert_allclose(got.reshape(-1), flat, rtol=1e-12)


@pytest.mark.parametrize(
    "labels, outputs, same",
    [
        ([[1.0], [0.0]], [[0.75], [0.25]], BinaryCrossentropy()),
        ([1, 0], [[0.25, 0.75], [0.25, 0.75]], SparseCategoricalCrossentropy()),
        ([[0, 1], [1, 0]], [[0.25, 0.75], [0.25, 0.75]], CategoricalCrossentropy()),
    ],
)
def test_crossentropy_chooses_by_shapes(labels, outputs, same):
    outputs = tensor(outputs)
    assert losses.get("crossentropy")(labels, outputs).item() == same(labels, outputs).item()


# lookup


@pytest.mark.parametrize(
    "name, cls",
    [
        ("mse", MeanSquaredError),
        ("MAE", MeanAbsoluteError),
        ("bce", BinaryCrossentropy),
        ("mean_squared_error", MeanSquaredError),
        ("CategoricalCrossentropy", CategoricalCrossentropy),
        ("sparse_categorical_crossentropy", SparseCategoricalCrossentropy),
    ],
)
def test_losses_are_found_by_name(name, cls):
    assert type(losses.get(name)) is cls


def test_get_takes_objects_classes_and_none():
    loss = MeanSquaredError()
    assert losses.get(loss) is loss
    assert type(losses.get(MeanSquaredError)) is MeanSquaredError
    assert losses.get(None) is None
    with pytest.raises(ValueError, match="unknown loss 'categorical_crossentrop'. Did you mean"):
        losses.get("categorical_crossentrop")
    with pytest.raises(TypeError, match="loss: wants a name or an object of class Loss"):
        losses.get(3)


def test_a_plain_function_can_be_a_loss():
    def twice_the_error(y_true, y_pred):
        return ops.sum(ops.abs(y_pred - y_true) * 2.0, axis=-1)

    loss = losses.get(twice_the_error)
    assert loss.name == losses.serialize(loss) == "twice_the_error"
    assert loss([[0.0], [0.0]], tensor([[1.0], [2.0]]), sample_weight=[1, 3]).item() == 7.0


def test_a_loss_of_ones_own_needs_a_call():
    with pytest.raises(NotImplementedError, match=r"Loss defines no call\(y_true, y_pred\)"):
        Loss()([1.0], tensor([1.0]))


@pytest.mark.parametrize(
    "loss",
    [
        MeanSquaredError(name="mine", reduction="sum"),
        SparseCategoricalCrossentropy(from_logits=True),
        CategoricalCrossentropy(label_smoothing=0.25),
        BinaryCrossentropy(from_logits=True, label_smoothing=0.25, reduction=None),
    ],
)
def test_a_config_makes_the_same_loss(loss):
    config = loss.get_config()
    assert type(loss).from_config(config).get_config() == config
    again = losses.get(losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == config


def test_a_config_of_keras_is_accepted():
    config = {"name": "n", "reduction": "sum", "from_logits": True, "ignore_class": None}
    saved = {"class_name": "SparseCategoricalCrossentropy", "config": config}
    assert losses.get(saved).get_config() == config
    config = {"name": "n", "reduction": "sum", "label_smoothing": 0.5, "axis": -1}
    assert losses.get({"class_name": "CategoricalCrossentropy", "config": config}).name == "n"


# mistakes

PROBABILITIES = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(
    "loss, y_true, y_pred, match",
    [
        ("mse", np.zeros((4, 1)), np.zeros((4, 3)), r"MC010.*\(4, 1\).*\(4, 3\).*to_categorical"),
        ("mae", np.zeros((4, 4)), np.zeros(4), r"MC010.*\(4, 4\) do not stand one to one"),
        ("mse", np.zeros(4), np.zeros((4, 4)), r"MC010.*sparse_categorical_crossentropy"),
        ("bce", np.zeros((4, 2)), PROBABILITIES, r"MC010.*number of units of the last layer"),
        (
            "sparse_categorical_crossentropy",
            np.eye(3)[[0, 1, 2, 0]],
            PROBABILITIES,
            "MC011.*argmax",
        ),
        ("sparse_categorical_crossentropy", np.zeros(5), PROBABILITIES, r"MC010.*\(4,\).*\(5,\)"),
        ("sparse_categorical_crossentropy", np.zeros(()), np.zeros(()), "MC010"),
        ("categorical_crossentropy", np.zeros(4), PROBABILITIES, "MC011.*to_categorical.*3"),
        ("categorical_crossentropy", np.zeros((4, 1)), PROBABILITIES, "MC011.*'sparse'"),
        ("categorical_crossentropy", np.zeros((1, 2)), [[[0.5, 0.5]] * 2], "MC011.*'sparse'"),
        ("categorical_crossentropy", np.zeros((4, 2)), PROBABILITIES, "MC010"),
        (
            "sparse_categorical_crossentropy",
            [1, 2, 3, 1],
            PROBABILITIES,
            "MC012.*from 1 to 3.* 3 outputs, for the classes 0 to 2",
        ),
        ("sparse_categorical_crossentropy", [0, -1, 0, 0], PROBABILITIES, "MC012.*from -1 to 0"),
        ("bce", [[-1.0], [1.0]], [[0.5], [0.5]], "MC012.*from -1 to 1.*between 0, for no"),
        ("sparse_categorical_crossentropy", [0, 1.4, 0, 0], PROBABILITIES, "MC013.*one is 1.4"),
        ("sparse_categorical_crossentropy", [0, np.nan, 0, 0], PROBABILITIES, "MC013.*nan"),
        (
            "sparse_categorical_crossentropy",
            [0],
            [[-3.0, 5.0, 1.0]],
            r"MC020.*from -3 to 5.*'softmax'.*from_logits=True",
        ),
        ("categorical_crossentropy", [[1, 0]], [[0.0, 0.0]], "MC020.*from 0 to 0"),
        ("bce", [[1.0]], [[1.5]], "MC020.*'sigmoid'"),
    ],
)
def test_labels_and_outputs_that_do_not_fit_are_refused(loss, y_true, y_pred, match):
    with pytest.raises(ValueError, match=match):
        losses.get(loss)(y_true, tensor(y_pred))


@pytest.mark.parametrize("activation", [ops.sigmoid, lambda x: ops.softmax(x, axis=0)])
def test_rows_of_zeros_are_no_probabilities_whatever_has_made_them(activation):
    scores = Tensor([[0.0, 0.0], [-200.0, -200.0]], requires_grad=True)  # so it is known what has
    for loss in (CategoricalCrossentropy(), losses.CategoricalFocalCrossentropy()):
        with pytest.raises(ValueError, match="MC020.*of rows from 0 to"):
            loss(np.eye(2), activation(scores))


def test_rounding_errors_of_probabilities_are_tolerated():
    p = tensor([[1.000001, -0.000001]], np.float32)
    assert SparseCategoricalCrossentropy()([0], p).item() == pytest.approx(0, abs=1e-5)
    p = tensor([[1.0 + 1e-5, -1e-5]])  # the most that is tolerated
    assert SparseCategoricalCrossentropy()([0], p).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("activation", [ops.softmax, ops.sigmoid])
@pytest.mark.parametrize(
    "loss, y_true",
    [
        (SparseCategoricalCrossentropy(from_logits=True), [0]),
        (CategoricalCrossentropy(from_logits=True), [[1, 0]]),
        (BinaryCrossentropy(from_logits=True), [[1, 0]]),
        (losses.CategoricalFocalCrossentropy(from_logits=True), [[1, 0]]),
    ],
)
def test_an_activation_and_from_logits_together_are_refused(loss, y_true, activation):
    with pytest.raises(ValueError, match="MC021.*would be applied twice"):
        loss(y_true, activation(tensor([[1.0, 2.0]])))


def test_class_numbers_may_lie_along_the_axis_of_the_classes():
    y_pred = tensor(np.arange(24.0).reshape(2, 3, 4) ** 1.5)
    labels, settings = np.arange(8).reshape(2, 4) % 3, {"from_logits": True, "axis": 1}
    wanted = losses.sparse_categorical_crossentropy(labels, y_pred, **settings)
    found = losses.sparse_categorical_crossentropy(labels[:, None], y_pred, **settings)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())


def test_of_a_single_class_labels_can_be_ignored_too():
    loss = SparseCategoricalCrossentropy(ignore_class=-1, reduction=None)
    np.testing.assert_allclose(loss([-1, 0], tensor([[1.0], [1.0]])).numpy(), [0, 0], atol=1e-6)


def test_nan_outputs_give_a_nan_loss():
    logits = tensor([[np.nan, 0.0], [0.0, 0.0]])
    for outputs in (ops.softmax(logits), Tensor(np.array([[np.nan, 0.5], [0.5, 0.5]]))):
        assert np.isnan(SparseCategoricalCrossentropy()([0, 0], outputs).item())


def test_words_are_no_labels():
    with pytest.raises(TypeError, match="labels and outputs must be numbers, but got an array of"):
        MeanSquaredError()(["cat", "dog"], tensor([1.0, 2.0]))


def test_sample_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\).*\(4,\)"):
        MeanSquaredError()(np.zeros((4, 2)), Tensor(np.zeros((4, 2))), sample_weight=[1, 2, 3])


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: MeanSquaredError(reduction="summ"), ValueError, "'summ'.* Did you mean 'sum'"),
        (lambda: CategoricalCrossentropy(label_smoothing=2), ValueError, "must be from 0 to 1"),
        (lambda: BinaryCrossentropy(label_smoothing="a"), TypeError, "must be a number"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
