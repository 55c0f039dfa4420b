"""Every mean, accuracy, score and matrix beside its formula, written out in NumPy and loops."""

import numpy as np
import pytest
from loss_formulas import FORMULAS, sigmoid, softmax
from metric_checks import check

from minicnn import backend, metrics
from minicnn.autograd import Tensor

TINY = 1e-7  # what a denominator is kept away from 0 by, as in Keras
RNG = np.random.default_rng(0)
N, K = 12, 5
NUMBERS, MORE = RNG.normal(size=(2, N, 2, K)).astype(np.float32)
CLASSES = RNG.integers(K, size=(N, 2))
BITS = RNG.integers(2, size=(N, 2, K))
STEPS = (RNG.integers(17, size=(N, 2, K)) / 16).astype(np.float32)  # with many ties
ONE_HOT = np.eye(K)[CLASSES]


def mean(values, weights):
    if weights is None:
        return values.mean(dtype=np.float64)
    weights = np.broadcast_to(weights.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    return (values * weights).sum() / weights.sum()


def per_value(function):
    return lambda y, p, weights, **settings: mean(function(y, p, **settings), weights)


def top(labels, scores, k=5):
    flat = zip(labels.ravel(), scores.reshape(-1, K), strict=True)
    return np.array([sorted(row)[-k] <= row[label] for label, row in flat]).reshape(labels.shape)


def squares(y, p):
    return (y.astype(np.float64) - p.astype(np.float64)) ** 2


MEANS = [  # metric, settings, labels, outputs, what is averaged
    ("Accuracy", {}, CLASSES, RNG.integers(2, size=(N, 2)), lambda y, p: y == p),
    ("BinaryAccuracy", {}, BITS, STEPS, lambda y, p: y == (p > 0.5)),
    ("BinaryAccuracy", {"threshold": -0.25}, BITS, MORE, lambda y, p, threshold: y == (p > -0.25)),
    ("CategoricalAccuracy", {}, ONE_HOT, STEPS, lambda y, p: y.argmax(2) == p.argmax(2)),
    ("SparseCategoricalAccuracy", {}, CLASSES, STEPS, lambda y, p: y == p.argmax(2)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, CLASSES, STEPS, top),
    ("SparseTopKCategoricalAccuracy", {}, CLASSES, STEPS, top),
    ("TopKCategoricalAccuracy", {"k": 3}, ONE_HOT, STEPS, lambda y, p, k: top(y.argmax(2), p, k)),
    ("TopKCategoricalAccuracy", {}, ONE_HOT, STEPS, lambda y, p: top(y.argmax(2), p)),
    ("MeanSquaredError", {}, NUMBERS, MORE, squares),
    ("MeanAbsoluteError", {}, NUMBERS, MORE, lambda y, p: squares(y, p) ** 0.5),
]


@pytest.mark.parametrize("name, settings, y, p, values", MEANS)
def test_a_mean_is_its_formula(name, settings, y, p, values):
    check(getattr(metrics, name)(**settings), per_value(values), y, p, settings, rtol=1e-12)


def test_the_root_of_a_mean():
    formula = per_value(squares)
    metric = metrics.RootMeanSquaredError()
    check(metric, lambda y, p, w: formula(y, p, w) ** 0.5, NUMBERS, MORE, {}, rtol=1e-12)


def known(y, p, weights, **settings):
    """The crossentropy, in which ignored labels count in a mean unless there are weights."""
    losses = FORMULAS["SparseCategoricalCrossentropy"](y, p, **settings)
    if weights is None or "ignore_class" not in settings:
        return mean(losses, weights)
    weights = (y != settings["ignore_class"]) * weights[:, None]
    return (losses * weights).sum() / weights.sum()


@pytest.mark.parametrize(
    "name, settings, y, p",
    [
        ("MeanAbsolutePercentageError", {}, NUMBERS, MORE),
        ("MeanSquaredLogarithmicError", {}, np.abs(NUMBERS), np.abs(MORE)),
        ("LogCoshError", {}, NUMBERS, MORE),
        ("CosineSimilarity", {}, NUMBERS, MORE),
        ("CosineSimilarity", {"axis": 1}, NUMBERS, MORE),
        ("KLDivergence", {}, softmax(NUMBERS), softmax(MORE)),
        ("Poisson", {}, np.abs(NUMBERS), np.abs(MORE) + 0.1),
        ("Hinge", {}, np.sign(NUMBERS), MORE),
        ("SquaredHinge", {}, np.sign(NUMBERS), MORE),
        ("CategoricalHinge", {}, ONE_HOT, MORE),
        ("BinaryCrossentropy", {}, BITS, sigmoid(MORE)),
        ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, BITS, MORE),
        ("CategoricalCrossentropy", {}, ONE_HOT, softmax(MORE)),
        ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, MORE),
        ("CategoricalCrossentropy", {"axis": 1, "from_logits": True}, ONE_HOT, MORE),
        ("SparseCategoricalCrossentropy", {}, CLASSES, softmax(MORE)),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, MORE),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}, CLASSES, softmax(MORE)),
        ("SparseCategoricalCrossentropy", {"axis": 1}, CLASSES % 2, sigmoid(MORE[:, :, :2])),
    ],
)
def test_a_loss_as_a_metric_is_the_mean_of_its_formula(name, settings, y, p):
    sign = -1 if name == "CosineSimilarity" else 1
    formula = FORMULAS[name.removesuffix("Error") if "Cosh" in name else name]

    def wanted(y, p, weights, **settings):
        if name == "SparseCategoricalCrossentropy":
            return known(y, p, weights, **settings)
        return sign * mean(formula(np.float64(y), np.float64(p), **settings), weights)

    check(getattr(metrics, name)(**settings), wanted, y, p, settings, rtol=2e-5)


