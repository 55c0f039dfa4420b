"""Precision, recall, the counts and the curves, beside loops over all answers and thresholds."""

import numpy as np
import pytest
from metric_checks import check, copied

from minicnn import metrics
from minicnn.autograd import Tensor
from minicnn.metrics.counting import is_even

RNG = np.random.default_rng(1)
N, K = 12, 5
BITS = RNG.integers(2, size=(N, K))
STEPS = (RNG.integers(17, size=(N, K)) / 16).astype(np.float32)  # often on a threshold, or tied
LOGITS = RNG.normal(size=(N, K)).astype(np.float32) * 3


def counts(y, p, weights, limit):
    """Tp, fp, tn, fn; the weights have the shape of the answers, or that of the samples."""
    weights = np.ones(len(y)) if weights is None else weights
    weights = np.broadcast_to(weights.reshape(len(y), -1), y.shape)
    label, answer = y.astype(bool), p > limit
    kinds = (label & answer, ~label & answer, ~label & ~answer, label & ~answer)
    return [weights[kind].sum() for kind in kinds]


def share(part, rest):
    return part / (part + rest) if part + rest else 0.0


VALUES = {
    "Precision": lambda tp, fp, tn, fn: share(tp, fp),
    "Recall": lambda tp, fp, tn, fn: share(tp, fn),
    "TruePositives": lambda tp, fp, tn, fn: tp,
    "FalsePositives": lambda tp, fp, tn, fn: fp,
    "TrueNegatives": lambda tp, fp, tn, fn: tn,
    "FalseNegatives": lambda tp, fp, tn, fn: fn,
}


def chosen(y, p, top_k, class_id):
    if top_k is not None:
        p = p.copy()
        for row in p:
            order = sorted(range(len(row)), key=lambda k: (-row[k], k))
            row[order[top_k:]] = -np.inf
    if class_id is not None:
        y, p = y[:, [class_id]], p[:, [class_id]]
    return y, p


def formula(name):
    def value(y, p, weights, thresholds=None, top_k=None, class_id=None):
        y, p = chosen(y, p, top_k, class_id)
        if thresholds is None:
            thresholds = 0.5 if top_k is None else -1e9
        limits = thresholds if isinstance(thresholds, list | tuple) else [thresholds]
        values = [VALUES[name](*counts(y, p, weights, limit)) for limit in limits]
        return values if len(values) > 1 else values[0]

    return value


THRESHOLDS = [
    {},
    {"thresholds": 0.25},
    {"thresholds": [0.75]},
    {"thresholds": (0.125, 0.5, 0.625)},
    {"thresholds": [0.0, 1.0]},
    {"thresholds": [0.25, 1.0]},
    {"thresholds": [0.0, 0.5, 1.0]},
    {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]},
    {"thresholds": [0.0, 0.5, 0.75, 1.0]},
]
CHOICES = [
    {"top_k": 1},
    {"top_k": 3},
    {"top_k": 2, "thresholds": [0.25, 0.75]},
    {"top_k": 2, "thresholds": [0.0, 0.5, 1.0]},
    {"class_id": 0},
    {"class_id": K - 1, "thresholds": [0.25, 0.5]},
    {"class_id": 3, "top_k": 2},
]


CASES = [(name, settings) for name in VALUES for settings in THRESHOLDS]
CASES += [(name, settings) for name in ("Precision", "Recall") for settings in CHOICES]


@pytest.mark.parametrize("name, settings", CASES, ids=str)
def test_counts_are_those_of_a_loop(name, settings):
    metric = getattr(metrics, name)(**settings)
    check(metric, formula(name), BITS, STEPS, settings, rtol=1e-12)


def test_answers_may_have_any_number_of_axes_and_weights_their_shape():
    weights = RNG.random((N, K))
    found = counts(BITS, STEPS, weights, 0.5)
    for shape in ((N * K,), (N, K), (2, 6, K), (2, 2, 3, K)):
        y, p, w = (part.reshape(shape) for part in (BITS, STEPS, weights))
        assert metrics.TruePositives()(y, p, w) == pytest.approx(found[0], rel=1e-12)
        assert metrics.TrueNegatives()(y, Tensor(p), w) == pytest.approx(found[2], rel=1e-12)
    y, p = BITS.reshape(3, 4, K), STEPS.reshape(3, 4, K)
    wanted = formula("Recall")(BITS, STEPS, None, top_k=2, class_id=1)
    assert metrics.Recall(top_k=2, class_id=1)(y, p) == pytest.approx(wanted, rel=1e-12)


def test_whole_numbers_as_weights_are_multiplied_in_float64():
    weights = np.full(3, 2**62)
    assert metrics.TruePositives()([1, 1, 1], [0.9, 0.8, 0.7], weights) == 3 * 2.0**62


# curves

