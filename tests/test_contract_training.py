"""Optimizers, schedules, losses, metrics and callbacks, each with its arguments, beside Keras."""

import copy
import inspect
import os
import re
import warnings

import contract_training as contract
import numpy as np
import pytest

import minicnn
from minicnn import losses, metrics, optimizers
from minicnn.autograd import Tensor, grad
from minicnn.optimizers import schedules
from minicnn.variable import Variable

torch = pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras", reason="Keras is not installed")

if keras.backend.backend() != "torch":
    pytest.skip(f"Keras runs on {keras.backend.backend()}, not torch", allow_module_level=True)

# torch's tensors do not know NumPy 2's `copy` yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

RNG = np.random.default_rng(0)
STEPS = 20
SHAPES = {"kernel": (3, 4), "bias": (4,), "filters": (2, 2, 4, 3), "tall": (5, 2)}
RATES = {"Adadelta": 0.5, "Ftrl": 0.1}  # others: 0.02; these would hardly move


def of_keras(tensor):
    return keras.ops.convert_to_numpy(tensor)


def lines(table, common=()):
    """All lines of a table, as parameters of a test: name and settings."""
    return [
        pytest.param(name, settings, id=f"{name}-{'-'.join(map(str, settings))}")
        for name, own in table.items()
        for settings in [*common, *own]
    ]


def agree_after_steps(ours, theirs):
    """Do the same steps with both, and compare weights and state after each of them."""
    rng = np.random.default_rng(1)
    starts = {n: rng.normal(size=shape).astype(np.float32) for n, shape in SHAPES.items()}
    ws = [Variable(w.copy(), name=name) for name, w in starts.items()]
    keras_ws = [keras.Variable(w, name=name) for name, w in starts.items()]
    for _ in range(STEPS):
        gs = [rng.normal(size=w.shape).astype(np.float32) for w in ws]
        ours.apply(gs, ws)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gs], keras_ws)
        for w, keras_w in zip(ws, keras_ws, strict=True):
            np.testing.assert_allclose(w.numpy(), of_keras(keras_w.value), rtol=2e-4, atol=2e-5)
    state, keras_state = ours.variables, [of_keras(v.value) for v in theirs.variables]
    assert [x.shape for x in state] == [x.shape for x in keras_state]
    for mine, right in zip(state, keras_state, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-5)
    assert ours.iterations == int(theirs.iterations)


@pytest.mark.parametrize("name, settings", lines(contract.OPTIMIZERS, contract.COMMON))
def test_optimizers_do_the_same_twenty_steps(name, settings):
    rate = RATES.get(name, 0.02)
    ours = getattr(optimizers, name)(learning_rate=rate, **settings)
    theirs = getattr(keras.optimizers, name)(learning_rate=rate, **settings)
    agree_after_steps(ours, theirs)


@pytest.mark.parametrize("name, settings", lines(contract.OPTIMIZERS, contract.COMMON))
def test_configurations_of_optimizers_are_read_by_both(name, settings):
    ours = getattr(optimizers, name)(learning_rate=0.25, **settings)
    theirs = getattr(keras.optimizers, name)(learning_rate=0.25, **settings)
    config, keras_config = ours.get_config(), theirs.get_config()
    own_name = {"name": ours.name}  # Keras counts: sgd, sgd_1
    assert config == keras_config | own_name
    assert optimizers.get(keras.optimizers.serialize(theirs)).get_config() == keras_config
    if name != "Lamb":  # of which Keras 3.15 cannot read what it has written itself
        read = keras.optimizers.deserialize(copy.deepcopy(optimizers.serialize(ours)))
        assert read.get_config() == config


@pytest.mark.parametrize("name", contract.OPTIMIZERS)
def test_defaults_of_optimizers_are_equal(name):
    ours, theirs = getattr(optimizers, name)(), getattr(keras.optimizers, name)()
    config, keras_config = ours.get_config(), theirs.get_config()
    rate, keras_rate = config.pop("learning_rate"), keras_config.pop("learning_rate")
    assert np.float32(rate) == np.float32(keras_rate)
    assert config | {"name": ""} == keras_config | {"name": ""}


