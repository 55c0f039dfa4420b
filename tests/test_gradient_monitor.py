"""GradientMonitor: its numbers, by hand; and that watching changes nothing."""

from itertools import pairwise

import numpy as np
import pytest

from minicnn import Input, Sequential, callbacks, layers, utils
from minicnn.callbacks import GradientMonitor

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(8, 1)).astype(np.float32)


def network(optimizer="sgd"):
    utils.set_random_seed(0)
    model = Sequential(
        [
            Input((3,)),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(1, name="end"),
        ],
        name="net",
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, *callbacks, **settings):
    settings = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False, **settings}
    return model.fit(X, Y, callbacks=list(callbacks), **settings)


def norm(arrays):
    return np.sqrt(sum((a.astype(float) ** 2).sum() for a in arrays))


def test_the_numbers_are_those_of_the_steps():
    model, monitor = network(), GradientMonitor(every=1)
    weights = []

    class Note(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            weights.append(self.model.get_weights())

    history = fit(model, monitor, Note(), epochs=1).history
    weights.append(model.get_weights())
    changes = [[b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(weights)]
    moved = np.mean([norm(change) for change in changes])
    sizes = np.mean([norm(before) for before in weights[:2]])
    assert np.isclose(history["update_ratio"][0], moved / sizes, rtol=1e-4)
    assert np.isclose(history["gradient_norm"][0], moved / 0.01, rtol=1e-4)  # SGD: 0.01 * gradient
    kernel = monitor.history["net/end/kernel"]
    assert np.isclose(kernel["gradient_norm"][0], np.mean([norm([c[2]]) for c in changes]) / 0.01)
    assert set(monitor.history) == {*(w.path for w in model.weights), "hidden"}


def test_the_scale_of_the_loss_is_taken_out():
    from minicnn.optimizers import SGD

    plain = fit(network(SGD()), GradientMonitor()).history["gradient_norm"]
    scaled = fit(network(SGD(loss_scale_factor=64.0)), GradientMonitor()).history["gradient_norm"]
    assert np.allclose(plain, scaled, rtol=1e-5)


def test_dead_units_are_those_that_never_answer():
    model, monitor = network(), GradientMonitor()
    bias = np.array([-1e3, 1e3, 1e3, 1e3], np.float32)
    model.get_layer("hidden").bias.assign(bias)
    model.get_layer("hidden").trainable = False
    history = fit(model, monitor).history
    assert history["dead_units"] == [0.25, 0.25]
    assert monitor.history["hidden"]["dead_units"] == [0.25, 0.25]


def test_watching_changes_nothing_and_leaves_nothing():
    watched, plain = network("adam"), network("adam")
    fit(watched, GradientMonitor(every=2))
    fit(plain)
    assert all(map(np.array_equal, watched.get_weights(), plain.get_weights()))
    assert "apply" not in vars(watched.optimizer)
    assert watched.get_layer("hidden").hooks is None


def test_steps_in_between_are_not_measured():
    model, monitor = network(), GradientMonitor(every=2)
    one_step = fit(model, monitor, epochs=1).history["gradient_norm"]
    first = fit(network(), GradientMonitor(every=1), epochs=1, steps_per_epoch=1)
    assert one_step == first.history["gradient_norm"]


def test_it_draws_a_picture(tmp_path):
    monitor = GradientMonitor()
    with pytest.raises(ValueError, match="nothing to plot: no epoch was completed"):
        monitor.plot()
    fit(network(), monitor)
    picture = monitor.plot(tmp_path / "monitor.png")
    assert (tmp_path / "monitor.png").read_bytes().startswith(b"\x89PNG")
    lines = [line.get_ydata().tolist() for line in picture.figure.axes[1].lines]
    assert monitor.history["net/end/kernel"]["update_ratio"] in lines


def test_every_must_be_above_0():
    with pytest.raises(ValueError, match="GradientMonitor: every must be an integer of at least 1"):
        GradientMonitor(every=0)
