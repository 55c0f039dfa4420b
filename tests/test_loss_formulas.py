"""Every loss beside its formula, written out in NumPy: values, gradients, weights and settings."""

import numpy as np
import pytest
from loss_formulas import FORMULAS, sigmoid, softmax

from minicnn import losses, ops
from minicnn.autograd import Tensor, grad

CASES = [  # loss, settings, kind of data
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "counts"),
    ("MeanSquaredLogarithmicError", {}, "numbers"),
    ("Huber", {}, "numbers"),
    ("Huber", {"delta": 0.4}, "numbers"),
    ("Huber", {"delta": 2.5}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {"axis": 0}, "numbers"),
    ("KLDivergence", {}, "shares"),
    ("Poisson", {}, "counts"),
    ("Hinge", {}, "bits and numbers"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "numbers"),
    ("SquaredHinge", {}, "bits and numbers"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "numbers"),
    ("CategoricalHinge", {}, "one-hot and numbers"),
    ("BinaryCrossentropy", {}, "bits and shares"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 0}, "bits and shares"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "from_logits": True}, "bits and numbers"),
    ("CategoricalCrossentropy", {}, "one-hot and shares"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2, "axis": 0}, "first and shares"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot and numbers"),
    ("SparseCategoricalCrossentropy", {}, "classes and shares"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "classes and numbers"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "classes and shares"),
    ("SparseCategoricalCrossentropy", {"axis": 0}, "classes of the first axis"),
    ("CategoricalFocalCrossentropy", {}, "one-hot and shares"),
    ("CategoricalFocalCrossentropy", {"alpha": 0.6, "gamma": 0.0}, "one-hot and shares"),
    (
        "CategoricalFocalCrossentropy",
        {"gamma": 1.5, "label_smoothing": 0.2, "axis": 0, "from_logits": True},
        "first and numbers",
    ),
    ("BinaryFocalCrossentropy", {}, "bits and shares"),
    ("BinaryFocalCrossentropy", {"alpha": 0.4, "gamma": 1.5, "axis": 0}, "bits and shares"),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.4, "label_smoothing": 0.2},
        "bits and shares",
    ),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "from_logits": True},
        "bits and numbers",
    ),
]
ids = [f"{name}-{'-'.join(map(str, settings))}-{kind}" for name, settings, kind in CASES]
each_case = pytest.mark.parametrize("name, settings, kind", CASES, ids=ids)


def data(kind, shape):
    """Labels and outputs."""
    rng = np.random.default_rng(len(shape))
    numbers, more = rng.normal(size=(2, *shape)) * 2
    classes = rng.integers(shape[-1], size=shape[:-1])
    labels = {
        "numbers": numbers,
        "counts": np.abs(numbers),
        "shares": softmax(numbers),
        "signs": np.sign(numbers),
        "bits": (numbers > 0).astype(float),
        "one-hot": np.eye(shape[-1])[classes],
        "first": np.moveaxis(np.eye(shape[0])[rng.integers(shape[0], size=shape[1:])], -1, 0),
        "classes": classes,
        "classes of the first axis": rng.integers(shape[0], size=shape[1:]),
    }
    outputs = {"counts": np.abs(more) + 0.1, "shares": sigmoid(more), "signs": more}
    outputs["classes of the first axis"] = sigmoid(more)
    first, _, second = kind.partition(" and ")
    return labels[first], outputs.get(second or first, more)


def shapes(kind):
    return (
        ((4, 3), (2, 3, 4)) if "class" in kind or "one-hot" in kind else ((5,), (4, 3), (2, 3, 4))
    )


@each_case
def test_a_loss_is_its_formula(name, settings, kind):
    for shape in shapes(kind):
        y, p = data(kind, shape)
        wanted = FORMULAS[name](y, p, **settings)
        for form in ("none", "mean", "sum"):
            got = getattr(losses, name)(reduction=form, **settings)(y, Tensor(p)).numpy()
            right = {"none": wanted, "mean": wanted.mean(), "sum": wanted.sum()}[form]
            if form == "mean" and "ignore_class" in settings:
                right = wanted.sum() / (y != settings["ignore_class"]).sum()
            np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12, err_msg=f"{shape} {form}")


@each_case
def test_a_gradient_is_the_slope_of_the_formula(name, settings, kind):
    y, p = data(kind, (2, 3, 4))
    weights = np.random.default_rng(0).random(FORMULAS[name](y, p, **settings).shape)
    slopes = np.empty(p.shape)
    for place in np.ndindex(p.shape):
        step = np.zeros(p.shape)
        step[place] = 1e-6
        above, below = (FORMULAS[name](y, p + sign * step, **settings) for sign in (1, -1))
        slopes[place] = (weights * (above - below)).sum() / 2e-6
    outputs = Tensor(p, requires_grad=True)
    loss = getattr(losses, name)(reduction="sum", **settings)(y, outputs, weights)
    np.testing.assert_allclose(grad(loss, [outputs])[0].numpy(), slopes, rtol=1e-5, atol=1e-7)