GAUSS = np.polynomial.legendre.leggauss(80)  # places in [-1, 1], and their shares of an integral


def inner(num_thresholds):
    return np.linspace(0, 1, num_thresholds)[1:-1].astype(np.float32)


def curve_points(y, p, weights, limits, curve):
    for limit in limits:
        tp, fp, tn, fn = counts(y, p, weights, limit)
        if curve == "ROC":
            yield share(fp, tn), share(tp, fn)
        elif curve == "PR":
            yield share(tp, fn), share(tp, fp)
        elif tp == 0 or fp + tn == 0:
            yield (1.0 if tp else 0.0), 1.0
        else:
            odds = (tp + fn) / (fp + tn)
            yield max(0.0, 1 - odds * fn / tp), 1 - odds * fp / tp


def precision_over_recall(y, p, weights, limits):
    """The integral of precision over recall; between two points tp and fp grow in proportion."""
    places, parts, area = (GAUSS[0] + 1) / 2, GAUSS[1] / 2, 0.0
    found = [counts(y, p, weights, limit) for limit in limits]
    for (tp1, fp1, _, fn), (tp0, fp0, _, _) in zip(found[:-1], found[1:], strict=True):
        tp, fp = tp0 + places * (tp1 - tp0), fp0 + places * (fp1 - fp0)
        if tp1 > tp0:
            area += (parts * tp / (tp + fp)).sum() * (tp1 - tp0) / (tp1 + fn)
    return area


def area(y, p, weights, limits, curve="ROC", method="interpolation"):
    if curve == "PR" and method == "interpolation":
        return precision_over_recall(y, p, weights, limits)
    points = list(curve_points(y, p, weights, limits, curve))
    middle = {"interpolation": lambda a, b: (a + b) / 2, "minoring": min, "majoring": max}[method]
    pairs = zip(points[:-1], points[1:], strict=True)
    return sum((x0 - x1) * middle(y0, y1) for (x0, y0), (x1, y1) in pairs)


def auc(y, p, weights, **settings):
    limits = settings.get("thresholds")
    limits = inner(settings.get("num_thresholds", 200)) if limits is None else sorted(limits)
    limits = np.array([-1, *limits, 2])
    curve, method = settings.get("curve", "ROC"), settings.get("summation_method", "interpolation")
    labels = settings.get("label_weights")
    if settings.get("from_logits"):
        p = 1 / (1 + np.exp(-p.astype(np.float64)))
    if settings.get("multi_label"):
        columns = zip(y.T, p.T, strict=True)
        areas = [area(a[:, None], b[:, None], weights, limits, curve, method) for a, b in columns]
        return float(np.average(areas, weights=labels))
    if labels is not None:
        weights = np.ones(len(y)) if weights is None else weights
        weights = weights[:, None] * np.array(labels)
    return float(area(y, p, weights, limits, curve, method))


WEIGHTS = [1.0, 0.5, 2.0, 0.0, 0.25]
UNEVEN, EVEN = [0.625, 0.125, 0.25], [0.25, 0.5, 0.75]
HALVES = [0.4375, 0.5, 0.5625]  # between 0 and 1, not evenly
FORMS = [
    {},
    {"num_thresholds": 2},
    {"num_thresholds": 3},
    {"num_thresholds": 9},
    {"thresholds": UNEVEN},
    {"thresholds": EVEN},
    {"thresholds": HALVES},
    {"thresholds": [0.0, 0.5]},
    {"multi_label": True, "num_thresholds": 9},
    {"multi_label": True, "thresholds": UNEVEN},
    {"multi_label": True, "label_weights": WEIGHTS, "num_labels": K, "num_thresholds": 17},
    {"label_weights": WEIGHTS},
]


@pytest.mark.parametrize("settings", FORMS, ids=str)
@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
def test_the_area_under_a_curve_is_that_of_its_points(curve, method, settings):
    settings = settings | {"curve": curve, "summation_method": method}
    check(metrics.AUC(**settings), auc, BITS, STEPS, settings, rtol=1e-7)


def test_scores_may_be_logits():
    settings = {"from_logits": True, "num_thresholds": 50}
    check(metrics.AUC(**settings), auc, BITS, LOGITS, settings, rtol=1e-7)
    metric = metrics.AUC(from_logits=True)
    assert metric([1, 0, 1], Tensor(np.array([1e4, -1e4, 3.0], np.float32))) == 1.0


