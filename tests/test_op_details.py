"""What the ops leave out, where nobody wants it, and what holds for many of them alike."""

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Tensor, Watcher, grad, watch


class _Names(Watcher):
    def __init__(self):
        self.names = []

    def after_forward(self, op, inputs, output):
        self.names.append(type(op).__name__)


def names_of_ops(function):
    watcher = _Names()
    with watch(watcher):
        function()
    return watcher.names


def positive(*shape, dtype=np.float64):
    return (np.random.default_rng(0).random(shape) + 0.5).astype(dtype)


PAIR = (positive(2), positive(2))
IMAGES = (positive(1, 4, 4, 2), positive(3, 3, 2, 5), positive(5))
ROWS = (positive(2, 3), positive(3), positive(3))

BACKWARD = {  # for each input alone, the ops that its gradient takes
    "subtract": (ops.subtract, PAIR, [[], ["Negate"]]),
    "multiply": (ops.multiply, PAIR, [["Multiply"], ["Multiply"]]),
    "divide": (ops.divide, PAIR, [["Divide"], ["Divide", "Negate", "Multiply"]]),
    "power": (
        ops.power,
        PAIR,
        [
            ["Choose", "Subtract", "Raise", "Multiply", "Multiply"],
            ["Choose", "Log", "Multiply", "Multiply"],
        ],
    ),
    "maximum": (ops.maximum, PAIR, [["Keep"], ["Keep"]]),
    "minimum": (ops.minimum, PAIR, [["Keep"], ["Keep"]]),
    "where": (lambda x, y: ops.where([True, False], x, y), PAIR, [["Keep"], ["Keep"]]),
    "concatenate": (lambda *xs: ops.concatenate(xs), PAIR, [["Read"], ["Read"]]),
    "matmul": (
        ops.matmul,
        (positive(2, 3), positive(3, 4)),
        [["Transpose", "MultiplyMatrices"], ["Transpose", "MultiplyMatrices"]],
    ),
    "linear": (
        ops.linear,
        (positive(2, 3), positive(3, 4), positive(4)),
        [["InputGradient"], ["WeightGradient"], ["Sum"]],
    ),
    "conv2d": (ops.conv2d, IMAGES, [["InputGradient"], ["WeightGradient"], ["Sum"]]),
    "conv_pool": (
        ops.conv_pool,
        IMAGES,
        [["Gate", "PooledInputGradient"], ["Gate", "PooledWeightGradient"], ["Gate", "Sum"]],
    ),
    "layer_norm": (
        ops.layer_norm,
        ROWS,
        [["InputGradient"], *[["InputGradient", "Sums", "Read", "Read"]] * 2],
    ),
    "batch_norm": (
        lambda *xs: ops.batch_norm(*xs)[0],
        ROWS,
        [["Sums", "InputGradient", "Read", "Read"], *[["Sums", "Read", "Read"]] * 2],
    ),
    "normalize": (  # of x, mean, variance, gamma and beta
        ops.normalize,
        (*ROWS, positive(3), positive(3)),
        [
            ["BroadcastTo", "Multiply"],
            ["Sum", "Negate", "Multiply"],
            ["BroadcastTo", "Subtract", "Multiply", "Sum"]
            + ["Multiply", "RaiseTo", "Multiply", "Multiply"],
            ["BroadcastTo", "Subtract", "Multiply", "Sum", "Multiply"],
            ["Sum", "Negate", "Multiply"],
        ],
    ),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_gradients_that_nobody_wants_are_not_computed(name):
    function, arrays, wanted = BACKWARD[name]
    for k, names in enumerate(wanted):
        xs = [Tensor(x, requires_grad=i == k) for i, x in enumerate(arrays)]
        y = function(*xs)
        seed = Tensor(np.ones(y.shape))
        assert names_of_ops(lambda y=y, x=xs[k], seed=seed: grad(y, [x], seed)) == names


FORWARD = {  # what would be noticed only by who counts
    "a fixed exponent": (lambda: Tensor(positive(2)) ** 2, ["RaiseTo"]),
    "a fixed exponent of NumPy": (lambda: Tensor(positive(2)) ** np.float64(2), ["RaiseTo"]),
}


@pytest.mark.parametrize("name", FORWARD)
def test_nothing_is_done_that_need_not_be(name):
    function, names = FORWARD[name]
    assert names_of_ops(function) == names


# An activation that is part of an op.


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape)