BORDERS = np.array([[0.0, 1.0, 1.0, 0.0]])  # labels, beside outputs that are certain and wrong
CERTAIN = np.array([[0.0, 0.0, 1.0, 1.0]])
SMALL = np.array([[1e-5, 0.0], [0.0, 1e-9], [3.0, 4.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    "name, settings, y, p",
    [
        ("MeanAbsolutePercentageError", {}, [[0.0, 1e-9, -4.0]], [[1.0, 2.0, 3.0]]),
        ("MeanSquaredLogarithmicError", {}, [[-3.0, 0.0, 1e6]], [[2.0, -5.0, 0.0]]),
        ("Huber", {"delta": 0.5}, [[0.0, 0.0, 0.0]], [[1e8, -0.5, 0.0]]),
        ("LogCosh", {}, [[0.0, 0.0, 1.0]], [[1e5, -1e5, 1.0]]),
        ("CosineSimilarity", {}, SMALL, SMALL[::-1]),
        ("CosineSimilarity", {}, SMALL, SMALL),
        ("KLDivergence", {}, [[0.0, 1.0, 1.4, 0.5]], [[1.0, 0.0, 0.7, 1.3]]),
        ("Poisson", {}, [[3.0, 0.0, 2.0]], [[0.0, 0.0, 1e6]]),
        ("Hinge", {}, [[1.0, -1.0, 0.0]], [[1.0, -1e6, 1e6]]),
        ("BinaryCrossentropy", {}, BORDERS, CERTAIN),
        ("BinaryFocalCrossentropy", {}, BORDERS, CERTAIN),
        ("BinaryFocalCrossentropy", {"gamma": 0.0}, BORDERS, CERTAIN),
        ("CategoricalCrossentropy", {}, [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0]] * 2),
        ("CategoricalFocalCrossentropy", {}, [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0]] * 2),
        ("CategoricalFocalCrossentropy", {"gamma": 0.0}, [[1.0, 0.0]], [[1.0, 0.0]]),
    ],
)
def test_a_loss_is_its_formula_at_the_borders(name, settings, y, p):
    y, p = np.array(y), np.array(p)
    loss = getattr(losses, name)(reduction="none", **settings)
    got = loss(y, Tensor(p)).numpy()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, FORMULAS[name](y, p, **settings), rtol=1e-9, atol=1e-12)


def test_huber_is_a_parabola_up_to_delta_itself():
    d = Tensor(np.array([[0.5]]), requires_grad=True)
    (slope,) = grad(losses.huber([[0.0]], d, 0.5).sum(), [d], create_graph=True)
    assert grad(slope.sum(), [d])[0].item() == 1.0


# weights and reductions

ROWS = np.array([1.0, 4.0, 9.0, 25.0])  # squares of what is missed, row by row
WEIGHTS = np.array([2.0, 0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    "reduction, plain, weighted",
    [
        ("none", ROWS, ROWS * WEIGHTS),
        ("sum", 39.0, 31.5),
        ("mean", 9.75, 31.5 / 4),
        ("sum_over_batch_size", 9.75, 31.5 / 4),
        ("mean_with_sample_weight", 9.75, 31.5 / 3.5),
    ],
)
def test_reductions_with_and_without_weights(reduction, plain, weighted):
    loss = losses.MeanSquaredError(reduction=reduction)
    outputs = Tensor(np.sqrt(ROWS)[:, None])
    np.testing.assert_allclose(loss(np.zeros((4, 1)), outputs).numpy(), plain, rtol=1e-14)
    got = loss(np.zeros((4, 1)), outputs, WEIGHTS)
    np.testing.assert_allclose(got.numpy(), weighted, rtol=1e-14)


def test_a_mean_of_weights_counts_a_weight_once_for_each_of_its_places():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    outputs = Tensor(np.array([[[1.0], [2.0]], [[3.0], [4.0]]]))
    got = loss(np.zeros((2, 2, 1)), outputs, [1.0, 3.0]).item()
    assert got == pytest.approx((1 + 4 + 3 * 9 + 3 * 16) / 8, rel=1e-14)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0]])
def test_a_mean_of_weights_whose_sum_is_0_is_0_and_has_a_gradient(weights):
    outputs = Tensor(np.array([[3.0], [4.0]]), requires_grad=True)
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    loss = loss(np.zeros((2, 1)), outputs, weights)
    assert loss.item() == 0.0
    np.testing.assert_array_equal(grad(loss, [outputs])[0].numpy(), np.zeros((2, 1)))


