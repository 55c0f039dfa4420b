"""What the comparison with Keras does not see: messages, Lookahead, plots, and metrics in fit."""

import numpy as np
import pytest

from minicnn import callbacks, layers, losses, metrics, optimizers, visualize
from minicnn.autograd import Tensor
from minicnn.models import Model, Sequential
from minicnn.optimizers import schedules
from minicnn.variable import Variable

X = np.random.default_rng(0).random((24, 4), np.float32)
Y = np.arange(24) % 3


def compiled(optimizer="sgd", own=("accuracy",), **settings):
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=list(own), **settings)
    return model


# messages

EXPONENTIAL = {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 0.5}
NAMED = {"class_name": "CosineDecy", "config": {}}


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: schedules.ExponentialDecay(**EXPONENTIAL), ValueError, "decay_steps must be abo"),
        (lambda: schedules.CosineDecay(-1.0, 5), ValueError, "CosineDecay: initial_learning_rate"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5), ValueError, "t_mul must be fin"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), ValueError, "one value more than"),
        (
            lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]),
            ValueError,
            "boundaries must rise, but are",
        ),
        (lambda: schedules.get(NAMED), ValueError, "Did you mean 'CosineDecay'"),
        (lambda: optimizers.Lion(beta_1=0), ValueError, "Lion: beta_1 must be above 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=1), ValueError, "Ftrl: learning_rate_power"),
        (lambda: optimizers.Muon(exclude_layers="dense"), TypeError, r"\['dense'\]"),
        (lambda: optimizers.Lookahead("sgd"), TypeError, r"wants an optimizer to wrap, as SGD"),
        (
            lambda: optimizers.Lookahead(optimizers.SGD(), 0),
            ValueError,
            "sync_period must be a whole number above 0",
        ),
        (lambda: optimizers.SGD().swap_averages(), ValueError, "keeps no averages.*use_ema=True"),
        (
            lambda: optimizers.SGD(lambda: 0.1).get_config(),
            ValueError,
            "a function as learning rate cannot be saved",
        ),
        (lambda: losses.Huber(delta="a"), TypeError, "Huber: delta must be a number"),
        (lambda: metrics.Precision(1.5), ValueError, "thresholds must be from 0 to 1, but is 1.5"),
        (lambda: metrics.Recall(class_id=3)([[1, 0]], [[0.5, 0.5]]), ValueError, "no class 3"),
        (lambda: metrics.AUC(num_thresholds=1), ValueError, "num_thresholds must be at least 2"),
        (lambda: metrics.AUC(curve="ROK"), ValueError, "unknown curve 'rok'. Did you mean 'roc'"),
        (lambda: metrics.AUC(summation_method="mean"), ValueError, "unknown summation_method"),
        (lambda: metrics.AUC(num_labels=3), ValueError, "only for multi_label=True"),
        (
            lambda: metrics.AUC(multi_label=True)([0, 1], [0.1, 0.9]),
            ValueError,
            r"multi_label=True wants outputs of shape \(N, labels\)",
        ),
        (lambda: metrics.PrecisionAtRecall(2.0), ValueError, "recall must be from 0 to 1"),
        (lambda: metrics.PrecisionAtRecall(0.5, 0), ValueError, "num_thresholds must be at least"),
        (lambda: metrics.F1Score("mean"), ValueError, "average must be None, 'micro'"),
        (lambda: metrics.F1Score(threshold=0), ValueError, "beta and threshold must be above 0"),
        (lambda: metrics.F1Score()([0, 1], [[0.1, 0.9]] * 2), ValueError, "utils.to_categorical"),
        (lambda: metrics.MeanIoU(0), ValueError, "num_classes must be a whole number above 0"),
        (lambda: metrics.IoU(2, [2]), ValueError, "there is no class 2 among 2"),
        (lambda: metrics.IoU(2, [0])([0, 1], [[1, 0]] * 2), ValueError, "2 labels do not fit 4"),
        (lambda: metrics.ConfusionMatrix(3)([0], [[1, 0]]), ValueError, r"outputs of shape \(N, 3"),
        (
            lambda: metrics.ConfusionMatrix(2)([[0, 1, 0]], [[1, 0]]),
            ValueError,
            "wants class numbers",
        ),
        (lambda: metrics.R2Score("mean"), ValueError, "class_aggregation must be one of"),
        (lambda: metrics.R2Score()([1.0], [1.0]), ValueError, r"one shape \(N, K\)"),
        (
            lambda: metrics.Mean().add_variable(initializer="ones"),
            ValueError,
            "a metric begins with zeros",
        ),
        (
            lambda: callbacks.LearningRateScheduler(0.1),
            TypeError,
            "must be a function of the epoch",
        ),
        (
            lambda: callbacks.ReduceLROnPlateau(factor=1),
            ValueError,
            "factor must be from 0 to below",
        ),
        (lambda: callbacks.LambdaCallback(on_epoc_end=print), ValueError, "mean 'on_epoch_end'"),
        (lambda: callbacks.LivePlot(every=0), ValueError, "every must be a whole number above 0"),
        (lambda: visualize.confusion_matrix([0], [0, 1]), ValueError, "one answer per label"),
        (
            lambda: visualize.confusion_matrix([0], [1], ["a"]),
            ValueError,
            "one for each class name",
        ),
        (lambda: visualize.filters(layers.Dense(3)), ValueError, "wants a built convolution"),
        (lambda: visualize.feature_maps(compiled(), X), ValueError, "wants one image"),
        (
            lambda: visualize.feature_maps(Sequential([layers.Flatten()]), np.zeros((2, 2, 1))),
            ValueError,
            "no layer gives maps",
        ),
        (lambda: optimizers.schedules.LearningRateSchedule()(0), NotImplementedError, "__call__"),
        (
            lambda: optimizers.schedules.LearningRateSchedule().get_config(),
            NotImplementedError,
            "defines no get_config",
        ),
    ],
)
def test_mistakes_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_learning_rate_that_follows_a_schedule_cannot_be_set():
    optimizer = optimizers.SGD(schedules.CosineDecay(0.1, 10))
    with pytest.raises(TypeError, match="follows CosineDecay and cannot be set to 0.5"):
        optimizer.learning_rate = 0.5
    optimizer.learning_rate = schedules.CosineDecay(0.2, 10)
    assert optimizer.learning_rate == 0.2 and len(optimizer.state()) == 1


