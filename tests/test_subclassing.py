"""Models and layers of the user's own: what they may define, and what they get for it."""

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, Tensor, grad, layers, metrics, ops, optimizers
from minicnn.layers import Dense, Dropout, Layer

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X[:, :1] * 2


class Mlp(Model):
    """Layers in an attribute, a list and a dict."""

    def __init__(self, units=3):
        super().__init__()
        self.first = Dense(units, activation="relu")
        self.middle = [Dense(4), Dense(5)]
        self.heads = {"a": Dense(1)}

    def call(self, x):
        x = self.first(x)
        for layer in self.middle:
            x = layer(x)
        return self.heads["a"](x)


def quiet(model, *data, **settings):
    return model.fit(*data, verbose=0, **settings).history


def test_a_subclass_finds_its_layers_in_attributes_lists_and_dicts():
    model = Mlp()
    assert model.layers == [model.first, *model.middle, model.heads["a"]]
    assert not model.built and model.weights == []
    assert model(X).shape == (20, 1)
    assert len(model.weights) == 8 and model.output_shape == (None, 1)
    with pytest.raises(AttributeError, match="has no symbolic inputs"):
        model.inputs  # noqa: B018


def test_a_subclass_can_be_trained():
    model = Mlp()
    model.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
    history = quiet(model, X, Y, epochs=60, batch_size=10, validation_data=(X, Y))
    assert list(history) == ["loss", "mae", "val_loss", "val_mae"]
    assert history["loss"][-1] < history["loss"][0] / 2


def test_a_model_without_call_says_what_is_missing():
    class Empty(Model):
        pass

    with pytest.raises(NotImplementedError, match=r"define call\(self, x\)"):
        Empty()(X)


def test_inputs_and_outputs_may_have_any_structure():
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.left, self.right = Dense(2), Dense(1)

        def call(self, inputs):
            return self.left(inputs["u"]), self.right(inputs["v"])

    model = Two()
    data = {"u": X, "v": X[:, :2]}
    model.compile("sgd", ["mse", "mae"])
    history = quiet(model, data, [np.ones((20, 2)), Y])
    assert list(history) == ["loss", "output_1_loss", "output_2_loss"]
    assert [y.shape for y in model.predict(data, verbose=0)] == [(20, 2), (20, 1)]
    assert model.input_shape == {"u": (None, 4), "v": (None, 2)}
    assert model.output_shape == ((None, 2), (None, 1))


def test_parts_learn_of_training_without_being_told():
    class Noisy(Model):
        def __init__(self):
            super().__init__()
            self.drop = Sequential([Dropout(0.5, seed=0)])

        def call(self, x):
            return self.drop(x)

    model, x = Noisy(), np.ones((1, 100), np.float32)
    assert (model(x).numpy() == 1).all()
    assert (model(x, training=True).numpy() == 0).any()
    inputs = Input((100,))
    around = Model(inputs, model(inputs))
    assert (around(x).numpy() == 1).all()
    assert (around(x, training=True).numpy() == 0).any()


def test_what_a_part_is_told_counts_more():
    class Always(Layer):
        def __init__(self):
            super().__init__()
            self.drop = Dropout(0.5, seed=0)

        def call(self, x):
            return self.drop(x, training=True)

    assert (Always()(np.ones((1, 100))).numpy() == 0).any()


def test_what_a_model_is_told_counts_for_its_layers():
    class Always(Sequential):
        def call(self, x, training=None):
            return super().call(x, training=True)

    assert (Always([Dropout(0.5, seed=0)])(np.ones((1, 100))).numpy() == 0).any()


# -- losses


def test_add_loss_adds_to_the_loss_once_per_call():
    class Penalty(Layer):
        def call(self, x):
            self.add_loss(ops.mean(x * x))
            self.add_loss([ops.sum(x) * 0.0])
            return x

    layer = Penalty()
    for _ in range(2):
        layer(X)
    assert len(layer.losses) == 2
    x = Input((4,))
    model = Model(x, Dense(1)(layer(layer(x))))
    assert model.losses == []  # to be put together is no call
    model(X)
    assert len(model.losses) == 4
    model(X)
    assert len(model.losses) == 4
    model.compile(optimizers.SGD(0.0), "mse")
    loss = model.evaluate(X, Y, verbose=0)
    wanted = ((model(X).numpy() - Y) ** 2).mean() + 2 * (X**2).mean()
    assert loss == pytest.approx(wanted, rel=1e-4)


def test_add_loss_wants_a_number_that_was_computed():
    with pytest.raises(ValueError, match="add_loss wants a single number .* got 3"):
        Dense(1).add_loss(3)
    with pytest.raises(ValueError, match="add_loss wants a single number"):
        Dense(1).add_loss(Tensor([1.0, 2.0]))


def test_activity_of_a_shared_layer_counts_at_each_call():
    dense = Dense(2, activity_regularizer="l2")
    x, y = Input((4,)), Input((4,))
    model = Model([x, y], layers.Add()([dense(x), dense(y)]))
    model([X, X])
    assert len(model.losses) == 2


