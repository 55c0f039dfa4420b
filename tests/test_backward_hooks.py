"""Hooks that see gradients: those of tensors and those of layers."""

import gc
import weakref

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, Tensor, checkpoint, grad, layers, ops
from minicnn.layers.hooks import Hookable
from minicnn.variable import Variable

X = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)
Y = np.array([0, 2, 1, 1])


def leaf(*numbers):
    return Tensor(np.array(numbers), requires_grad=True)


# Hooks of tensors.


def test_a_hook_sees_the_whole_gradient_once_in_each_pass():
    x, seen = leaf(1.0, 2.0), []
    y = x * 3
    z = (y * 5 + y * 7).sum()
    y.register_hook(lambda dy: seen.append(dy.numpy().tolist()))
    assert grad(z, [x])[0].numpy().tolist() == [36, 36]
    grad(z, [x])
    assert seen == [[12, 12], [12, 12]]


def test_what_a_hook_returns_takes_the_place_of_the_gradient():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = (y * y).sum()
    y.register_hook(lambda dy: dy * 10)
    y.register_hook(lambda dy: dy + 1)
    dx, dy = grad(z, [x, y])
    assert dy.numpy().tolist() == [61, 121]  # 2 * y * 10 + 1
    assert dx.numpy().tolist() == [183, 363]
    z.backward()
    assert x.grad.numpy().tolist() == [183, 363]


def test_hooks_of_a_leaf_and_of_the_output_are_called():
    x = leaf(2.0)
    z = x * x
    x.register_hook(lambda dx: -dx)
    z.register_hook(lambda dz: dz * 5)
    z.backward(Tensor(np.array([1.0])))
    assert x.grad.item() == -20


def test_an_op_that_adds_up_two_gradients_itself_gets_one_if_there_is_a_hook():
    x, seen = leaf(-1.0, 2.0), []
    y = ops.relu(x)
    assert y.op.adds_up
    y.register_hook(lambda dy: seen.append(dy.numpy().tolist()))
    assert grad((y * 2).sum() + (y * 3).sum(), [x])[0].numpy().tolist() == [0, 5]
    assert seen == [[5, 5]]


def test_removed_hooks_are_not_called():
    x, seen = leaf(1.0), []
    with x.register_hook(lambda dx: seen.append(1)):
        handle = x.register_hook(lambda dx: seen.append(2))
        grad(x * x, [x])
        handle.remove()
        handle.remove()
        grad(x * x, [x])
    grad(x * x, [x])
    assert seen == [1, 2, 1]


def test_a_hook_may_remove_itself():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda dx: (seen.append(1), handle.remove())[0])
    x.register_hook(lambda dx: seen.append(2))
    for _ in range(2):
        grad(x * x, [x])
    assert seen == [1, 2, 2]


def test_gradients_of_changed_gradients_are_right():
    x = leaf(3.0)
    y = x * x
    with y.register_hook(lambda dy: dy * dy):
        (dx,) = grad(y * y, [x], create_graph=True)
    assert dx.item() == 8 * 3**5  # (2 y)^2 * 2 x
    assert grad(dx, [x])[0].item() == 40 * 3**4


def test_torch_does_the_same():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    results = []
    for make, take, mean in (
        (lambda a: torch.tensor(a, requires_grad=True), torch.autograd.grad, torch.mean),
        (lambda a: Tensor(a, requires_grad=True), grad, ops.mean),
    ):
        x = make(X.astype(np.float64))
        y = x * x + x
        calls = []
        y.register_hook(lambda dy, calls=calls: calls.append(1))
        y.register_hook(lambda dy: dy * dy)
        x.register_hook(lambda dx: dx * 3)
        (dx,) = take(mean(y * y * y), [x], create_graph=True)
        (ddx,) = take(mean(dx * dx), [x])
        results.append((dx.detach().numpy(), ddx.detach().numpy(), len(calls)))
    (dx, ddx, calls), (our_dx, our_ddx, our_calls) = results
    assert np.allclose(our_dx, dx, rtol=1e-12) and np.allclose(our_ddx, ddx, rtol=1e-12)
    assert our_calls == calls


