"""Losses, metrics, optimizers, activations and initializers give the numbers that Keras gives."""

import copy
import os
import warnings

import numpy as np
import pytest

from minicnn import activations, initializers, losses, metrics, optimizers, regularizers
from minicnn.autograd import Tensor
from minicnn.variable import Variable

pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras", reason="Keras is not installed")

if keras.backend.backend() != "torch":
    pytest.skip(f"Keras runs on {keras.backend.backend()}, not torch", allow_module_level=True)

# torch's tensors do not know NumPy 2's `copy` yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(8, 5)).astype(np.float32)
PROBABILITIES = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)).astype(np.float32)
CLASSES = RNG.integers(5, size=8)
ONE_HOT = np.eye(5, dtype=np.float32)[CLASSES]
BITS = RNG.integers(2, size=(8, 5)).astype(np.float32)
VALUES = RNG.normal(size=(8, 5)).astype(np.float32)
WEIGHTS = RNG.random(8).astype(np.float32)


def of_keras(tensor):
    return keras.ops.convert_to_numpy(tensor)


LOSS_CASES = [
    ("MeanSquaredError", {}, VALUES, LOGITS),
    ("MeanAbsoluteError", {}, VALUES, LOGITS),
    ("SparseCategoricalCrossentropy", {}, CLASSES, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT, PROBABILITIES),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT, LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT, PROBABILITIES * 0.7),
    ("BinaryCrossentropy", {}, BITS, PROBABILITIES),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BITS, PROBABILITIES),
    ("BinaryCrossentropy", {"from_logits": True}, BITS, LOGITS),
]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("name, settings, y_true, y_pred", LOSS_CASES)
def test_losses(name, settings, y_true, y_pred, reduction, weights):
    ours = getattr(losses, name)(reduction=reduction, **settings)
    theirs = getattr(keras.losses, name)(reduction=reduction, **settings)
    np.testing.assert_allclose(
        ours(y_true, Tensor(y_pred), weights).numpy(),
        of_keras(theirs(y_true, y_pred, weights)),
        rtol=1e-5,
        atol=1e-6,
    )
    assert ours.name == theirs.name
    assert ours.get_config().items() <= theirs.get_config().items()


METRIC_CASES = [
    ("Accuracy", {}, CLASSES, np.arange(8) % 5),
    ("BinaryAccuracy", {}, BITS, PROBABILITIES),
    ("BinaryAccuracy", {"threshold": 0.2}, BITS, PROBABILITIES),
    ("CategoricalAccuracy", {}, ONE_HOT, PROBABILITIES),
    ("SparseCategoricalAccuracy", {}, CLASSES, PROBABILITIES),
    ("SparseCategoricalAccuracy", {}, CLASSES[:, None], PROBABILITIES),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, PROBABILITIES),
    ("TopKCategoricalAccuracy", {"k": 3}, ONE_HOT, PROBABILITIES.round(1)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, CLASSES, PROBABILITIES),
    ("MeanSquaredError", {}, VALUES, LOGITS),
    ("MeanAbsoluteError", {}, VALUES, LOGITS),
    ("RootMeanSquaredError", {}, VALUES, LOGITS),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name, settings, y_true, y_pred", METRIC_CASES)
def test_metrics(name, settings, y_true, y_pred, weighted):
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    for rows in (slice(0, 5), slice(5, 8)):
        weights = WEIGHTS[rows] if weighted else None
        ours.update_state(y_true[rows], y_pred[rows], weights)
        theirs.update_state(y_true[rows], y_pred[rows], weights)
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-5)
    assert ours.name == theirs.name


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_metrics_of_values(name):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for metric in (ours, theirs):
        metric.update_state(VALUES)
        metric.update_state(VALUES[:3], WEIGHTS[:3])
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-5)