# -- steps of one's own


class ByHand(Model):
    """The training step of the documentation."""

    def train_step(self, data):
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = grad(loss, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def linear(cls):
    x = Input((4,))
    return cls(x, Dense(1, kernel_initializer="ones")(x))


def test_a_train_step_by_hand_does_what_the_usual_one_does():
    histories = []
    for cls in (Model, ByHand):
        model = linear(cls)
        model.compile(optimizers.Adam(0.1), "mse", metrics=["mae"])
        histories.append(quiet(model, X, Y, epochs=3, batch_size=10, shuffle=False))
        batch = model.train_on_batch(X, Y)
        histories[-1]["on batch"] = batch
        histories[-1]["evaluated"] = model.evaluate(X, Y, verbose=0)
    assert type(model) is ByHand and model.name.startswith("by_hand")
    assert list(histories[0]) == list(histories[1])
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-5), name


def test_a_step_may_go_on_with_the_usual_one():
    class Counting(Model):
        steps = tests = predictions = 0

        def train_step(self, data):
            self.steps += 1
            return super().train_step(data)

        def test_step(self, data):
            self.tests += 1
            return super().test_step(data)

        def predict_step(self, data):
            self.predictions += 1
            return super().predict_step(data) * 0

    model, usual = linear(Counting), linear(Model)
    histories = []
    for each in (model, usual):
        each.compile(optimizers.SGD(0.01), "mse", metrics=["mae"])
        histories.append(quiet(each, X, Y, batch_size=5, shuffle=False, validation_data=(X, Y)))
    assert histories[0] == histories[1]
    assert (model.steps, model.tests) == (4, 4)
    assert not model.predict(X, verbose=0).any() and model.predictions == 1


def test_a_model_with_its_own_step_needs_neither_loss_nor_labels():
    class Denoiser(Model):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self.error = metrics.Mean(name="error")

        def train_step(self, data):
            loss = ops.mean((self(data, training=True) - data) ** 2)
            self.optimizer.apply(grad(loss, self.trainable_weights), self.trainable_weights)
            self.error.update_state(loss)
            return {"error": self.error.result()}

    x = Input((4,))
    model = Denoiser(x, Dense(4)(x))
    model.compile(optimizers.Adam(0.05))
    history = quiet(model, X, epochs=30, batch_size=10)
    assert list(history) == ["error"] and history["error"][-1] < history["error"][0] / 2
    assert model.error in model.metrics


def test_compute_loss_can_be_replaced():
    class Doubled(Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred, sample_weight) * 2.0

    usual, doubled = linear(Model), linear(Doubled)
    for model in (usual, doubled):
        model.compile(optimizers.SGD(0.0), "mse")
    assert quiet(doubled, X, Y)["loss"][0] == pytest.approx(2 * quiet(usual, X, Y)["loss"][0])
    results = [model.evaluate(X, Y, verbose=0) for model in (usual, doubled)]
    assert results[1] == pytest.approx(2 * results[0])


def test_compute_loss_without_any_loss_says_so():
    with pytest.raises(ValueError, match="compute_loss: .* has no loss"):
        linear(Model).compute_loss(y=Y, y_pred=Tensor(Y))


def test_compute_metrics_counts_a_batch():
    model = linear(Model)
    model.compile("sgd", "mse", metrics=["mae"])
    logs = model.compute_metrics(X, Y, Tensor(Y + 1))
    assert logs["mae"] == pytest.approx(1)


def test_a_step_must_return_a_dict():
    class Wrong(Model):
        def train_step(self, data):
            return 3.0

    model = linear(Wrong)
    model.compile("sgd")
    with pytest.raises(TypeError, match="must return a dict, .* has returned float"):
        quiet(model, X, Y)


# -- configurations nobody wrote


class Scale(Layer):
    """A layer with plain arguments and no get_config."""

    def __init__(self, factor, sizes=(1, 2), **keywords):
        super().__init__(**keywords)
        self.factor, self.sizes = factor, sizes

    def call(self, x):
        return x * self.factor


class Halve(Layer):
    """Takes no keywords but a name."""

    def __init__(self, name=None):
        super().__init__(name=name)

    def call(self, x):
        return x / 2


def test_plain_arguments_make_a_config():
    layer = Scale(3.0, name="times")
    assert layer.get_config() == {"factor": 3.0, "name": "times"}
    again = Scale.from_config(layer.get_config())
    assert again.factor == 3.0 and again.name == "times"


def test_arguments_that_were_given_by_name_are_in_the_config():
    layer = Scale(sizes=[4], factor=3.0)
    assert layer.get_config() == {"factor": 3.0, "sizes": [4], "name": layer.name}


@pytest.mark.parametrize("layer", [Scale(3.0), Halve()])
def test_a_name_that_nobody_gave_is_in_the_config(layer):
    again = type(layer).from_config(layer.get_config())
    assert layer.get_config()["name"] == again.name == layer.name


def test_other_arguments_need_a_get_config():
    with pytest.raises(NotImplementedError, match="define get_config.*factor is no number"):
        Scale(Tensor(1.0)).get_config()