def test_ignored_labels_may_have_a_last_axis_of_size_1():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    p = [[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]]
    got = metric([[0], [-1], [0]], p, sample_weight=[1.0, 5.0, 3.0])
    assert got == pytest.approx((np.log(2) + 3 * np.log(4)) / 4, rel=1e-6)


# scores


def r2_score(y, p, weights, class_aggregation="uniform_average", num_regressors=0):
    y, p = np.float64(y), np.float64(p)
    weights = np.ones(len(y)) if weights is None else weights
    scores, variances = [], []
    for k in range(y.shape[1]):
        centre = (weights * y[:, k]).sum() / weights.sum()
        variances.append((weights * (y[:, k] - centre) ** 2).sum())
        scores.append(1 - (weights * (y[:, k] - p[:, k]) ** 2).sum() / variances[-1])
    if class_aggregation is not None:
        by = variances if class_aggregation == "variance_weighted_average" else None
        scores = np.average(scores, weights=by)
    if 0 < num_regressors < y.size - 1:
        scores = 1 - (1 - np.array(scores)) * (y.size - 1) / (y.size - 1 - num_regressors)
    return scores


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_aggregation": None},
        {"class_aggregation": "variance_weighted_average"},
        {"num_regressors": 2},
        {"num_regressors": 2, "class_aggregation": None},
        {"num_regressors": 23},
        {"num_regressors": 24},  # too many for the first batch, of 25 values
        {"num_regressors": 1000},
    ],
)
def test_r2_is_its_formula(settings):
    metric = metrics.R2Score(**settings)
    p = NUMBERS[:, 0] + MORE[:, 0] / 4
    check(metric, r2_score, NUMBERS[:, 0], p, settings, rtol=1e-9)


def test_scores_of_each_column_are_still_wanted_when_r2_comes_back_from_a_file():
    saved = metrics.serialize(metrics.R2Score(class_aggregation=None))
    assert metrics.deserialize(saved).class_aggregation is None


def test_r2_of_labels_without_variance_is_0_or_unknown():
    metric = metrics.R2Score(class_aggregation=None)
    got = metric([[2.0, 2.0], [2.0, 2.0]], [[2.0, 3.0], [2.0, 2.0]])
    np.testing.assert_array_equal(got, [np.nan, 0.0])


def test_r2_before_the_first_batch_is_0():
    assert metrics.R2Score().result() == 0.0