def test_scores_beyond_0_and_1_count_as_these():
    y, p = [1, 0, 1, 0], [1.5, 1.0, 0.5, -2.0]
    for settings in ({}, {"num_thresholds": 3}, {"thresholds": UNEVEN}):
        wanted = metrics.AUC(**settings)(y, np.clip(p, 0, 1))
        assert metrics.AUC(**settings)(y, p) == wanted
    assert metrics.TruePositives([0.0, 0.5, 1.0])(y, p).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "limits, wanted",
    [
        ([0.0, 1.0], False),
        ([0.0, 0.5, 1.0], True),
        ([5e-8, 0.5, 1.0], True),
        ([0.0, 0.501, 1.0], False),
        ([0.0, 0.5], False),
        ([0.0, 0.25, 0.5, 0.75, 1.0], True),
    ],
)
def test_three_thresholds_or_more_can_be_evenly_spaced(limits, wanted):
    assert is_even(np.array(limits, np.float32)) is wanted


@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1]])
def test_one_kind_of_label_is_enough_for_a_curve(curve, y):
    y, p = np.array(y)[:, None], np.array([0.25, 0.5, 1.0])[:, None]
    wanted = auc(y, p, None, curve=curve)
    assert metrics.AUC(curve=curve)(y, p) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("settings", [{}, {"multi_label": True, "label_weights": [1.0, 2.0]}])
def test_the_area_before_the_first_batch_is_0(settings):
    assert metrics.AUC(**settings).result() == 0.0


def test_labels_that_all_weigh_nothing_have_no_area():
    metric = metrics.AUC(multi_label=True, label_weights=[0.0, 0.0])
    assert metric([[0, 1], [1, 0]], [[0.2, 0.8], [0.6, 0.1]]) == 0.0


# points of curves

POINTS = {  # metric: what is wanted, what must be good enough, and what is reported
    "SensitivityAtSpecificity": ("specificity", ("tn", "fp"), ("tp", "fn")),
    "SpecificityAtSensitivity": ("sensitivity", ("tp", "fn"), ("tn", "fp")),
    "PrecisionAtRecall": ("recall", ("tp", "fn"), ("tp", "fp")),
    "RecallAtPrecision": ("precision", ("tp", "fp"), ("tp", "fn")),
}


@pytest.mark.parametrize("wanted", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_thresholds": 1},
        {"num_thresholds": 2},
        {"num_thresholds": 3},
        {"num_thresholds": 17, "class_id": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", POINTS)
def test_a_point_of_a_curve_is_the_best_of_all_thresholds(name, settings, wanted):
    argument, enough, value = POINTS[name]

    def best(y, p, weights, num_thresholds=200, class_id=None):
        y, p = chosen(y, p, None, class_id)
        limits = [0.5] if num_thresholds == 1 else [0, *inner(num_thresholds), 1]
        found = [0.0]
        for limit in limits:
            count = dict(zip(("tp", "fp", "tn", "fn"), counts(y, p, weights, limit), strict=True))
            if share(*(count[key] for key in enough)) >= wanted:
                found.append(share(*(count[key] for key in value)))
        return max(found)

    metric = getattr(metrics, name)(**{argument: wanted}, **settings)
    check(metric, best, BITS, STEPS, settings, rtol=1e-12)


# settings

LOSS = {"from_logits": True, "label_smoothing": 0.25}
MATRIX = {"num_classes": 4, "ignore_class": 2, "sparse_y_pred": True, "axis": 1}
COUNT = {"thresholds": [0.25, 0.5]}
POINT = {"num_thresholds": 7, "class_id": 1}
AREA = {"curve": "PR", "summation_method": "minoring", "multi_label": True, "num_labels": 2}
SETTINGS = [
    *((name, {}) for name in ("Mean", "Sum", "Accuracy", "CategoricalAccuracy")),
    *((name, {}) for name in ("SparseCategoricalAccuracy", "MeanSquaredError", "Hinge")),
    *((name, {}) for name in ("MeanAbsoluteError", "RootMeanSquaredError", "LogCoshError")),
    *((name, {}) for name in ("KLDivergence", "Poisson", "SquaredHinge", "CategoricalHinge")),
    *((name, {}) for name in ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError")),
    ("BinaryAccuracy", {"threshold": -0.5}),
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("SparseTopKCategoricalAccuracy", {"k": 3}),
    ("CosineSimilarity", {"axis": 1}),
    ("BinaryCrossentropy", LOSS),
    ("CategoricalCrossentropy", LOSS | {"axis": 1}),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2, "axis": 1}),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ("F1Score", {"average": "micro", "threshold": 0.25}),
    ("FBetaScore", {"average": "macro", "threshold": 0.25, "beta": 2.0}),
    ("ConfusionMatrix", {"num_classes": 4}),
    ("PerClassAccuracy", {"num_classes": 4}),
    ("IoU", MATRIX | {"target_class_ids": [0, 3], "sparse_y_true": False}),
    ("MeanIoU", MATRIX | {"sparse_y_true": False}),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.25}),
    ("OneHotIoU", MATRIX | {"target_class_ids": [0, 3]}),
    ("OneHotMeanIoU", MATRIX),
    ("Precision", COUNT | {"top_k": 2, "class_id": 1}),
    ("Recall", COUNT | {"top_k": 2, "class_id": 1}),
    *((name, COUNT) for name in list(VALUES)[2:]),
    *((name, POINT | {argument: 0.75}) for name, (argument, *_) in POINTS.items()),
    ("AUC", AREA | {"num_thresholds": 9, "label_weights": [1.0, 2.0], "from_logits": True}),
]


