"""Models as configurations and JSON: what goes round, and what is refused."""

import json

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, Tensor, initializers, layers, models, saving
from minicnn.layers import Dense, Layer
from minicnn.saving import (
    custom_object_scope,
    deserialize_keras_object,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@register_keras_serializable("tests")
class Doubling(Layer):
    """A layer of the user's own."""

    def __init__(self, times=2, **keywords):
        super().__init__(**keywords)
        self.times = times

    def call(self, x):
        return x * float(self.times)

    def get_config(self):
        return {**super().get_config(), "times": self.times}


@register_keras_serializable("tests")
def halve(x):
    return x / 2.0


@register_keras_serializable("tests")
class Sevens(initializers.Initializer):
    """An initializer of the user's own."""

    def values(self, shape):
        return np.full(shape, 7.0)


class Unregistered(Doubling):
    """A layer that files cannot mention."""


def roundabout(model, custom_objects=None):
    again = models.model_from_json(model.to_json(), custom_objects)
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again(X).numpy(), model(X).numpy(), rtol=1e-6)
    return again


def test_own_layers_functions_and_initializers_go_round():
    x = Input((4,))
    y = Dense(3, activation=halve, kernel_initializer=Sevens())(Doubling(3)(x))
    again = roundabout(Model(x, y))
    assert type(again.layers[1]) is Doubling and again.layers[1].times == 3
    assert again.layers[2].activation is halve
    assert type(again.layers[2].kernel_initializer) is Sevens
    saved = serialize_keras_object(Doubling(name="d"))
    assert saved["registered_name"] == "tests>Doubling" and saved["class_name"] == "Doubling"


def test_what_is_not_registered_is_handed_over_or_refused():
    model = Sequential([Input((4,)), Unregistered(name="mine")])
    with pytest.raises(ValueError, match="Could not locate class 'Unregistered'.*custom_objects"):
        models.model_from_json(model.to_json())
    roundabout(model, {"Unregistered": Unregistered})
    with custom_object_scope({"Unregistered": Unregistered}):
        roundabout(model)
    assert get_registered_object("Unregistered") is None
    assert get_registered_object("tests>Doubling") is Doubling


def test_subclasses_made_of_inputs_and_outputs_go_round():
    class Own(Model):
        pass

    x = Input((4,))
    again = roundabout(Own(x, Dense(2)(x), name="own"), {"Own": Own})
    assert type(again) is Own and again.name == "own"


def test_subclasses_with_plain_arguments_go_round():
    class Own(Model):
        def __init__(self, units):
            super().__init__()
            self.dense = Dense(units)

        def call(self, x):
            return self.dense(x)

    model = Own(3)
    model(X)
    again = Own.from_config(model.get_config())
    assert again(X).shape == (5, 3)


def test_frozen_layers_stay_frozen():
    model = Sequential([Input((4,)), Dense(3, trainable=False), Dense(2)])
    again = roundabout(model)
    assert len(again.trainable_weights) == 2 and not again.layers[0].trainable


def test_unbuilt_models_stay_unbuilt():
    again = models.model_from_json(Sequential([Dense(3)]).to_json())
    assert not again.built and again.layers[0].units == 3


def test_compile_goes_round():
    model = Sequential([Input((4,)), Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    again = models.model_from_json(model.to_json())
    assert again.metrics_names == ["loss", "mae"]
    assert type(again.optimizer) is type(model.optimizer)


def test_layers_that_were_built_are_built_again():
    dense = Dense(3)
    dense.build((None, 4))
    assert deserialize_keras_object(serialize_keras_object(dense)).built


def test_clones_have_new_weights():
    model = Sequential([Input((4,)), Dense(3)], name="one")
    clone = models.clone_model(model)
    assert clone.name == "one" and np.abs(clone(X).numpy() - model(X).numpy()).max() > 0


def test_clones_can_be_changed_on_the_way():
    x = Input((4,))
    inner = Sequential([Dense(4, name="deep")], name="inner")
    model = Model(x, Dense(2)(inner(x)))

    def doubled(layer):
        config = layer.get_config()
        if type(layer) is Dense:
            config["units"] = 2 * config["units"]
        return type(layer).from_config(config)

    clone = models.clone_model(model, clone_function=doubled, recursive=True)
    assert clone.output_shape == (None, 4) and clone.get_layer("inner").output_shape == (None, 8)

    def with_relu(layer, *arguments, **keywords):
        return layers.ReLU()(layer(*arguments, **keywords))

    positive = models.clone_model(model, input_tensors=Input((4,)), call_function=with_relu)
    assert (positive(X).numpy() >= 0).all() and len(positive.layers) == len(model.layers) + 2


def test_only_chains_and_graphs_can_be_cloned():
    class Own(Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="neither a Sequential nor made of inputs and outputs"):
        models.clone_model(Own())


# -- nothing that is read runs code


def with_layer(**entry):
    config = json.loads(Sequential([Input((4,)), Dense(3, name="d")]).to_json())
    config["config"]["layers"][1] |= entry
    return json.dumps(config)


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAA", "defaults": None}}


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (with_layer(class_name="Lambda", config={"function": LAMBDA}), ValueError, "Python lambda"),
        (with_layer(config={"units": 3, "activation": LAMBDA}), ValueError, "Python lambda"),
        (
            with_layer(module="os", class_name="system"),
            ValueError,
            "not locate class 'system'",
        ),
        (with_layer(module="os", class_name="Dense"), ValueError, "Could not locate class 'Dense'"),
        (with_layer(class_name="Dens"), ValueError, "Did you mean 'Dense'"),
        (with_layer(class_name="add"), ValueError, "Could not locate class 'add'"),
        (with_layer(config=[1]), TypeError, "Dense: cannot be made of a config of list"),
        (with_layer(config={"units": 3, "unit": 4}), ValueError, "unknown keyword 'unit'"),
        ('{"class_name":', ValueError, "Expecting value"),
    ],
)
def test_bad_files_are_refused(text, error, match):
    with pytest.raises(error, match=match):
        models.model_from_json(text)


def graph_json():
    x = Input((4,), name="x")
    y = Dense(3, name="one")(x)
    return json.loads(Model(x, Dense(2, name="two")(y)).to_json())


def test_broken_graphs_are_refused():
    config = graph_json()
    call = config["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]
    call["keras_history"] = ["two", 0, 0]
    with pytest.raises(ValueError, match="a cycle or a gap: .* are called with: one, two"):
        deserialize_keras_object(config)
    config = graph_json()
    config["config"]["output_layers"] = [["three", 0, 0]]
    with pytest.raises(ValueError, match="an input or output is missing in the config: 'three'"):
        deserialize_keras_object(config)


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ValueError, match="cannot be saved, as files hold no code"):
        serialize_keras_object(lambda x: x)
    with pytest.raises(ValueError, match="cannot be saved: it has no get_config"):
        serialize_keras_object(object())
    with pytest.raises(ValueError, match="Bad has no get_config"):

        @register_keras_serializable()
        class Bad:
            pass

    with pytest.raises(TypeError, match="cannot make anything of"):
        deserialize_keras_object(object())


@pytest.mark.parametrize("thing", [3, "a", None, [1, {"a": 2.5}], slice(1, None, 2), ...])
def test_plain_things_go_round(thing):
    assert deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(thing)))) == thing


def test_arrays_go_round():
    saved = json.loads(json.dumps(serialize_keras_object([X, Tensor(X), np.float32(2)])))
    one, other, number = saving.deserialize_keras_object(saved)
    np.testing.assert_array_equal(one, X)
    np.testing.assert_array_equal(other, X)
    assert number == 2
