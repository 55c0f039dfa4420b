"""Functional models: how graphs are found, ordered and computed, and what is refused."""

import copy

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, Tensor, layers, models, no_grad, utils
from minicnn.autograd import Watcher, watch
from minicnn.layers import Layer, operators
from minicnn.layers.names import reset_names
from minicnn.layers.pipeline import Pipeline
from minicnn.models.plan import _stretches

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def named(*words):
    return [layer.name for layer in words]


def test_input_is_a_symbolic_tensor():
    reset_names()
    x = Input((8, 8, 3))
    assert x.shape == (None, 8, 8, 3) and x.dtype == "float32" and x.ndim == 4
    assert x.name == "input_layer" and Input((2,)).name == "input_layer_1"
    assert Input((2,), batch_size=7).shape == (7, 2)
    assert Input(batch_shape=(None, 2), name="rows").name == "rows"


def test_a_layer_notes_its_calls():
    x, dense = Input((4,)), layers.Dense(3)
    with pytest.raises(AttributeError, match="has no output, as it was never called"):
        dense.output  # noqa: B018
    y = dense(x)
    assert dense.input is x and dense.output is y and y.shape == (None, 3)
    dense(Input((4,)))
    assert dense.output is y and len(dense.nodes) == 2


def test_a_deep_copy_has_layers_of_its_own():
    x = Input((4,))
    hidden = layers.Dense(4, activation="relu")(x)
    model = Model(x, layers.Dense(2)(layers.Add()([layers.Dense(4)(hidden), hidden]) * 0.5))
    model.compile("sgd", "mse")
    wanted, twin = model.predict(X, verbose=0), copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), wanted)
    twin.fit(X, np.ones((5, 2), "float32"), verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), wanted)
    assert (twin.predict(X, verbose=0) != wanted).all()
    assert not set(twin.variables) & set(model.variables)


def test_models_are_called_functional():
    reset_names()
    x = Input((4,))
    y = layers.Dense(2)(x)
    model = Model(x, y)
    assert type(model) is models.Functional and isinstance(model, Model)
    assert model.name == "functional" and Model(inputs=x, outputs=y).name == "functional_1"
    assert Model(x, y, name="mine").name == "mine"


def test_get_layer_finds_by_name_and_place():
    x = Input((4,), name="x")
    model = Model(x, layers.Dense(2, name="out")(x))
    assert model.get_layer("out") is model.get_layer(index=1)
    assert model.get_layer("x") is model.layers[0]
    with pytest.raises(ValueError, match=r"No such layer: ot. Did you mean 'out'\?"):
        model.get_layer("ot")


def test_operators_have_no_dtype_of_their_own():
    x = Input((3,))
    double = Model(x, layers.Dense(2, dtype="float64")(x) * 2)
    assert double(np.ones((1, 3))).dtype == np.float64
    assert operators.Add()(Tensor([[1, 2]]), 1).dtype == np.float32  # but whole numbers get one


def test_shared_layers_have_their_weights_once():
    dense, x, y = layers.Dense(4, use_bias=False), Input((4,)), Input((4,))
    model = Model([x, y], layers.Add()([dense(x), dense(dense(y))]))
    assert model.count_params() == 16
    W = dense.get_weights()[0]
    np.testing.assert_allclose(model([X, 2 * X]).numpy(), X @ W + 2 * X @ W @ W, rtol=1e-4)


def test_inputs_come_in_their_structure_or_by_name():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    model = Model([a, b], layers.Subtract()([a, b]))
    wanted = X - 2 * X
    for given in ([X, 2 * X], (X, 2 * X), {"b": 2 * X, "a": X}):
        np.testing.assert_allclose(model(given).numpy(), wanted)
        np.testing.assert_allclose(model.predict(given, verbose=0), wanted)
    single = Model([a], a * 2)
    for given in (X, [X], {"a": X}):
        np.testing.assert_allclose(single(given).numpy(), 2 * X)


def test_results_come_in_the_structure_of_the_outputs():
    x = Input((4,))
    model = Model(x, {"b": [x * 2, x * 3], "a": x})
    y = model.predict(X, verbose=0)
    assert list(y) == ["b", "a"]
    np.testing.assert_allclose(y["b"][1], 3 * X)
    assert model.predict_on_batch(X)["a"].shape == (5, 4)
    assert [t.shape for t in model.outputs] == [(None, 4)] * 3