def test_a_function_can_be_a_learning_rate():
    rates = iter([1.0, 0.5])
    w, optimizer = Variable(np.zeros(1)), optimizers.Lion(lambda: next(rates), beta_1=1e-9)
    optimizer.build([w])
    assert optimizer.learning_rate == 1.0


def test_a_scheduler_must_return_a_float():
    with pytest.raises(
        ValueError, match="schedule must return a float, but returned 'a' for epoch"
    ):
        plan = callbacks.LearningRateScheduler(lambda epoch: "a")
        compiled().fit(X, Y, verbose=0, callbacks=[plan])


def test_an_array_cannot_be_watched():
    stopping = callbacks.EarlyStopping("matrix", mode="max")
    with pytest.raises(ValueError, match=r"'matrix', which is not one number.*shape \(3, 3\)"):
        own = [metrics.ConfusionMatrix(3, name="matrix")]
        compiled(own=own).fit(X, Y, verbose=0, callbacks=[stopping])


def test_a_nan_loss_can_be_an_error():
    watch = callbacks.TerminateOnNaN(raise_error=True)
    with pytest.raises(RuntimeError, match="the loss is nan at batch 3. A smaller learning rate"):
        watch.on_train_batch_end(3, {"loss": float("nan")})


def test_a_nan_loss_ends_the_training(capsys):
    watch = callbacks.TerminateOnNaN()
    watch.set_model(compiled())
    watch.on_train_batch_end(0, {"loss": float("inf")})
    assert watch.model.stop_training
    assert capsys.readouterr().out == "Batch 0: Invalid loss, terminating training\n"


# optimizers


def test_lookahead_goes_half_of_the_way_every_k_steps():
    w, fast, slow = Variable(np.array([4.0])), 4.0, 4.0
    optimizer = optimizers.Lookahead(optimizers.SGD(0.1, momentum=0.5), 3, 0.25)
    v = 0.0
    for step in range(1, 10):
        g = fast
        optimizer.apply([np.array([fast])], [w])
        v = 0.5 * v - 0.1 * g
        fast += v
        if step % 3 == 0:
            slow += 0.25 * (fast - slow)
            fast = slow
        assert w.item() == pytest.approx(fast, rel=1e-12)
    config = optimizers.serialize(optimizer)
    again = optimizers.get(config)
    assert optimizers.serialize(again) == config and again.optimizer.momentum == 0.5


def test_an_average_of_weights_that_come_later_begins_with_them():
    a, b = Variable(np.array([1.0])), Variable(np.array([5.0]))
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    optimizer.apply([np.zeros(1)], [a])
    optimizer.build([a, b])
    optimizer.apply([np.zeros(1), np.array([2.0])])
    optimizer.swap_averages()
    assert (a.item(), b.item()) == (1.0, 4.0)
    optimizer.swap_averages()
    assert b.item() == 3.0
    optimizer.restart_averages()
    optimizer.finalize_variable_values([b])
    assert b.item() == 3.0


# metrics and losses in fit


def test_metrics_with_several_numbers_reach_the_history(capsys):
    own = [metrics.ConfusionMatrix(3), metrics.PerClassAccuracy(3), "accuracy"]
    history = compiled(own=own).fit(X, Y, epochs=2, verbose=2).history
    assert np.shape(history["confusion_matrix"]) == (2, 3, 3)
    assert np.sum(history["confusion_matrix"][0]) == 24
    assert np.shape(history["per_class_accuracy"]) == (2, 3)
    assert "per_class_accuracy: 0." in capsys.readouterr().out