def test_r2_adds_up_weights_of_few_bits_without_overflow():
    weights = np.full(4, 30_000, np.float16)
    y = np.array([[1.0], [2.0], [3.0], [4.0]])
    assert metrics.R2Score()(y, y + 0.5, weights) == pytest.approx(1 - 1.0 / 5)


def f_score(y, p, weights, average=None, beta=1.0, threshold=None):
    weights = np.ones(len(y)) if weights is None else weights
    counts = np.zeros((y.shape[1], 3))  # tp, fp, fn
    for row, scores, weight in zip(y, p, weights, strict=True):
        for k, label in enumerate(row):
            is_yes = scores[k] > threshold if threshold else scores[k] == scores.max() > 1e-9
            if is_yes or label:
                counts[k, 0 if is_yes and label else 1 if is_yes else 2] += weight
    if average == "micro":
        counts = counts.sum(axis=0, keepdims=True)
    tp, fp, fn = counts.T
    precision, recall = tp / (tp + fp + TINY), tp / (tp + fn + TINY)
    below = beta * beta * precision + recall + TINY
    scores = (1 + beta * beta) * precision * recall / below
    if average == "weighted":
        return (scores * (tp + fn)).sum() / ((tp + fn).sum() + TINY)
    return scores if average is None else scores.mean()


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.25, 1.0])
@pytest.mark.parametrize("beta", [1.0, 0.5, 3.0])
def test_f_scores_are_their_formula(average, threshold, beta):
    settings = {"average": average, "beta": beta, "threshold": threshold}
    steps = STEPS[:, 0].copy()
    steps[3], steps[7, 0] = 0, 1.25
    check(metrics.FBetaScore(**settings), f_score, BITS[:, 0], steps, settings, rtol=1e-12)
    if beta == 1.0:
        del settings["beta"]
        check(metrics.F1Score(**settings), f_score, BITS[:, 0], steps, settings, rtol=1e-12)


@pytest.mark.parametrize("largest, wanted", [(0.0, 0), (1e-9, 0), (1.2e-9, 1), (-1.0, 1)])
def test_a_largest_output_of_0_is_no_answer(largest, wanted):
    y_pred = np.array([[largest, -2.0]])
    assert metrics.F1Score()([[1, 0]], y_pred)[0] == pytest.approx(wanted, abs=1e-6)


# matrices


def pairs(y, p, weights):
    """Labels, answers and weights, one by one."""
    weights = np.ones(len(y)) if weights is None else weights
    weights = np.broadcast_to(weights.reshape(-1, *[1] * (y.ndim - 1)), y.shape)
    return zip(y.ravel(), p.ravel(), weights.ravel(), strict=True)


def confusion(y, p, weights, num_classes=K):
    labels = y.argmax(axis=-1) if y.shape == p.shape else y.reshape(p.shape[:-1])
    counts = np.zeros((num_classes, num_classes))
    for label, answer, weight in pairs(labels, p.argmax(axis=-1), weights):
        counts[label, answer] += weight
    return counts


def per_class(y, p, weights, num_classes=K):
    counts = confusion(y, p, weights)
    return [row[k] / row.sum() if row.sum() else np.nan for k, row in enumerate(counts)]


@pytest.mark.parametrize("y", [CLASSES, CLASSES[..., None], ONE_HOT], ids=["(N,)", "(N, 1)", "hot"])
@pytest.mark.parametrize(
    "name, formula", [("ConfusionMatrix", confusion), ("PerClassAccuracy", per_class)]
)
def test_matrices_are_their_formula(name, formula, y):
    check(getattr(metrics, name)(K), formula, y, STEPS, {}, rtol=1e-12)
    check(getattr(metrics, name)(K), formula, y[:, 0], STEPS[:, 0], {}, rtol=1e-12)


def iou(y, p, weights, targets, ignored=None):
    scores = []
    every = [pair for pair in pairs(y, p, weights) if pair[0] != ignored]
    every = [(y, p, w) for y, p, w in every if 0 <= y < K and 0 <= p < K]
    for k in targets:
        both = sum(w for y, p, w in every if y == k and p == k)
        either = sum(w for y, p, w in every if y == k or p == k)
        if either:
            scores.append(both / (either + TINY))
    return sum(scores) / (len(scores) + TINY)