@pytest.mark.parametrize("name, settings", lines(contract.SCHEDULES))
def test_schedules_give_the_same_rates(name, settings):
    ours = getattr(schedules, name)(**settings)
    theirs = getattr(keras.optimizers.schedules, name)(**settings)
    rates = [ours(step) for step in range(60)]
    np.testing.assert_allclose(
        rates, [float(theirs(step)) for step in range(60)], rtol=2e-5, atol=1e-8
    )
    assert ours.get_config() == theirs.get_config()
    saved = keras.optimizers.schedules.serialize(theirs)
    assert schedules.get(saved).get_config() == theirs.get_config()
    assert schedules.serialize(ours) == saved


@pytest.mark.parametrize("name, settings", lines(contract.SCHEDULES))
def test_optimizers_follow_schedules(name, settings):
    ours = optimizers.SGD(getattr(schedules, name)(**settings), momentum=0.5)
    theirs = keras.optimizers.SGD(
        getattr(keras.optimizers.schedules, name)(**settings), momentum=0.5
    )
    agree_after_steps(ours, theirs)
    config = optimizers.serialize(ours)
    assert optimizers.get(config).get_config() == ours.get_config()
    read = keras.optimizers.deserialize(copy.deepcopy(config))
    assert (
        read.get_config()["learning_rate"]["config"] == ours.get_config()["learning_rate"]["config"]
    )


def softmax(x, axis=-1):
    powers = np.exp(x)
    return powers / powers.sum(axis=axis, keepdims=True)


def pairs_of_data():
    """Labels and outputs of each kind that the tables name."""
    x = RNG.normal(size=(8, 5)).astype(np.float32)
    maps = RNG.normal(size=(4, 3, 3, 5)).astype(np.float32)
    classes, bits = RNG.integers(5, size=8), RNG.integers(2, size=(8, 5)).astype(np.float32)
    hot = np.eye(5, dtype=np.float32)[classes]
    places = RNG.integers(5, size=(4, 3, 3))
    first = np.moveaxis(np.eye(5, dtype=np.float32)[places], -1, 1)
    places = np.where(RNG.random(places.shape) < 0.3, 255, places)
    numbers = RNG.normal(size=(8, 5)).astype(np.float32)
    return {
        "numbers": (numbers, x),
        "positive": (np.abs(numbers), np.abs(x) + 0.1),
        "maps": (RNG.normal(size=maps.shape).astype(np.float32), maps),
        "distributions": (softmax(numbers), softmax(x)),
        "bits": (bits, softmax(x)),
        "bit logits": (bits, x),
        "bit maps": ((maps > 0.3).astype(np.float32), softmax(maps)),
        "signs": (2 * bits - 1, x),
        "one-hot": (hot, softmax(x)),
        "one-hot logits": (hot, x),
        "channels first": (first, np.ascontiguousarray(np.moveaxis(maps, -1, 1))),
        "classes": (classes, softmax(x)),
        "class logits": (classes, x),
        "class maps": (places, maps),
        "equal": (classes, np.where(classes > 2, 0, classes)),
        "answers": (classes, np.where(RNG.random(8) < 0.5, classes, RNG.integers(5, size=8))),
        "values": (numbers,),
    }


PAIRS = pairs_of_data()


def lines_with_data(table):
    return [
        pytest.param(name, data, settings, id=f"{name}-{data}-{'-'.join(map(str, settings))}")
        for name, own in table.items()
        for data, settings in own
    ]


