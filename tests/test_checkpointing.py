"""checkpoint: the same numbers, bit by bit, in less memory."""

import tracemalloc

import numpy as np
import pytest

from minicnn import (
    Tensor,
    check_gradient,
    checkpoint,
    grad,
    layers,
    losses,
    no_grad,
    ops,
    random,
)
from minicnn.variable import Variable


def block():
    """Layers with everything that could go wrong: random numbers, running averages, pooling."""
    return [
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.GaussianNoise(0.1),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]


def cross_entropy(y):
    return ops.softmax_cross_entropy(y.logits, np.array([0, 2, 1, 1])).mean()


def squares(y):
    return (y * y).mean()


def trained(through, loss_of=cross_entropy):
    """The results of a step of a network, computed by through(f, x): everything that can differ."""
    random.set_seed(3)
    network = block()

    def f(x):
        for layer in network:
            x = layer(x, training=True)
        return x

    x = Tensor(np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("f"), requires_grad=True)
    y = through(f, x * 2)
    loss = loss_of(y)
    weights = [weight for layer in network for weight in layer.weights if weight.trainable]
    gradients = grad(loss, [x, *weights])
    state = [weight for layer in network for weight in layer.weights]
    return [tensor.data for tensor in (y, loss, *gradients, *state)]


@pytest.mark.parametrize("loss_of", [cross_entropy, squares])
def test_results_gradients_masks_and_averages_are_the_same_bit_by_bit(loss_of):
    plain = trained(lambda f, x: f(x), loss_of)
    for found, wanted in zip(trained(checkpoint, loss_of), plain, strict=True):
        assert found.dtype == wanted.dtype and np.array_equal(found, wanted)


def test_a_mask_that_is_drawn_again_would_be_noticed():
    one = trained(lambda f, x: f(x))
    other = trained(lambda f, x: (f(x), f(x))[1])  # draws twice, as a second run of f would
    assert not np.array_equal(one[0], other[0])


def test_what_is_no_tensor_is_handed_on_as_it_is():
    x = Tensor([1.0, 2.0], requires_grad=True)
    checkpoint(lambda x, factor: x * factor, x * 1, 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_probabilities_keep_the_scores_that_they_were_made_of():
    scores = Tensor([[0.0, 1000.0]], requires_grad=True)
    loss = checkpoint(lambda p: losses.categorical_crossentropy([[1, 0]], p), ops.softmax(scores))
    assert loss.item() == 1000


def test_the_function_runs_once():
    runs = []

    def f(x):
        runs.append(x)
        return ops.tanh(x)

    x = Tensor([1.0, 2.0], requires_grad=True)
    checkpoint(f, x).sum().backward()
    assert len(runs) == 1 and x.grad is not None


def deep(through, layer_count=16):
    x = Tensor(np.full((64, 1000), 0.5), requires_grad=True)
    y = x
    for _ in range(layer_count):
        y = through(lambda y: ops.tanh(ops.sigmoid(ops.tanh(ops.sigmoid(y)))), y)
    return x, y


def peak_of(through):
    """The most bytes that NumPy and Python held during a forward and a backward pass."""
    tracemalloc.start()
    try:
        x, y = deep(through)
        grad(y.sum(), [x])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_is_that_of_the_inputs():
    from minicnn.kernels import memory

    memory.release()
    array = 64 * 1000 * 8
    plain = peak_of(lambda f, x: f(x)) / array
    memory.release()
    saving = peak_of(checkpoint) / array
    assert plain > 4 * 16  # every result is kept
    assert saving < 16 + 12  # one for each block, and what a single block needs


def test_weights_that_the_function_reads_get_their_gradients():
    w = Variable(np.array([2.0, 3.0]))
    x = Tensor(np.array([1.0, -1.0]), requires_grad=True)
    y = checkpoint(lambda x: x * w * w, x)
    dx, dw = grad(y.sum(), [x, w])
    assert np.array_equal(dx.data, w.data**2) and np.array_equal(dw.data, 2 * w.data * x.data)


def test_what_was_computed_outside_gets_its_gradient_too():
    x = Tensor(np.array([1.0, 3.0]), requires_grad=True)
    h = x * x
    (dx,) = grad(checkpoint(lambda a: a * h, x).sum(), [x])
    assert np.array_equal(dx.data, 3 * x.data**2)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_are_right_to_third_order(order):
    rng = np.random.default_rng(1)

    def f(x, w):
        return checkpoint(lambda x, w: ops.tanh(ops.matmul(x, w)) * x, x, w)

    check_gradient(f, rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), order=order)


def test_checkpoints_can_be_nested():
    def inner(x):
        return checkpoint(lambda x: ops.tanh(x) * x, x)

    def f(x):
        return checkpoint(lambda x: inner(inner(x)), x)

    check_gradient(f, np.array([0.3, -1.2]))


def test_several_outputs_keep_their_form_and_their_gradients():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    a, b = checkpoint(lambda x: (x * x, x.sum()), x)
    (dx,) = grad((a * 3).sum() + b * 5, [x])
    assert np.array_equal(dx.data, 6 * x.data + 5)
    assert isinstance(checkpoint(lambda x: [x * 2], x), list)


def test_an_input_can_be_returned_as_it_is():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    h = x * 2
    same, constant = checkpoint(lambda h: (h, Tensor(np.ones(2))), h)
    assert same is h and not constant.requires_grad


def test_other_arguments_are_passed_on():
    dropout = layers.Dropout(0.5, seed=1)
    x = Tensor(np.ones((50, 50), np.float32), requires_grad=True)
    assert (checkpoint(dropout, x, training=True).data == 0).any()
    assert not (checkpoint(dropout, x, training=False).data == 0).any()


def test_inside_no_grad_nothing_is_to_be_remembered():
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        assert not checkpoint(ops.tanh, x).requires_grad


def test_weights_that_change_before_the_gradient_are_noticed():
    dense = layers.Dense(2)
    x = Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    y = checkpoint(dense, x)
    dense.kernel.assign(np.zeros((3, 2)))
    with pytest.raises(RuntimeError, match="new data"):
        grad(y.sum(), [x])


def test_a_tensor_that_is_kept_back_is_an_error():
    dense = layers.Dense(2, activity_regularizer="l2")
    x = Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    with pytest.raises(RuntimeError, match="checkpoint: the function keeps a tensor .* add_loss"):
        checkpoint(dense, x)


def test_a_function_must_return_tensors():
    with pytest.raises(TypeError, match="checkpoint: .* has returned ndarray"):
        checkpoint(lambda x: x.data, Tensor([1.0]))