def test_a_metric_of_ones_own_can_count_with_variables():
    class Agreement(metrics.Metric):
        def __init__(self, name="agreement", **keywords):
            super().__init__(name=name, **keywords)
            self.right = self.add_weight(name="right", initializer="zeros")
            self.all = self.add_weight(name="all")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.right.assign_add((y_pred.argmax(axis=1) == y_true).sum())
            self.all.assign_add(len(y_true))
            self.all.assign_sub(0)

        def result(self):
            return self.right / self.all

    model = compiled(own=[Agreement(dtype="float32"), "accuracy"])
    history = model.fit(X, Y, batch_size=5, epochs=3, verbose=0).history
    np.testing.assert_allclose(history["agreement"], history["accuracy"], rtol=1e-6)


def test_weighted_metrics_use_weights_and_metrics_do_not():
    model = compiled(weighted_metrics=[metrics.SparseCategoricalAccuracy("weighted")])
    weights = np.where(Y == 0, 1.0, 0.0)
    found = model.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)
    right = model.predict(X, verbose=0).argmax(axis=1) == Y
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["weighted"] == pytest.approx(right[Y == 0].mean())


def test_the_loss_scale_does_not_change_the_training():
    results = []
    for scale in (None, 1024.0):
        model = compiled(optimizers.SGD(0.5, loss_scale_factor=scale))
        model.set_weights([np.ones((4, 3)), np.zeros(3)])
        history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False).history
        results.append((history["loss"], *model.get_weights()))
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_ignored_labels_leave_loss_and_mean_alone():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    logits = Tensor(np.array([[0.0, 0.0], [5.0, 0.0]], np.float32))
    assert loss([0, -1], logits).item() == pytest.approx(np.log(2))


def test_functions_and_classes_can_be_losses():
    for loss in (losses.huber, losses.Huber, losses.Huber(0.5), "huber", "Huber"):
        model = Sequential([layers.Input((4,)), layers.Dense(1)])
        model.compile("sgd", loss)
        assert np.isfinite(model.evaluate(X, X[:, 0], verbose=0))


# plots


def test_a_history_draws_itself(tmp_path):
    history = compiled().fit(X, Y, epochs=2, verbose=0)
    picture = history.plot(tmp_path / "curves.png")
    assert [axes.get_title(loc="left") for axes in picture.figure.axes] == ["loss", "accuracy"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_live_plot_prints_rows_of_bars_and_writes_a_picture(tmp_path, capsys):
    plot = callbacks.LivePlot(tmp_path / "live.png", every=2)
    compiled().fit(X, Y, epochs=4, verbose=0, callbacks=[plot])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 and printed[0].startswith("accuracy  ")
    assert len(printed[-1].split()[1]) == 4
    assert (tmp_path / "live.png").exists()


def test_a_confusion_matrix_counts():
    picture = visualize.confusion_matrix(
        np.array([[0], [1], [2], [2]]), np.array([0, 1, 1, 2]), ["a", "b", "c"], normalize=True
    )
    axes = picture.figure.axes[0]
    assert [t.get_text() for t in axes.texts][3:] == ["0%", "100%", "0%", "0%", "50%", "50%"]
    assert axes.get_title(loc="left") == "3 of 4 right"


def test_filters_and_maps_of_a_layer_are_drawn(tmp_path):
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(70, 3, name="first"),
            layers.Conv2D(3, 3, name="second"),
            layers.Flatten(),
        ]
    )
    assert len(visualize.filters(model.layers[0]).figure.axes) == 64
    picture = visualize.feature_maps(model, np.ones((8, 8, 1)), path=tmp_path / "maps.png")
    assert picture.figure.get_suptitle() == "second: 3 maps of 4 x 4"
    first = visualize.feature_maps(model, np.ones((8, 8, 1)), "first", most=5)
    assert len(first.figure.axes) == 5


def test_the_maps_of_a_network_that_branches_are_those_of_a_model_up_to_there():
    image, facts = layers.Input((8, 8, 3)), layers.Input((4,))
    x = layers.Conv2D(2, 3, padding="same", name="first")(image)
    x = layers.Add()([x, layers.Conv2D(2, 1, name="beside")(image)])
    x = layers.BatchNormalization(name="last")(x, training=False)
    both = layers.Concatenate()([layers.Flatten()(x), layers.Dense(3)(facts)])
    model = Model([image, facts], layers.Dense(2)(both))
    rng = np.random.default_rng(0)
    given = rng.random((8, 8, 3), np.float32), rng.random(4, np.float32)
    for name, title in (("beside", "beside: 2 maps of 8 x 8"), (None, "last: 2 maps of 8 x 8")):
        picture = visualize.feature_maps(model, list(given), name)
        assert picture.figure.get_suptitle() == title
        upto = Model(model.inputs, model.get_layer(name or "last").output)
        maps = upto([given[0][None], given[1][None]]).numpy()[0]
        for k, axes in enumerate(picture.figure.axes):
            grey = maps[..., k] - maps[..., k].min()
            drawn = axes.images[0].get_array()[..., 0]
            np.testing.assert_allclose(drawn, grey / grey.max(), atol=1e-5)


def test_maps_of_a_model_without_a_graph_are_refused():
    class Own(Model):
        def call(self, x):
            return x

    with pytest.raises(AttributeError, match="has no symbolic inputs"):
        visualize.feature_maps(Own(), np.ones((8, 8, 1)))