def test_weights_have_hooks_too_and_training_calls_them():
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    kernel = model.layers[0].kernel
    before = kernel.numpy()
    with kernel.register_hook(lambda dw: dw * 0):
        model.train_on_batch(np.ones((1, 3)), np.ones((1, 2)))
    assert isinstance(kernel, Variable) and np.array_equal(kernel.numpy(), before)
    model.train_on_batch(np.ones((1, 3)), np.ones((1, 2)))
    assert not np.array_equal(kernel.numpy(), before)


def test_hooks_keep_nothing_alive():
    gc.collect()
    gc.disable()
    try:
        layer = layers.Dense(2)
        layer.register_backward_hook(lambda layer, dy: None)
        y = layer(Tensor(np.ones((1, 3), np.float32), requires_grad=True))
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_a_tensor_without_gradient_has_no_hooks():
    with pytest.raises(ValueError, match="register_hook: the tensor requires no grad.*Make it"):
        Tensor([1.0]).register_hook(lambda dy: None)


@pytest.mark.parametrize(
    ("hook", "error", "message"),
    [
        (lambda dy: dy.numpy(), TypeError, "must be a Tensor or None, but is ndarray"),
        (lambda dy: dy.sum(), ValueError, r"has shape \(\), the tensor has \(2,\)"),
        (lambda dy: dy.astype("float32"), ValueError, "is float32, the tensor is float64: convert"),
        (
            lambda dy: dy.detach(),
            NotImplementedError,
            "has no gradient itself; make it of dy with ops on tensors",
        ),
    ],
)
def test_what_a_hook_returns_is_checked(hook, error, message):
    x = leaf(1.0, 2.0)
    y = x * x
    y.register_hook(hook)
    with pytest.raises(error, match=f"grad: what a hook has returned as the gradient .*{message}"):
        grad(y.sum(), [x], create_graph=True)


def test_without_create_graph_a_hook_may_return_plain_numbers():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda dx: Tensor(dx.numpy().clip(0, 3)))
    assert grad((x * x).sum(), [x])[0].numpy().tolist() == [2, 3]


# Hooks of layers.