def test_large_weights_of_few_bits_are_added_up_without_overflow():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    weights = np.full(4, 30_000, np.float16)  # together they are beyond float16
    assert loss(np.zeros((4, 1)), Tensor(np.full((4, 1), 2.0)), weights).item() == 4.0


LABELS = np.array([0, 2, 1, 2])
LOGITS = np.random.default_rng(0).normal(size=(4, 3))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignored", [2, 1, 7])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "mean_with_sample_weight"])
def test_what_is_ignored_counts_in_no_mean(reduction, ignored, weights):
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=ignored, reduction=reduction)
    known = (LABELS != ignored).astype(float)
    factors = known if weights is None else known * weights
    each = factors * -np.log(softmax(LOGITS))[range(4), LABELS]
    wanted = {
        "none": each,
        "sum": each.sum(),
        "mean": each.sum() / known.sum(),
        "mean_with_sample_weight": each.sum() / factors.sum(),
    }[reduction]
    np.testing.assert_allclose(loss(LABELS, Tensor(LOGITS), weights).numpy(), wanted, rtol=1e-9)


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight"])
def test_a_batch_that_is_ignored_altogether_costs_nothing(reduction):
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=-1, reduction=reduction)
    assert loss([-1, -1], Tensor(LOGITS[:2])).item() == 0.0


def test_a_loss_of_ones_own_can_say_what_counts():
    class Known(losses.MeanSquaredError):
        def counted(self, y_true):
            return y_true[..., 0] > 0

    outputs = Tensor(np.array([[4.0], [7.0], [9.0]]))
    for reduction, wanted in (("mean", (9 + 64) / 2), ("sum", 9 + 64), ("none", [9, 0, 64])):
        got = Known(reduction=reduction)([[1.0], [0.0], [1.0]], outputs)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-14)


def test_a_function_gets_labels_first_and_may_have_another_name():
    def overshoot(y_true, y_pred):
        return ops.mean(y_pred - y_true, axis=-1)

    loss = losses.FunctionLoss(overshoot, "too_high", "sum")
    assert loss([[1.0], [1.0]], Tensor(np.array([[3.0], [5.0]]))).item() == 6.0
    assert (loss.name, loss.reduction) == ("too_high", "sum")
    assert losses.get(overshoot).name == "overshoot"


# settings


def own_settings():
    """Each class, with a setting other than the default for each of its arguments."""
    logits = {"from_logits": True, "axis": 1}
    smooth = logits | {"label_smoothing": 0.25}
    focal = smooth | {"alpha": 0.5, "gamma": 1.5}
    own = dict.fromkeys(FORMULAS, {})
    return own | {
        "Huber": {"delta": 0.5},
        "CosineSimilarity": {"axis": 1},
        "BinaryCrossentropy": smooth,
        "CategoricalCrossentropy": smooth,
        "SparseCategoricalCrossentropy": logits | {"ignore_class": 2},
        "CategoricalFocalCrossentropy": focal,
        "BinaryFocalCrossentropy": focal | {"apply_class_balancing": True},
        "Crossentropy": {},
    }


@pytest.mark.parametrize("name, settings", own_settings().items())
def test_a_config_holds_every_setting(name, settings):
    cls = getattr(losses, name)
    settings = settings | {"name": "mine", "reduction": "sum"}
    loss = cls(**settings)
    assert loss.get_config() == settings
    for again in (cls.from_config(loss.get_config()), losses.get(losses.serialize(loss))):
        assert type(again) is cls and again.get_config() == settings
        assert {key: getattr(again, key) for key in settings} == settings


@pytest.mark.parametrize("name", own_settings())
def test_a_loss_is_called_like_its_class_unless_it_has_a_name(name):
    words = {"KLDivergence": "kl_divergence", "Huber": "huber_loss"}
    wanted = words.get(name, "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:])
    for loss in (getattr(losses, name)(), getattr(losses, name)(name=None)):
        assert loss.name == wanted and loss.reduction == "sum_over_batch_size"


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: losses.Huber(delta=-1.0), "Huber: delta must be finite and at least 0"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=-1), "Focal.*: alpha must be finite"),
        (lambda: losses.CategoricalFocalCrossentropy(gamma=-1), "Focal.*: gamma must be finite"),
        (lambda: losses.BinaryFocalCrossentropy(alpha=-1), "BinaryFocal.*: alpha must be finite"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "BinaryFocal.*: gamma must be finite"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.1), "must be from 0 to 1"),
    ],
)
def test_settings_out_of_their_range_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