ANSWERS = np.where(RNG.random((N, 2)) < 0.5, CLASSES, RNG.integers(-1, K + 1, size=(N, 2)))
ODD = np.where(RNG.random((N, 2)) < 0.2, RNG.choice([-1, K], size=(N, 2)), CLASSES)
SCORES = {"sparse_y_true": False, "sparse_y_pred": False}


@pytest.mark.parametrize(
    "make, y, p, targets, ignored",
    [
        (lambda: metrics.IoU(K, [0, 3]), CLASSES, ANSWERS, [0, 3], None),
        (lambda: metrics.IoU(K, [0, K - 1]), ODD, ANSWERS, [0, K - 1], None),
        (lambda: metrics.IoU(K, [2], ignore_class=0), CLASSES, ANSWERS, [2], 0),
        (lambda: metrics.MeanIoU(K), CLASSES % 3, ANSWERS % 3, range(K), None),
        (lambda: metrics.MeanIoU(K, ignore_class=1), ODD, ANSWERS, range(K), 1),
        (lambda: metrics.IoU(K, [1, 2], **SCORES), ONE_HOT, STEPS, [1, 2], None),
        (lambda: metrics.MeanIoU(K, **SCORES), ONE_HOT, STEPS, range(K), None),
        (lambda: metrics.OneHotIoU(K, [4, 1]), ONE_HOT, STEPS, [4, 1], None),
        (lambda: metrics.OneHotIoU(K, [4], ignore_class=2), ONE_HOT, STEPS, [4], 2),
        (lambda: metrics.OneHotIoU(K, [4], sparse_y_pred=True), ONE_HOT, ANSWERS, [4], None),
        (lambda: metrics.OneHotMeanIoU(K), ONE_HOT, STEPS, range(K), None),
        (lambda: metrics.OneHotMeanIoU(K, sparse_y_pred=True), ONE_HOT, ANSWERS, range(K), None),
        (lambda: metrics.OneHotMeanIoU(K, ignore_class=4), ONE_HOT, STEPS, range(K), 4),
        (lambda: metrics.BinaryIoU(), BITS, STEPS >= 0.5, [0, 1], None),
        (lambda: metrics.BinaryIoU([1], 0.25), BITS, STEPS, [1], None),
    ],
)
def test_intersection_over_union_is_its_formula(make, y, p, targets, ignored):
    metric = make()

    def formula(y, p, weights):
        y = y.argmax(axis=-1) if y.ndim == 3 and "Binary" not in type(metric).__name__ else y
        if isinstance(metric, metrics.BinaryIoU):
            p = p >= metric.threshold
        elif p.ndim == 3:
            p = p.argmax(axis=-1)
        return iou(y, p, weights, targets, ignored)

    check(metric, formula, y, p, {}, rtol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda: metrics.OneHotIoU(K, [0, 1], axis=1), lambda: metrics.OneHotMeanIoU(K, axis=1)]
)
def test_classes_may_lie_along_another_axis(make):
    y, p = np.moveaxis(ONE_HOT, -1, 1), np.moveaxis(STEPS, -1, 1)
    targets = make().target_class_ids
    wanted = iou(CLASSES, STEPS.argmax(axis=-1), None, targets)
    assert make()(y, p) == pytest.approx(wanted, rel=1e-12)