def network():
    model = Sequential(
        [
            Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Dropout(0.5, name="drop"),
            layers.Flatten(name="flat"),
            Sequential([layers.Dense(5, activation="sigmoid", name="a")], name="inner"),
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


NAMES = ["conv", "pool", "norm", "relu", "drop", "flat", "inner", "dense"]


def seen_by(model, name, x=X, y=Y):
    """What a backward hook of a layer sees while the gradients of the loss are computed."""
    seen = []
    with model.get_layer(name).register_backward_hook(lambda layer, dy: seen.append(dy.numpy())):
        loss = model.compute_loss(y=y, y_pred=model(x))
        grad(loss, model.trainable_weights)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_of_a_layer_sees_the_gradient_for_its_output(name):
    model = network()
    wanted = model.gradients(X, Y)[name]
    (seen,) = seen_by(model, name)
    assert seen.shape == wanted.shape and np.allclose(seen, wanted, atol=1e-7)
    assert model.get_layer(name).hooks is None


def test_probabilities_that_are_read_themselves_are_seen_once():
    model = network()
    model.compile("sgd", "mse")
    (seen,) = seen_by(model, "dense", y=np.eye(3)[Y])
    assert np.allclose(seen, model.gradients(X, np.eye(3)[Y])["dense"], atol=1e-7)


def test_each_pass_is_seen_whether_it_reads_probabilities_or_logits():
    softmax, seen = layers.Softmax(dtype="float64"), []
    x = leaf([1.0, 2.0])
    with softmax.register_backward_hook(lambda layer, dy: seen.append(dy.numpy().tolist())):
        y = softmax(x * 1)
        for z in (y * 2, y.logits * 3, y * 4, y.logits * 5):
            grad(z.sum(), [x])
    assert seen == [[[2, 2]], [[3, 3]], [[4, 4]], [[5, 5]]]


def test_a_layer_that_hands_on_probabilities_keeps_their_logits():
    p = ops.softmax(leaf([1.0, 2.0]))
    drop = layers.Dropout(0.5, dtype="float64")
    with drop.register_backward_hook(lambda layer, dy: None):
        y = drop(p)
    assert y is not p and y.logits is p.logits


def test_a_hook_of_a_layer_can_change_the_gradient():
    model = network()
    conv = model.get_layer("conv").kernel

    def gradient():
        return grad(model.compute_loss(y=Y, y_pred=model(X)), [conv])[0].numpy()

    plain = gradient()
    for name in NAMES:
        with model.get_layer(name).register_backward_hook(lambda layer, dy: dy * 2):
            with model.get_layer(name).register_backward_hook(lambda layer, dy: dy * 3):
                assert np.allclose(gradient(), 6 * plain, atol=1e-7)
    assert np.array_equal(gradient(), plain)


def test_a_layer_that_hands_on_its_input_sees_the_gradient_for_its_own_output_only():
    x = Input((2,))
    drop = layers.Dropout(0.5)
    model = Model(x, drop(x) * 3.0 + x * 5.0)
    seen = []
    with drop.register_backward_hook(lambda layer, dy: seen.append((layer, dy.numpy().tolist()))):
        z = model(leaf([1.0, 2.0]).astype("float32"))
        z.sum().backward()
    assert seen == [(drop, [[3, 3]])]


def test_each_call_and_each_output_is_seen():
    class Split(layers.Layer):
        """Gives two outputs, in a dict."""

        def call(self, x):
            return {"a": x * 2, "b": x * 3}

    split, seen = Split(), []
    split.register_backward_hook(lambda layer, dy: seen.append(dy.item()))
    one, other = split(np.ones((1, 1))), split(Tensor(np.ones((1, 1), "f"), requires_grad=True))
    assert not one["a"].requires_grad  # nothing is to be seen
    (other["a"] * 5 + other["b"] * 7).sum().backward()
    assert sorted(seen) == [5, 7]


def test_a_hook_that_was_removed_after_the_call_is_not_called():
    layer, seen = layers.Dense(1), []
    handle = layer.register_backward_hook(lambda layer, dy: seen.append(1))
    y = layer(np.ones((1, 2)))
    handle.remove()
    y.backward()
    assert not seen and layer.hooks is None


def test_a_hook_of_a_layer_works_for_second_derivatives():
    layer = layers.Dense(1, activation="sigmoid", dtype="float64")
    found = []
    for hook in (None, lambda layer, dy: dy * 1.0):
        if hook:
            layer.register_backward_hook(hook)
        x = Tensor(np.array([[0.3, -0.2]]), requires_grad=True)
        (dx,) = grad(layer(x), [x], create_graph=True)
        found.append(grad((dx * dx).sum(), [x])[0].numpy())
    assert np.allclose(*found)


@pytest.mark.parametrize("name", NAMES)
def test_layers_within_others_that_recompute_are_seen(name):
    model = network()
    wanted = model.gradients(X, Y)[name]
    model.recompute = True
    (seen,) = seen_by(model, name)
    assert np.allclose(seen, wanted, atol=1e-7)


def test_hooks_within_a_checkpoint_are_called():
    seen = []

    def f(x):
        x.register_hook(lambda dx: seen.append(("x", dx.item())))
        y = x * x
        y.register_hook(lambda dy: seen.append(("y", dy.item())))
        return y * 5

    x = leaf(2.0)
    (dx,) = grad(checkpoint(f, x * 3), [x])
    assert dx.item() == 5 * 2 * 6 * 3
    assert seen == [("y", 5), ("x", 60)]


def test_layers_without_hooks_pay_nothing():
    layer = layers.Dense(1)
    assert layer.hooks is None and Hookable.hooks is None
    y = layer(np.ones((1, 2)))
    assert y.hooks is None and layer.kernel.hooks is None


def test_hooks_of_calls_listen_to_no_gradient():
    layer = layers.Dense(1)
    with layer.register_forward_hook(lambda layer, inputs, output: None):
        assert layer(np.ones((1, 2))).hooks is None


def test_a_hook_adds_no_op_to_what_a_layer_has_computed():
    relu = layers.ReLU(dtype="float64")
    with relu.register_backward_hook(lambda layer, dy: None):
        y = relu(leaf([1.0, 2.0]))
    assert type(y.op) is type(ops.relu(leaf([1.0])).op)