OPTIMIZER_CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"clipnorm": 1.0}),
    ("SGD", {"clipvalue": 0.5}),
    ("SGD", {"global_clipnorm": 1.0}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.5, "global_clipnorm": 0.5}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("RMSprop", {"rho": 0.7, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("name, settings", OPTIMIZER_CASES)
def test_optimizers_over_several_steps(name, settings):
    ours = getattr(optimizers, name)(learning_rate=0.02, **settings)
    theirs = getattr(keras.optimizers, name)(learning_rate=0.02, **settings)
    rng = np.random.default_rng(1)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4,), (4, 2))]
    ws = [Variable(w.copy()) for w in starts]
    keras_ws = [keras.Variable(w) for w in starts]
    for _ in range(6):
        gs = [rng.normal(size=w.shape).astype(np.float32) for w in ws]
        ours.apply(gs, ws)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gs], keras_ws)
    for w, keras_w in zip(ws, keras_ws, strict=True):
        np.testing.assert_allclose(w.numpy(), of_keras(keras_w.value), rtol=1e-4, atol=1e-6)
    state, keras_state = ours.variables, [of_keras(v.value) for v in theirs.variables]
    assert [x.shape for x in state] == [x.shape for x in keras_state]
    for mine, right in zip(state, keras_state, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-7)
    config, keras_config = ours.get_config(), theirs.get_config()
    assert config.keys() <= keras_config.keys()
    for setting in config.keys() - {"name", "learning_rate"}:  # Keras counts and rounds these
        assert config[setting] == keras_config[setting], setting


def test_weight_decay_spares_the_same_variables():
    results = []
    for package, make in ((optimizers, Variable), (keras.optimizers, keras.Variable)):
        ws = [make(np.ones(2, np.float32), name=name) for name in ("kernel", "bias")]
        optimizer = package.AdamW(0.1, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        zeros = [np.zeros(2, np.float32)] * 2
        if package is keras.optimizers:
            zeros = [keras.ops.convert_to_tensor(g) for g in zeros]
        optimizer.apply(zeros, ws)
        results.append([of_keras(w) if package is keras.optimizers else w.numpy() for w in ws])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activations(name):
    x = np.linspace(-7, 7, 60, dtype=np.float32).reshape(4, 15)
    theirs = of_keras(keras.activations.get(name)(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(
        activations.get(name)(Tensor(x)).numpy(), theirs, rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"negative_slope": 0.3},
        {"max_value": 2.0},
        {"threshold": 1.0},
        {"negative_slope": 0.3, "max_value": 2.0, "threshold": 1.0},
    ],
)
def test_relu_with_settings(settings):
    x = np.linspace(-3, 3, 25, dtype=np.float32)
    theirs = of_keras(keras.activations.relu(keras.ops.convert_to_tensor(x), **settings))
    ours = activations.relu(Tensor(x), **settings).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["l1", "l2", "L1L2"])
def test_regularizers(name):
    theirs = keras.regularizers.get(name)(keras.ops.convert_to_tensor(VALUES))
    ours = regularizers.get(name)(Tensor(VALUES))
    assert ours.item() == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "random_normal",
        "random_uniform",
        "truncated_normal",
        "orthogonal",
    ],
)
def test_initializers_have_the_same_distribution(name):
    keras.utils.set_random_seed(0)
    shape, marks = (3, 3, 80, 100), [0.5, 0.9, 0.99]  # 3 % are four standard errors or more
    ours = np.abs(initializers.get(name)(shape))
    theirs = np.abs(of_keras(keras.initializers.get(name)(shape)))
    np.testing.assert_allclose(np.quantile(ours, marks), np.quantile(theirs, marks), rtol=0.03)


@pytest.mark.parametrize(
    "saved",
    [
        lambda: optimizers.serialize(optimizers.AdamW(0.5)),
        lambda: losses.serialize(losses.CategoricalCrossentropy(label_smoothing=0.5)),
        lambda: metrics.serialize(metrics.TopKCategoricalAccuracy(k=3)),
        lambda: initializers.serialize(initializers.HeNormal(seed=3)),
        lambda: regularizers.serialize(regularizers.L1L2(0.25, 0.5)),
    ],
)
def test_keras_reads_what_is_saved(saved):
    saved = saved()
    family = getattr(keras, saved["module"].removeprefix("keras."))
    thing = family.deserialize(copy.deepcopy(saved))  # Keras changes what it is given
    assert type(thing).__name__ == saved["class_name"]
    assert saved["config"].items() <= thing.get_config().items()