# mistakes


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: metrics.R2Score("mean"), "class_aggregation must be one of"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors at least 0"),
        (lambda: metrics.R2Score()([[1.0]], [[1.0, 2.0]]), r"\(N, K\).*\(1, 1\) and \(1, 2\)"),
        (lambda: metrics.R2Score()([1.0], [1.0]), r"\(N, K\).*\(1,\) and \(1,\)"),
        (lambda: metrics.F1Score("mean"), "average must be None, 'micro', 'macro' or 'weighted'"),
        (lambda: metrics.F1Score(threshold=0), "beta and threshold must be above 0"),
        (lambda: metrics.FBetaScore(beta=0), "beta and threshold must be above 0"),
        (lambda: metrics.FBetaScore(threshold=1.5), "threshold must be from 0 to 1"),
        (lambda: metrics.F1Score()([0, 1], [0, 1]), "utils.to_categorical"),
        (lambda: metrics.F1Score()([[0, 1]], [[0.1, 0.2, 0.3]]), r"\(1, 2\) and \(1, 3\)"),
        (lambda: metrics.MeanIoU(0), "num_classes must be a whole number above 0, but is 0"),
        (lambda: metrics.MeanIoU("5"), "num_classes must be a whole number above 0, but is '5'"),
        (lambda: metrics.ConfusionMatrix(True), "num_classes must be .* above 0, but is True"),
        (lambda: metrics.ConfusionMatrix(2.0), "num_classes must be .* above 0, but is 2.0"),
        (lambda: metrics.IoU(2, [2]), "IoU: there is no class 2 among 2"),
        (lambda: metrics.IoU(2, [-1]), "IoU: there is no class -1 among 2"),
        (lambda: metrics.IoU(2, [0])([0, 1], [[1, 0]] * 2), "2 labels do not fit 4 answers"),
        (lambda: metrics.ConfusionMatrix(3)([0], [[1, 0]]), r"\(N, 3\), but got \(1, 2\)"),
        (lambda: metrics.ConfusionMatrix(2)([0, 1], [1, 0]), r"\(N, 2\), but got \(2,\)"),
        (lambda: metrics.ConfusionMatrix(2)([[0, 1, 0]], [[1, 0]]), "wants class numbers"),
        (lambda: metrics.ConfusionMatrix(2)([0, 1, 0], [[1, 0]]), "wants class numbers"),
        (
            lambda: metrics.CosineSimilarity()(np.ones((4, 2)), np.ones((4, 3))),
            r"labels of shape \(4, 2\) .* outputs of shape \(4, 3\)",
        ),
    ],
)
def test_mistakes_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_there_may_be_a_single_class_and_every_class_may_be_a_target():
    assert metrics.ConfusionMatrix(1)([0, 0], [[0.5], [0.2]]).tolist() == [[2.0]]
    assert metrics.IoU(2, [1])([1, 1], [1, 1]) == pytest.approx(1.0, rel=1e-6)
    assert metrics.FBetaScore(threshold=1).threshold == 1.0


def test_a_result_does_not_change_with_the_next_batch():
    metric = metrics.ConfusionMatrix(2)
    first = metric([0], [[1.0, 0.0]])
    metric.update_state([1], Tensor(np.array([[1.0, 0.0]])))
    assert first.sum() == 1.0


# counting with variables of one's own


class Seen(metrics.Metric):
    """Counts batches, and adds up outputs."""

    def __init__(self, name=None):
        super().__init__(name)
        self.batches = self.add_variable(name="batches")
        self.sums = self.add_weight((2, 3), "Zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.batches.assign(self.batches.numpy() + 1)
        self.sums.assign(self.sums.numpy() + y_pred)

    def result(self):
        return self.sums.numpy() / self.batches.numpy()


def test_variables_of_a_metric_are_counted_saved_loaded_and_reset():
    metric = Seen()
    assert [(v.name, v.shape, v.trainable) for v in metric.variables] == [
        ("batches", (), False),
        ("variable", (2, 3), False),
    ]
    metric.update_state(None, np.ones((2, 3)))
    metric.update_state(None, np.full((2, 3), 4.0))
    np.testing.assert_array_equal(metric.result(), np.full((2, 3), 2.5))
    again = Seen.from_config(metric.get_config())
    variables = again.variables
    again.load_state(metric.state())
    assert all(one is two for one, two in zip(variables, again.variables, strict=True))
    np.testing.assert_array_equal(again.result(), metric.result())
    metric.reset_state()
    assert (metric.batches.item(), metric.sums.shape) == (0, (2, 3))
    np.testing.assert_array_equal(metric.sums.numpy(), 0)
    assert set(metric.state()) == {"batches", "sums"} and again.batches.item() == 2


def test_variables_of_a_metric_stay_on_the_cpu(monkeypatch):
    monkeypatch.setattr(backend, "_device", "emulator")
    assert backend.device_of(Seen().sums.data) == "cpu"