def test_a_part_of_a_model_shares_its_weights():
    x = Input((4,))
    y = layers.Dense(3, name="hidden", activation="tanh")(x)
    model = Model(x, layers.Dense(2, name="out")(y))
    front = Model(model.inputs, model.get_layer("hidden").output)
    back = Model(model.get_layer("hidden").output, model.output)
    np.testing.assert_allclose(back(front(X)).numpy(), model(X).numpy(), rtol=1e-6)
    assert front.weights == model.weights[:2] and back.weights == model.weights[2:]
    assert type(back.layers[0]) is layers.InputLayer


def test_a_sequential_has_symbolic_ends_as_well():
    model = Sequential([Input((4,)), layers.Dense(3, name="hidden"), layers.Dense(2)])
    assert model.inputs == [model.input] and model.outputs == [model.output]
    assert model.input.shape == (None, 4) and model.output is model.layers[-1].output
    front = Model(model.inputs, model.get_layer("hidden").output)
    assert front(X).shape == (5, 3) and front.weights == model.weights[:2]
    for name in ("inputs", "outputs", "input", "output"):
        with pytest.raises(AttributeError, match=f"has no symbolic {name} yet"):
            getattr(Sequential([layers.Dense(2)]), name)


def test_a_sequential_can_still_grow_and_shrink():
    model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.pop()
    assert model.output_shape == (None, 3) and model(X).shape == (5, 3)
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7) and model.outputs[0].shape == (None, 7)
    assert model(X).shape == (5, 7)


def test_models_are_layers():
    inner = Sequential([layers.Dense(3)])
    x = Input((4,))
    outer = Model(x, Model(x, inner(x) * 2)(x))
    np.testing.assert_allclose(outer(X).numpy(), 2 * inner(X).numpy())
    around = Sequential([Input((4,)), outer, layers.Dense(1)])
    assert around(X).shape == (5, 1) and len(around.weights) == 4
    assert outer.compute_output_shape((7, 4)) == (7, 3)


def test_shapes_are_told_for_other_sizes():
    x = Input((None, None, 3))
    y = layers.MaxPooling2D()(layers.Conv2D(4, 3)(x))
    model = Model(x, [y, layers.GlobalAveragePooling2D()(y * 2.0)])
    assert model.output_shape == [(None, None, None, 4), (None, 4)]
    assert model.compute_output_shape((2, 10, 12, 3)) == [(2, 4, 5, 4), (2, 4)]
    assert model(np.ones((2, 10, 12, 3)))[0].shape == (2, 4, 5, 4)


def test_a_deep_model_needs_no_recursion():
    x = y = Input((1,))
    for _ in range(1200):
        y = layers.Flatten()(y)
    assert Model(x, y)(np.ones((1, 1))).shape == (1, 1)


