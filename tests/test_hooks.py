"""Hooks of layers, what activations() and gradients() make of them, and trace()."""

import re

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, Tensor, checkpoint, grad, layers, ops, trace
from minicnn.layers.hooks import observers

X = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
Y = np.array([0, 2, 1, 1])


def network(**settings):
    inner = Sequential(
        [layers.Dense(5, activation="sigmoid", name="a"), layers.Dense(4, name="b")], name="inner"
    )
    model = Sequential(
        [
            Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Flatten(name="flat"),
            inner,
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


ORDER = ["conv", "pool", "norm", "relu", "flat", "inner/a", "inner/b", "inner", "dense"]


# Hooks.


def test_hooks_see_each_call_until_they_are_removed():
    seen = []
    dense = layers.Dense(2)
    before = dense.register_forward_pre_hook(lambda layer, xs: seen.append((layer, xs[0].shape)))
    after = dense.register_forward_hook(lambda layer, xs, y: seen.append((layer, y.shape)))
    dense(np.ones((1, 3)))
    assert seen == [(dense, (1, 3)), (dense, (1, 2))]
    before.remove()
    before.remove()
    dense(np.ones((1, 3)))
    assert seen[2:] == [(dense, (1, 2))]
    after.remove()
    dense(np.ones((1, 3)))
    assert len(seen) == 3 and dense.hooks is None


def test_what_a_hook_returns_takes_the_place_of_the_output():
    relu = layers.ReLU()
    with relu.register_forward_hook(lambda layer, xs, y: y * 2):
        with relu.register_forward_hook(lambda layer, xs, y: y + 1):
            assert relu(np.array([3.0])).numpy() == 7
    assert relu(np.array([3.0])).numpy() == 3


@pytest.mark.parametrize("name", ["conv", "pool", "norm", "relu", "dense"])
@pytest.mark.parametrize("training", [True, False])
def test_layers_that_are_computed_together_call_their_hooks_too(name, training):
    model = network()
    plain = model(X, training=training).numpy()
    model.predict(X, verbose=0)  # so that the beginning of the model is known
    seen = []
    with model.get_layer(name).register_forward_hook(lambda *call: seen.append(call)):
        hooked = model(X, training=training).numpy()
        predicted = model.predict(X, verbose=0)
    assert len(seen) == 2
    assert np.allclose(plain, hooked, atol=1e-6)
    assert np.allclose(predicted, model.predict(X, verbose=0), atol=1e-6)


# Layers that recompute.


def test_a_layer_that_recomputes_learns_the_same_bit_by_bit():
    def learned(recompute):
        from minicnn import utils

        utils.set_random_seed(1)
        model = network()
        for name in ("norm", "inner"):
            layer = model.get_layer(name)
            layer.recompute = recompute
            layer.register_forward_hook(lambda *call: None)  # so that both are computed alone
        for _ in range(3):
            model.train_on_batch(X, Y)
        return model.get_layer("norm").recompute, model.get_weights()

    (yes, ours), (no, theirs) = learned(True), learned(False)
    assert yes and not no
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_recompute_can_be_switched_off():
    layer = layers.Dense(2)
    layer.recompute = True
    x = Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    assert type(layer(x).op).__name__ == "Recompute"
    layer.recompute = False
    assert type(layer(x).op).__name__ != "Recompute" and layer.hooks is None


# activations and gradients.


def test_activations_are_what_the_layers_give_in_order():
    model = network()
    found = model.activations(X)
    assert list(found) == ORDER
    value = X
    for layer in model.layers:
        value = layer(value)
        assert np.allclose(found[layer.name], value.numpy(), atol=1e-6)
    inner = model.get_layer("inner")
    assert np.allclose(found["inner/a"], inner.layers[0](found["flat"]).numpy(), atol=1e-6)
    assert all(layer.hooks is None for layer in [*model.layers, *inner.layers])


def test_a_layer_that_is_called_twice_has_two_entries():
    a, b = Input((3,)), Input((3,))
    shared = layers.Dense(2, name="shared")
    joined = layers.Concatenate(name="joined")([shared(a), shared(b)])
    model = Model([a, b], layers.Dense(1, name="end")(joined))
    model.compile("sgd", "mse")
    x = [np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)]
    found = model.activations(x)
    assert list(found) == ["shared", "shared[1]", "joined", "end"]
    halves = np.concatenate([found["shared"], found["shared[1]"]], axis=1)
    assert np.array_equal(halves, found["joined"])
    gradients = model.gradients(x, np.ones((1, 1)))
    halves = np.concatenate([gradients["shared"], gradients["shared[1]"]], axis=1)
    assert np.array_equal(halves, gradients["joined"])


def test_gradients_are_those_of_the_loss_for_each_output():
    model = network()
    found, outputs = model.gradients(X, Y), model.activations(X)
    assert list(found) == ORDER
    assert all(found[name].shape == outputs[name].shape for name in ORDER)
    p = outputs["dense"]
    assert np.allclose(found["dense"], (p - np.eye(3)[Y]) / 4, atol=1e-6)
    dense = model.get_layer("dense")
    assert np.allclose(found["inner"], found["dense"] @ dense.kernel.numpy().T, atol=1e-6)


def test_gradients_of_a_step_in_the_middle_fit_finite_differences():
    model = network()
    found = model.gradients(X, Y)["inner/a"]
    a = model.get_layer("inner").layers[0]

    def loss(move):
        with a.register_forward_hook(lambda layer, xs, y: y + move):
            return model.evaluate(X, Y, verbose=0)

    for n, k in ((0, 0), (3, 4)):
        move = np.zeros((4, 5), np.float32)
        move[n, k] = 0.05
        slope = (loss(move) - loss(-move)) / 0.1
        assert np.isclose(found[n, k], slope, rtol=1e-2, atol=1e-5)


def test_frozen_layers_have_gradients_as_well():
    model = network()
    model.trainable = False
    assert np.abs(model.gradients(X, Y)["conv"]).max() > 0


def test_looking_changes_no_weight():
    model = network()
    before = model.get_weights()
    model.activations(X)
    model.gradients(X, Y)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_gradients_need_a_compiled_model():
    model = Sequential([Input((3,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="gradients: model .* is not compiled"):
        model.gradients(np.ones((1, 3)), np.ones((1, 1)))


def test_activations_look_at_the_inputs():
    with pytest.raises(ValueError, match="wants inputs of shape"):
        network().activations(X[0])


# trace.


def lines_of(text):
    return [line.split() for line in text.splitlines()]


def test_trace_lists_each_op_below_its_layer_and_adds_up(capsys):
    model = network()
    with trace():
        loss = model.compute_loss(y=Y, y_pred=model(X, training=True))
        grad(loss, model.trainable_weights)
    text = capsys.readouterr().out
    heads = re.findall(r"^ +([\w +]+ \([\w +]+\))$", text, re.M)
    forward = ["conv + pool (Conv2D + MaxPooling2D)", "norm + relu (BatchNormalization + ReLU)"]
    assert [head.strip() for head in heads][1:3] == forward
    assert [head.strip() for head in heads][-2:] == forward[::-1]
    assert "      a (Dense)\n        Combine " in text
    forward, backward = text.split("\nbackward\n")
    counts = [len(re.findall(r"->", part)) for part in (forward, backward)]
    total = re.search(r"total +(\d+) ops forward ([\d.]+) ms, (\d+) backward ([\d.]+) ms", text)
    assert [int(total[1]), int(total[3])] == counts
    for part, wanted in ((forward, total[2]), (backward, total[4])):
        times = [float(line[-2]) for line in lines_of(part) if "->" in line]
        assert abs(sum(times) - float(wanted)) < 1e-3 * (len(times) + 1)


def test_trace_prints_the_norm_of_what_an_op_gives(capsys):
    x = Tensor([3.0, 4.0], requires_grad=True)
    with trace():
        (x * x).sum().backward()
    norms = {line[0]: line[-1] for line in lines_of(capsys.readouterr().out) if "->" in line}
    assert norms["Multiply"] == f"{np.sqrt(2 * (9 + 16)):.3g}"  # of both gradients: x and x
    assert norms["Add"] == "10"


class Twice(layers.Layer):
    """A layer of two ops, which computes them again instead of keeping what they made."""

    def call(self, x):
        return checkpoint(lambda x: ops.square(ops.square(x)), x)


def test_trace_heads_several_ops_once_and_lists_no_part_of_a_backward(capsys):
    with trace():
        Twice(name="twice")(Tensor([1.0, 2.0], requires_grad=True)).sum().backward()
    forward, backward = capsys.readouterr().out.split("\nbackward\n")
    names = [" ".join(line[0] for line in lines_of(part)) for part in (forward, backward)]
    assert names == ["forward twice Square Square Recompute Sum", "Sum twice Recompute total"]


def test_trace_writes_files(tmp_path, capsys):
    path = tmp_path / "trace.txt"
    with trace(file=path):
        Tensor(2.0) * Tensor(3.0)
    assert "Multiply" in path.read_text() and not capsys.readouterr().out
    with open(path, "w") as file, trace(file):
        Tensor(2.0) + Tensor(3.0)
    assert "Add" in path.read_text()


def test_a_trace_ends_with_its_block_even_after_an_error(capsys):
    with pytest.raises(ZeroDivisionError), trace():
        raise ZeroDivisionError
    assert not observers
    capsys.readouterr()
    Tensor(2.0) * Tensor(3.0)
    assert not capsys.readouterr().out