def own_settings(metric):
    return getattr(metric, "settings", {}) or vars(metric)


@pytest.mark.parametrize("name, settings", SETTINGS)
def test_a_config_holds_every_setting(name, settings):
    cls = getattr(metrics, name)
    metric = cls(name="mine", **settings)
    assert metric.get_config() == settings | {"name": "mine"}
    for again in (copied(metric), metrics.get(metrics.serialize(metric))):
        assert type(again) is cls and again.get_config() == settings | {"name": "mine"}
        assert {key: own_settings(again)[key] for key in settings} == settings


def test_thresholds_of_ones_own_are_sorted_counted_and_saved():
    metric = metrics.AUC(thresholds=[0.75, 0.25, 0.5])
    config = metric.get_config()
    assert config["thresholds"] == [0.25, 0.5, 0.75] and config["num_thresholds"] == 5
    assert metrics.AUC.from_config(config).get_config() == config
    assert metrics.AUC().thresholds is None and "thresholds" not in metrics.AUC().get_config()


@pytest.mark.parametrize("name, settings", SETTINGS)
def test_a_metric_is_called_like_its_class(name, settings):
    words = {
        **{"KLDivergence": "kl_divergence", "LogCoshError": "logcosh", "AUC": "auc"},
        **{"R2Score": "r2_score", "FBetaScore": "fbeta_score", "F1Score": "f1_score"},
        **{"IoU": "io_u", "MeanIoU": "mean_io_u", "BinaryIoU": "binary_io_u"},
        **{"OneHotIoU": "one_hot_io_u", "OneHotMeanIoU": "one_hot_mean_io_u"},
        **{"TopKCategoricalAccuracy": "top_k_categorical_accuracy"},
        **{"SparseTopKCategoricalAccuracy": "sparse_top_k_categorical_accuracy"},
    }
    wanted = words.get(name, "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:])
    assert getattr(metrics, name)(**settings).name == wanted


@pytest.mark.parametrize(
    "name, wanted", [("LogCoshError", "logcosh"), ("R2Score", "r2_score"), ("F1Score", "f1_score")]
)
def test_no_name_is_the_name_of_the_class(name, wanted):
    assert getattr(metrics, name)(name=None).name == wanted


# mistakes


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: metrics.Precision(1.5), "Precision: thresholds must be from 0 to 1, but is 1.5"),
        (lambda: metrics.Recall([0.5, -0.1]), "Recall: thresholds must be from 0 to 1"),
        (lambda: metrics.Recall()([[1, 0]], [[0.5, 0.5, 0.1]]), r"\(1, 2\).*\(1, 3\)"),
        (lambda: metrics.Recall(class_id=2)([[1, 0]], [[0.5, 0.5]]), "no class 2 in outputs of"),
        (lambda: metrics.Recall(class_id=-1)([[1, 0]], [[0.5, 0.5]]), "no class -1 in outputs of"),
        (lambda: metrics.Recall(class_id=0)([1, 0], [0.5, 0.5]), "no class 0 in outputs of"),
        (lambda: metrics.Recall()([1, 0], [0.5, 0.5], [1.0] * 3), r"recall: sample_weight has"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds must be at least 2, but is 1"),
        (lambda: metrics.AUC(curve="ROK"), "unknown curve 'rok'. Did you mean 'roc'"),
        (lambda: metrics.AUC(summation_method="mean"), "unknown summation_method 'mean'"),
        (lambda: metrics.AUC(num_labels=3), "num_labels is only for multi_label=True"),
        (lambda: metrics.AUC(thresholds=[0.5, 1.5]), "AUC: thresholds must be from 0 to 1"),
        (lambda: metrics.AUC(multi_label=True)([0, 1], [0.1, 0.9]), r"\(N, labels\), but got \(2"),
        (lambda: metrics.PrecisionAtRecall(2.0), "recall must be from 0 to 1"),
        (lambda: metrics.PrecisionAtRecall(0.5, 0), "num_thresholds must be at least 1, but is 0"),
    ],
)
def test_mistakes_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_thresholds_may_be_0_and_1_and_their_names_in_any_case():
    assert metrics.AUC(thresholds=[0.0, 1.0]).num_thresholds == 4
    assert metrics.AUC(curve="pr", summation_method="Minoring").curve == "PR"
    assert metrics.AUC(num_thresholds=1, thresholds=[0.5]).num_thresholds == 3