def test_a_long_model_is_computed_as_a_sequential_is():
    utils.set_random_seed(0)
    stack = [
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(5, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]
    chain = Sequential([Input((12, 12, 3)), *stack])
    model = Model(chain.inputs, chain.outputs)
    x = np.random.default_rng(0).random((3, 12, 12, 3), np.float32)
    for training in (False, True):
        np.testing.assert_array_equal(model(x, training).numpy(), chain(x, training).numpy())
    with no_grad():
        np.testing.assert_array_equal(model(x).numpy(), chain(x).numpy())


class Ops(Watcher):
    """Notes the names of all ops."""

    def __init__(self):
        self.names = []

    def after_forward(self, op, inputs, output):
        self.names.append(type(op).__name__)


def ops_of(model, x):
    seen = Ops()
    with watch(seen):
        model(x, training=True)
    return seen.names


def test_layers_are_fused_where_nobody_else_reads():
    x = Input((8, 8, 3))
    conv = layers.Conv2D(4, 3, activation="relu")
    y = conv(x)
    pooled = layers.MaxPooling2D()(y)
    data = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    fused, apart = Model(x, pooled), Model(x, [pooled, y])
    assert len(ops_of(fused, data)) == 1 and len(ops_of(apart, data)) == 2
    np.testing.assert_array_equal(
        fused(data, training=True).numpy(), apart(data, training=True)[0].numpy()
    )


def test_where_the_graph_branches_a_pipeline_ends():
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", name="a")(x)
    z = layers.ReLU(name="c")(layers.BatchNormalization(name="b")(y))
    z = layers.Flatten(name="e")(layers.Add(name="d")([y, z]))
    graph = Model(x, layers.Dense(2, name="f")(z)).graph
    calls = [node for node in graph.nodes if not node.is_input]
    stretches = _stretches(calls, graph.outputs)
    found = [[node.layer.name for node in nodes] for nodes in stretches]
    assert found == [["a"], ["b", "c"], ["d", "e", "f"]]


def test_inference_computes_the_beginning_of_a_pipeline_in_one_call():
    x, other = Input((12, 12, 3)), Input((8, 8, 4))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.Conv2D(4, 3, activation="relu")(y)
    model = Model([x, other], layers.Add()([y, other]))
    data = [np.random.default_rng(0).random((2, *t.shape[1:]), np.float32) for t in (x, other)]
    wanted = model(data).numpy()
    with no_grad():
        np.testing.assert_array_equal(model(data).numpy(), wanted)
    pipelines = [
        value
        for step in model._plan._steps
        for value in vars(step.compute).values()
        if isinstance(value, Pipeline)
    ]
    assert [bool(pipeline._beginning) for pipeline in pipelines] == [True]


def test_training_recorded_in_a_call_is_kept():
    norm, x = layers.BatchNormalization(), Input((4,))
    model = Model(x, norm(x, training=False))
    model(X + 5, training=True)
    assert not norm.moving_mean.numpy().any()


def test_layers_of_several_arguments_and_results():
    class Both(Layer):
        def call(self, x, y, scale=1.0):
            return {"sum": (x + y) * scale, "difference": x - y}

    a, b = Input((4,)), Input((4,))
    y = Both()(a, b, scale=2.0)
    assert y["sum"].shape == (None, 4)
    model = Model([a, b], [y["difference"], y["sum"]])
    difference, both = model([X, 2 * X])
    np.testing.assert_allclose(both.numpy(), 6 * X, rtol=1e-6)
    np.testing.assert_allclose(difference.numpy(), -X)


def test_an_unknown_size_is_found_out_by_trying():
    class Twice(Layer):
        def call(self, x):
            return layers.Concatenate(axis=1)([x, x[:, 1:]])

    assert Twice()(Input((None, 3))).shape == (None, None, 3)
    assert Twice()(Input((4, 3))).shape == (None, 7, 3)


# -- what is refused


def disconnected():
    return Model(Input((4,)), layers.Dense(2)(Input((4,), name="other")))


def not_connected():
    return Model(Input((4,)), Input((4,)))


def twice_named():
    x = Input((4,))
    return Model(x, layers.Dense(1, name="d")(layers.Dense(2, name="d")(x)))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (disconnected, ValueError, "graph is disconnected: <SymbolicTensor .*name=other>"),
        (not_connected, ValueError, "output 0, .* is not connected to the inputs"),
        (twice_named, ValueError, "the name 'd' is used 2 times"),
        (lambda: Model(Input((4,)), 3), TypeError, r"outputs must be symbolic .* got 3 \(int\)"),
        (lambda: Model(X, Input((4,))), TypeError, "inputs must be symbolic tensors"),
        (lambda: Model(Input((4,))), TypeError, "outputs must be symbolic .* got None"),
    ],
)
def test_broken_graphs_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_cycle_is_refused():
    x = Input((4,))
    one, other = layers.Dense(4, name="one"), layers.Dense(4, name="other")
    y = one(x)
    z = other(y)
    one.nodes[0].inputs[0] = z
    with pytest.raises(ValueError, match="layer '(one|other)' .* is part of a cycle"):
        Model(x, z)


def test_wrong_inputs_are_refused():
    a, b = Input((4,), name="a"), Input((3,), name="b")
    model = Model([a, b], layers.Concatenate()([a, b]), name="two")
    with pytest.raises(ValueError, match=r"model 'two' .* wants \[.*\(None, 4\).* by their names"):
        model([X, X, X])
    with pytest.raises(ValueError, match="wants .* but got an array of shape"):
        model(X)
    with pytest.raises(ValueError, match=r"input 'b': wants inputs of shape \(None, 3\)"):
        model([X, X])
    with pytest.raises(ValueError, match=r"x\[1\] has 3 rows|but x\[0\] has 5, x\[1\] has 3 rows"):
        model.predict([X, X[:3, :3]], verbose=0)