FUSED = {
    "add": (ops.add, (normal(3, 4), normal(4))),
    "linear": (ops.linear, (normal(3, 2), normal(2, 4), normal(4))),
    "linear, no bias": (ops.linear, (normal(3, 2), normal(2, 4))),
    "conv2d": (ops.conv2d, (normal(2, 4, 4, 2), normal(3, 3, 2, 3), normal(3))),
    "conv2d, no bias": (ops.conv2d, (normal(2, 4, 4, 2), normal(3, 3, 2, 3))),
    "conv2d_transpose": (
        ops.conv2d_transpose,
        (normal(2, 3, 3, 2), normal(3, 3, 3, 2), normal(3)),
    ),
    "batch_norm": (
        lambda *xs, activation: ops.batch_norm(*xs, activation=activation)[0],
        (normal(5, 3), normal(3), normal(3)),
    ),
    "normalize": (ops.normalize, (normal(5, 3), normal(3), normal(3) ** 2, normal(3), normal(3))),
}


@pytest.mark.parametrize("name", FUSED)
def test_relu_within_an_op_is_relu_after_it_in_value_and_gradients(name):
    function, arrays = FUSED[name]
    xs = [Tensor(array, requires_grad=True) for array in arrays]
    one, two = function(*xs, activation="relu"), ops.relu(function(*xs, activation=None))
    assert (one.data == 0).any() and (one.data > 0).any()
    np.testing.assert_allclose(one.data, two.data, rtol=1e-12)
    seed = Tensor(normal(*one.shape))
    for dx, right in zip(grad(one, xs, seed), grad(two, xs, seed), strict=True):
        np.testing.assert_allclose(dx.data, right.data, rtol=1e-10, atol=1e-12)


# On a second device, here the emulated one: arrays and numbers join the tensor beside them.


def there(*numbers):
    return Tensor(np.array(numbers, np.float64)).to("emulator")


BESIDE = {
    "a number": lambda x: x + 1,
    "a number on the left": lambda x: 2 - x,
    "an array": lambda x: x * np.array([1.0, 2.0]),
    "an array of integers": lambda x: np.array([1, 2]) * x,
    "a number beside integers": lambda x: Tensor(x.data.astype(int), device=x.device) + 1.5,
    "integers of another type": lambda x: (
        Tensor(x.data.astype(int), device=x.device) + Tensor(np.ones(2, np.int8)).to(x.device)
    ),
    "a condition": lambda x: ops.where(np.array([True, False]), x, 0.0),
    "a condition from there": lambda x: ops.where(x > 1, x, 0.0),
    "an index": lambda x: x[[1, 0]],
    "an index from there": lambda x: x[x > 1],
    "the largest": ops.max,
    "the smallest": lambda x: ops.min(x, axis=0, keepdims=True),
    "a frame": lambda x: ops.pad(x, 1),
    "a row": lambda x: ops.concatenate([x, x]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_everything_joins_the_device_of_the_tensor_beside_it(name):
    here = Tensor(np.array([1.0, 3.0]))
    result = BESIDE[name](there(1, 3))
    assert result.device == "emulator"
    np.testing.assert_array_equal(result.numpy(), BESIDE[name](here).numpy())


# Types.


def test_a_number_of_numpy_counts_as_a_plain_number_beside_integers():
    x = Tensor(np.array([1, 2], np.int8))
    assert (x * np.int64(3)).dtype == np.int8
    assert (x + np.float32(0.5)).dtype == np.float64
    assert (x + np.float32(0.5)).data.tolist() == [1.5, 2.5]


def test_the_bounds_of_clip_may_be_equal():
    assert ops.clip(Tensor([0.0, 5.0]), 2, 2).data.tolist() == [2, 2]