@pytest.mark.filterwarnings("ignore:The tensor.*mask")
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name, data, settings", lines_with_data(contract.LOSSES))
def test_losses_and_their_gradients_are_equal(name, data, settings, weighted):
    y_true, y_pred = PAIRS[data]
    for reduction in contract.REDUCTIONS:
        ours = getattr(losses, name)(reduction=reduction, **settings)
        theirs = getattr(keras.losses, name)(reduction=reduction, **settings)
        places = getattr(losses, name)(reduction=None, **settings)(y_true, Tensor(y_pred)).shape
        weights = RNG.random(places).astype(np.float32) if weighted else None
        mine, right = Tensor(y_pred, requires_grad=True), torch.tensor(y_pred, requires_grad=True)
        loss, keras_loss = ours(y_true, mine, weights), theirs(y_true, right, weights)
        np.testing.assert_allclose(
            loss.numpy(), keras_loss.detach().numpy(), rtol=2e-5, atol=2e-6, err_msg=str(reduction)
        )
        gradient = grad(loss.sum(), [mine])[0].numpy()
        keras_loss.sum().backward()
        np.testing.assert_allclose(gradient, right.grad.numpy(), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name, data, settings", lines_with_data(contract.LOSSES))
def test_configurations_of_losses_are_read_by_both(name, data, settings):
    ours = getattr(losses, name)(reduction="sum", **settings)
    theirs = getattr(keras.losses, name)(reduction="sum", **settings)
    assert ours.get_config() | theirs.get_config() == ours.get_config()
    assert (
        getattr(losses, name)().get_config().items()
        >= getattr(keras.losses, name)().get_config().items()
    )
    read = losses.get(keras.losses.serialize(theirs))
    assert type(read) is type(ours) and read.get_config() | theirs.get_config() == read.get_config()
    back = keras.losses.deserialize(copy.deepcopy(losses.serialize(ours)))
    assert type(back) is type(theirs) and back.get_config() == theirs.get_config()


def test_names_of_losses_are_those_of_keras():
    functions = [name for name in dir(keras.losses) if name in dir(losses) and name[0].islower()]
    names = [name for name in functions if name not in ("get", "serialize", "deserialize")]
    assert len(names) >= 16
    for name in [*names, "mse", "MAE", "mape", "MSLE", "bce", "kld"]:
        assert losses.get(name).name in (keras.losses.get(name).__name__, "huber_loss")
    for name in ("huber_loss", "logcosh"):
        with pytest.raises(ValueError, match="unknown loss"):
            losses.get(name)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name, data, settings", lines_with_data(contract.METRICS))
def test_metrics_are_equal_after_each_batch(name, data, settings, weighted):
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    arrays = PAIRS[data]
    for rows in (slice(0, 5), slice(5, 8), slice(2, 4)):
        weights = None
        if weighted:  # Keras cuts the weights of its IoU off to integers
            weights = RNG.integers(1, 4, len(arrays[0][rows])).astype(np.float32)
            weights = weights.astype(np.int32) if "IoU" in name else weights / 2
            if name == "BinaryIoU":
                weights = np.broadcast_to(weights[:, None], arrays[0][rows].shape)
        ours.update_state(*(array[rows] for array in arrays), weights)
        theirs.update_state(*(array[rows] for array in arrays), weights)
        mine, right = ours.result(), of_keras(theirs.result())
        np.testing.assert_allclose(mine, right, rtol=2e-5, atol=2e-6)
        assert isinstance(mine, float) == (np.ndim(right) == 0)
    for metric in (ours, theirs):
        metric.reset_state()
        metric.update_state(*arrays)
    np.testing.assert_allclose(ours.result(), of_keras(theirs.result()), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name, data, settings", lines_with_data(contract.METRICS))
def test_configurations_of_metrics_are_read_by_both(name, data, settings):
    ours = getattr(metrics, name)(name="mine", **settings)
    theirs = getattr(keras.metrics, name)(name="mine", **settings)
    config, keras_config = plain(ours.get_config()), plain(theirs.get_config())
    assert config | keras_config == config | {"dtype": keras_config["dtype"]}
    read = metrics.get(keras.metrics.serialize(theirs))
    assert (
        type(read) is type(ours)
        and plain(read.get_config()) | keras_config == config | keras_config
    )
    back = keras.metrics.deserialize(copy.deepcopy(metrics.serialize(ours)))
    assert type(back) is type(theirs) and plain(back.get_config()) == keras_config


def plain(config):
    """A configuration without tensors, and with lists for tuples."""
    if isinstance(config.get("label_weights"), torch.Tensor):
        config["label_weights"] = config["label_weights"].tolist()
    return {key: list(x) if isinstance(x, tuple) else x for key, x in config.items()}


@pytest.mark.parametrize("name", contract.METRICS)
def test_names_of_metrics_are_those_of_keras(name):
    settings = contract.METRICS[name][0][1]
    ours = getattr(metrics, name)(**settings).name
    theirs = getattr(keras.metrics, name)(**settings).name
    assert ours == theirs or theirs.rpartition("_")[0] == ours  # Keras may count: auc, auc_1


def small_model(package, optimizer):
    model = package.Sequential(
        [
            package.layers.Input((5,)),
            package.layers.Dense(6, activation="relu"),
            package.layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(2)
    # small weights: Keras on torch clips probabilities near 0 and 1, where minicnn takes logits
    start = [rng.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(start)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(package, name, settings, folder):
    """Fit a small model with a callback; return the model, its history and the files it wrote."""
    folder.mkdir()
    if name in contract.WITH_A_FILE:
        settings = settings | {
            next(iter(inspect.signature(getattr(package.callbacks, name)).parameters)): str(
                folder / contract.WITH_A_FILE[name]
            )
        }
    if name in ("EarlyStopping", "ReduceLROnPlateau", "LearningRateScheduler"):
        settings = settings | {"verbose": 1}
    callback = getattr(package.callbacks, name)(**settings)
    model = small_model(package, package.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(24, 5)).astype(np.float32), rng.integers(0, 3, 24)
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=6,
        verbose=0,
        shuffle=False,
        validation_split=0.25,
        callbacks=[callback],
    )
    files = {file.name: file for file in sorted(folder.iterdir())}
    return model, history, files


@pytest.mark.parametrize("name, settings", lines(contract.CALLBACKS))
def test_callbacks_do_the_same(name, settings, tmp_path, capsys):
    results = []
    for package in (minicnn, keras):
        capsys.readouterr()
        *found, files = trained(package, name, settings, tmp_path / package.__name__)
        results.append((*found, files, capsys.readouterr().out))
    (model, history, files, text), (keras_model, keras_history, keras_files, keras_text) = results
    assert list(history.history) == list(keras_history.history)
    assert history.epoch == keras_history.epoch
    for key, values in keras_history.history.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-4, atol=1e-6)
    for weight, keras_weight in zip(model.get_weights(), keras_model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, keras_weight, rtol=1e-4, atol=1e-5)
    # numbers in texts: Keras' learning rates are rounded to float32
    rounded = [re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.5f}", t) for t in (text, keras_text)]
    assert rounded[0] == rounded[1]
    assert list(files) == list(keras_files)
    if name == "CSVLogger":
        separator = settings.get("separator", ",")
        tables = [
            [line.split(separator) for line in file["log.csv"].read_text().splitlines()]
            for file in (files, keras_files)
        ]
        assert tables[0][0] == tables[1][0] and len(tables[0]) == len(tables[1])
        values = [np.array(table[1:], np.float64) for table in tables]
        np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", contract.CALLBACKS)
def test_callbacks_have_the_arguments_of_keras(name):
    ours, theirs = (
        inspect.signature(getattr(package.callbacks, name)).parameters
        for package in (minicnn, keras)
    )
    theirs = {key: p for key, p in theirs.items() if key not in ("kwargs", "options")}
    assert list(theirs) == [key for key in ours if key in theirs]
    for key, parameter in theirs.items():
        assert ours[key].default == parameter.default, key


METHODS = {"compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch"}


@pytest.mark.parametrize("name", sorted(METHODS | {"predict_on_batch", "summary"}))
def test_methods_of_models_have_the_arguments_of_keras(name):
    ours = inspect.signature(getattr(minicnn.Sequential, name)).parameters
    theirs = inspect.signature(getattr(keras.Sequential, name)).parameters
    theirs = {key: p for key, p in theirs.items() if key != "kwargs"}
    assert list(theirs) == [key for key in ours if key in theirs]
    for key, parameter in theirs.items():
        assert ours[key].default == parameter.default, key


NOT_HERE = {  # what Keras has, and neither the contract nor minicnn
    "optimizers": {"Adafactor", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
    | {"ScheduleFreeAdamW", "Optimizer"},
    "optimizers.schedules": {"LearningRateSchedule"},
    "losses": {"CTC", "Circle", "Dice", "Tversky", "CategoricalGeneralizedCrossEntropy", "Loss"},
    "metrics": {"ConcordanceCorrelation", "PearsonCorrelation", "MeanMetricWrapper", "Metric"},
    "callbacks": {"Callback", "CallbackList", "History", "ProgbarLogger", "RemoteMonitor"}
    | {"TensorBoard", "OrbaxCheckpoint"},
}
TABLES = {
    "optimizers": contract.OPTIMIZERS,
    "optimizers.schedules": contract.SCHEDULES,
    "losses": contract.LOSSES,
    "metrics": contract.METRICS,
    "callbacks": contract.CALLBACKS,
}


@pytest.mark.parametrize("part", TABLES)
def test_the_tables_hold_every_class_of_keras_but_the_named_ones(part):
    module = keras
    for name in part.split("."):
        module = getattr(module, name)
    public = {name for name, value in vars(module).items() if inspect.isclass(value)}
    assert public - NOT_HERE[part] == set(TABLES[part])
