"""What the ops compute. Gradient checks cannot tell: they compare backward with forward only."""

import math

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Op, Tensor, Watcher, grad, watch

E = math.e
ROW = Tensor(np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1))  # an image of one row
PAIR = Tensor(np.array([1.0, 10]).reshape(1, 2, 1, 1))  # a filter that reads two neighbours
DOUBLED = [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]  # ROW, with the means between
SQUARE = Tensor([[1.0, 2], [3, 4]])
PIXELS = Tensor(np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]]))
NAN = float("nan")


def T(*numbers):
    return Tensor(np.array(numbers, np.float64))


VALUES = {
    "add": (lambda: T(1, 2) + 3, [4, 5]),
    "add, relu": (lambda: ops.add(T(1, 2), T(-3, 2), activation="relu"), [0, 4]),
    "subtract": (lambda: 3 - T(1, 2), [2, 1]),
    "multiply": (lambda: T([1], [2]) * np.array([3, 4]), [[3, 4], [6, 8]]),
    "divide": (lambda: 1 / T(2, 4), [0.5, 0.25]),
    "negative": (lambda: -T(1, -2), [-1, 2]),
    "power": (lambda: T(2, 3) ** 3, [8, 27]),
    "power, of tensors": (lambda: T(2, 3) ** T(3, 2), [8, 9]),
    "power, of a number": (lambda: 2 ** T(3, 0), [8, 1]),
    "exp": (lambda: ops.exp(T(0, 1)), [1, E]),
    "log": (lambda: ops.log(T(1, E)), [0, 1]),
    "sqrt": (lambda: ops.sqrt(T(4, 9)), [2, 3]),
    "square": (lambda: ops.square(T(2, -3)), [4, 9]),
    "abs": (lambda: abs(T(2, -3)), [2, 3]),
    "maximum": (lambda: ops.maximum(T(1, 5), 3), [3, 5]),
    "minimum": (lambda: ops.minimum(T(1, 5), 3), [1, 3]),
    "clip": (lambda: ops.clip(T(-2, 0.5, 3), 0, 1), [0, 0.5, 1]),
    "where": (lambda: ops.where(np.array([True, False]), T(1, 2), 9), [1, 9]),
    "sigmoid": (lambda: ops.sigmoid(T(0, math.log(3), -math.log(3))), [0.5, 0.75, 0.25]),
    "tanh": (lambda: ops.tanh(T(0, math.log(3))), [0, 0.8]),
    "relu": (lambda: ops.relu(T(-1, 2)), [0, 2]),
    "leaky_relu": (lambda: ops.leaky_relu(T(-1, 2)), [-0.2, 2]),
    "elu": (lambda: ops.elu(T(-math.log(2), 3), alpha=4), [-2, 3]),
    # P(Z < 1) from a table of the normal distribution
    "gelu": (lambda: ops.gelu(T(0, 1, -1)), [0, 0.8413447460685429, -0.15865525393145707]),
    "gelu, approximate": (
        lambda: ops.gelu(T(1, 0.5, -2.5), approximate=True),
        [
            x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
            for x in (1, 0.5, -2.5)
        ],
    ),
    "silu": (lambda: ops.silu(T(0, math.log(3))), [0, 0.75 * math.log(3)]),
    "softplus": (lambda: ops.softplus(T(0, math.log(3))), [math.log(2), math.log(4)]),
    "reshape": (lambda: ops.reshape(T(1, 2, 3, 4), (2, -1)), [[1, 2], [3, 4]]),
    "transpose": (lambda: ops.transpose(SQUARE), [[1, 3], [2, 4]]),
    "flip": (lambda: ops.flip(SQUARE, axis=1), [[2, 1], [4, 3]]),
    "cast": (lambda: ops.cast(T(0.1), "float32"), [np.float32(0.1)]),
    "concatenate": (lambda: ops.concatenate([T(1, 2), T(3)]), [1, 2, 3]),
    "concatenate, of an axis": (
        lambda: ops.concatenate([SQUARE, SQUARE], axis=-1),
        [[1, 2, 1, 2], [3, 4, 3, 4]],
    ),
    "stack": (lambda: ops.stack([T(1, 2), T(3, 4)], axis=-1), [[1, 3], [2, 4]]),
    "pad": (lambda: ops.pad(T(1, 2), (2, 1), value=7), [7, 7, 1, 2, 7]),
    "getitem": (lambda: SQUARE[1], [3, 4]),
    "getitem, integers": (lambda: SQUARE[[1, 1, 0], [0, 1, 1]], [3, 4, 2]),
    "getitem, truth values": (lambda: SQUARE[SQUARE > 1.5], [2, 3, 4]),
    "getitem, a tensor": (lambda: SQUARE[Tensor(np.array([1]))], [[3, 4]]),
    "gather_pixels": (
        lambda: ops.gather_pixels(PIXELS, [[1, 0]], [[0, -1, 1]], 9),
        [[[[3], [9], [4]], [[1], [9], [2]]]],
    ),
    "sum": (lambda: ops.sum(Tensor(np.ones((2, 1, 3))), axis=0), [[2, 2, 2]]),
    "sum, of one": (lambda: ops.sum(T([1, 2]), axis=0), [1, 2]),
    "mean": (lambda: ops.mean(T([1, 3], [5, 7]), axis=-1), [2, 6]),
    "variance": (lambda: ops.variance(T([1, 3], [5, 9]), axis=1), [1, 4]),
    "max": (lambda: ops.max(T([1, 7], [5, 3])), 7),
    "max, of an axis": (lambda: ops.max(T([1, 7], [5, 3]), axis=0), [5, 7]),
    "min": (lambda: ops.min(T([1, 7], [5, 3]), axis=0, keepdims=True), [[1, 3]]),
    "logsumexp": (lambda: ops.logsumexp(T(1000, 1000, 1000)), 1000 + math.log(3)),
    "broadcast_to": (lambda: ops.broadcast_to(T(1, 2), (2, 2)), [[1, 2], [1, 2]]),
    "linear": (lambda: ops.linear(T([1, 2]), T([3, -3], [4, 4]), T(1, -9)), [[12, -4]]),
    "linear, relu": (lambda: ops.linear(T([1, 2]), T([-3], [1]), activation="relu"), [[0]]),
    "matmul": (lambda: T([1, 2]) @ T([3], [4]), [[11]]),
    "matmul, vectors": (lambda: T(1, 2) @ T(3, 4), 11),
    "softmax": (lambda: ops.softmax(T(1000, 1000)), [0.5, 0.5]),
    "softmax, of an axis": (lambda: ops.softmax(SQUARE * 0, axis=0), [[0.5, 0.5], [0.5, 0.5]]),
    "log_softmax": (
        lambda: ops.log_softmax(T(0, math.log(3))),
        [-math.log(4), math.log(0.75)],
    ),
    "log_softmax, of large numbers": (lambda: ops.log_softmax(T(0, 1000)), [-1000, 0]),
    "softmax_cross_entropy": (
        lambda: ops.softmax_cross_entropy(T([0, 1000], [0, 0]), np.array([0, 1])),
        [1000, math.log(2)],
    ),
    "softmax_cross_entropy, one-hot": (
        lambda: ops.softmax_cross_entropy(T([0, 1000], [0, 0]), np.eye(2)),
        [1000, math.log(2)],
    ),
    # the target is (0.9, 0.1), and log softmax is (0, -1000)
    "softmax_cross_entropy, smoothed": (
        lambda: ops.softmax_cross_entropy(T([1000, 0]), np.array([0]), label_smoothing=0.2),
        [100],
    ),
    "dropout": (lambda: ops.dropout(T(1, 2), rate=0, seed=0), [1, 2]),
    "dropout, of all": (lambda: ops.dropout(T(1, 2), rate=1, seed=0), [0, 0]),
    "conv2d": (lambda: ops.conv2d(ROW, PAIR, T(0.5)), [[[[21.5], [32.5], [43.5]]]]),
    "conv2d, same": (  # the odd zero comes after the row
        lambda: ops.conv2d(ROW, PAIR, padding="same"),
        [[[[21], [32], [43], [4]]]],
    ),
    "conv2d, relu": (
        lambda: ops.conv2d(ROW, PAIR, T(-30), activation="relu"),
        [[[[0], [2], [13]]]],
    ),
    "batch_norm": (
        lambda: ops.batch_norm(T([1, 5], [3, 9]), T(1, 2), T(0, 7), epsilon=0)[0],
        [[-1, 5], [1, 9]],
    ),
    "normalize": (
        lambda: ops.normalize(T([5], [7]), T(1), T(2), T(3), T(1), epsilon=7),
        [[5], [7]],
    ),
    "conv2d, dilation": (lambda: ops.conv2d(ROW, PAIR, dilation=2), [[[[31], [42]]]]),
    "conv2d, strides": (lambda: ops.conv2d(ROW, PAIR, strides=2), [[[[21], [43]]]]),
    "conv2d, groups": (  # two channels of one pixel, each with a filter of its own
        lambda: ops.conv2d(T([[[2, 3]]]), T([[[10, 100]]]), groups=2),
        [[[[20, 300]]]],
    ),
    "layer_norm": (
        lambda: ops.layer_norm(T([1, 3], [9, 5]), T(2, 4), T(0, 1), epsilon=0),
        [[-2, 5], [2, -3]],
    ),
    "layer_norm, of axes": (  # the two images of two pixels: spread 1 and 3
        lambda: ops.layer_norm(T([[[1], [3]]], [[[0], [6]]]), T([1], [1]), T([0], [0]), (2, 3), 0),
        [[[[-1], [1]]], [[[-1], [1]]]],
    ),
    "group_norm": (  # pixels 1, 3 and channels by pairs: the mean of the first pair is 2, spread 1
        lambda: ops.group_norm(T([[1, 1, 0, 5], [3, 3, 0, 5]]), T(1, 2, 2, 2), T(0, 0, 0, 1), 2, 0),
        [[[-1, -2, -2, 3], [1, 2, -2, 3]]],
    ),
    "group_norm, epsilon": (
        lambda: ops.group_norm(T([3, 5]), T(4, 4), T(0, 0), 1, epsilon=3),
        [[-2, 2]],
    ),
    "conv2d_transpose": (
        lambda: ops.conv2d_transpose(ROW, PAIR),
        [[[[1], [12], [23], [34], [40]]]],
    ),
    "conv2d_transpose, strides": (  # same: the last one is cut off, there are 4 * 1 pixels
        lambda: ops.conv2d_transpose(ROW, PAIR, padding="same"),
        [[[[1], [12], [23], [34]]]],
    ),
    "conv2d_transpose, gaps": (
        lambda: ops.conv2d_transpose(ROW, PAIR, strides=(1, 3), bias=T(-5), activation="relu"),
        [[[[0], [5], [0], [0], [15], [0], [0], [25], [0], [0], [35], [0]]]],
    ),
    "resize": (lambda: ops.resize(ROW, (1, 8)), [[[[k] for k in DOUBLED]]]),
    "resize, nearest": (lambda: ops.resize(ROW, (2, 2), "nearest"), [[[[2], [4]], [[2], [4]]]]),
    "resize, half": (lambda: ops.resize(ROW, (1, 2)), [[[[1.5], [3.5]]]]),
    "resize, antialias": (  # shares 3, 3, 1 of 7 and 1, 3, 3 of 7
        lambda: ops.resize(ROW, (1, 2), antialias=True),
        [[[[12 / 7], [23 / 7]]]],
    ),
    "warp": (lambda: ops.warp(ROW, [[1, 0, 0.5, 0, 1, 0]]), [[[[1.5], [2.5], [3.5], [2]]]]),
    "warp, nearest": (  # twice as wide around the first pixel, and what is mirrored behind the last
        lambda: ops.warp(ROW, [[2, 0, 0, 0, 1, 0]], "nearest", "reflect"),
        [[[[1], [3], [4], [2]]]],
    ),
    "max_pool2d": (lambda: ops.max_pool2d(ROW, (1, 2)), [[[[2], [4]]]]),
    "max_pool2d, same": (  # padding loses even against negative numbers
        lambda: ops.max_pool2d(-ROW, (1, 3), strides=1, padding="same"),
        [[[[-1], [-1], [-2], [-3]]]],
    ),
    "conv_pool": (  # 21, 32 and 43, less 22: the larger of the first two
        lambda: ops.conv_pool(ROW, PAIR, T(-22), pool_size=(1, 2)),
        [[[[10]]]],
    ),
    "conv_pool, relu": (lambda: ops.conv_pool(ROW, PAIR, T(-50), pool_size=(1, 3)), [[[[0]]]]),
    "average_pool2d": (lambda: ops.average_pool2d(ROW, (1, 2)), [[[[1.5], [3.5]]]]),
    "average_pool2d, same": (  # padding is not counted
        lambda: ops.average_pool2d(ROW, (1, 3), strides=1, padding="same"),
        [[[[1.5], [2], [3], [3.5]]]],
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_value(name, device, monkeypatch):
    for constant in ("ROW", "PAIR"):  # were made before the device was chosen
        monkeypatch.setitem(globals(), constant, globals()[constant].to(device))
    function, expected = VALUES[name]
    np.testing.assert_allclose(function().numpy(), np.array(expected), rtol=4e-15, strict=False)
    assert function().shape == np.shape(expected)


def test_every_op_has_a_value():
    assert {name.split(",")[0] for name in VALUES} == set(ops.__all__)


def slope(function, x):
    x = Tensor(np.array(x, np.float64), requires_grad=True)
    return grad(ops.sum(function(x)), [x])[0].data.tolist()


# Where there is a kink, one of the possible slopes is chosen.


def test_relu_has_slope_0_at_0():
    assert slope(ops.relu, 0) == 0


def test_a_sum_with_relu_has_slope_0_at_0():
    assert slope(lambda x: ops.add(x, 2, activation="relu"), [-3, -2, -1]) == [0, 0, 1]


def test_leaky_relu_and_elu_have_the_left_slope_at_0():
    assert slope(lambda x: ops.leaky_relu(x, negative_slope=0.3), 0) == 0.3
    assert slope(lambda x: ops.elu(x, alpha=0.3), 0) == 0.3


def test_abs_has_slope_0_at_0():
    assert slope(ops.abs, [-2, 0, 2]) == [-1, 0, 1]


def test_of_equal_numbers_the_first_wins():
    assert slope(ops.max, [[1, 3], [3, 3]]) == [[0, 1], [0, 0]]
    assert slope(lambda x: ops.max(x, axis=0), [[1, 3], [3, 3]]) == [[0, 1], [1, 0]]
    assert slope(ops.min, [[4, 3], [3, 3]]) == [[0, 1], [0, 0]]


def test_of_equal_axes_the_first_in_row_major_order_wins_however_they_are_named():
    x, winner = [[1, 1, 3], [3, 1, 1]], [[0, 0, 1], [0, 0, 0]]
    assert slope(lambda x: ops.max(x, axis=(1, 0)), x) == slope(ops.max, x) == winner


def test_maximum_and_minimum_of_equals_is_the_first_operand():
    for op in ops.maximum, ops.minimum:
        assert slope(lambda x, op=op: op(x, 1.0), 1) == 1
        assert slope(lambda x, op=op: op(1.0, x), 1) == 0


def test_clip_passes_the_gradient_on_its_bounds():
    assert slope(lambda x: ops.clip(x, 0, 1), [-1, 0, 0.5, 1, 2]) == [0, 1, 1, 1, 0]


def test_sqrt_has_an_infinite_slope_at_0():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert slope(ops.sqrt, 0) == math.inf


def test_powers_of_0_have_no_nan_in_their_slopes():
    assert slope(lambda x: x**0, 0) == 0
    assert slope(lambda x: x**1, 0) == 1
    assert slope(lambda x: x**2, 0) == 0
    assert slope(lambda x: x ** T(0, 1, 2), [0, 0, 0]) == [0, 1, 0]
    assert slope(lambda y: T(0, 0) ** y, [1, 2]) == [0, 0]


# NaN says that something went wrong, and must not be swallowed.

KEEP_NAN = {
    "relu": ops.relu,
    "leaky_relu": ops.leaky_relu,
    "elu": ops.elu,
    "gelu": ops.gelu,
    "silu": ops.silu,
    "softplus": ops.softplus,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "abs": ops.abs,
    "clip": lambda x: ops.clip(x, 0, 1),
    "maximum": lambda x: ops.maximum(x, 0),
    "maximum, the other way": lambda x: ops.maximum(0, x),
    "minimum": lambda x: ops.minimum(x, 0),
    "max": lambda x: ops.max(x, axis=0, keepdims=True),
    "min": lambda x: ops.min(x, axis=0, keepdims=True),
    "logsumexp": lambda x: ops.logsumexp(x, axis=0, keepdims=True),
    "softmax": lambda x: ops.softmax(x, axis=0),
    "log_softmax": lambda x: ops.log_softmax(x, axis=0),
    "sum": ops.sum,
    "variance": ops.variance,
    "softmax_cross_entropy": lambda x: ops.softmax_cross_entropy(
        ops.reshape(x, (1, -1)), np.array([0])
    ),
    "max_pool2d": lambda x: ops.max_pool2d(ops.reshape(x, (1, 1, -1, 1)), (1, 3)),
    "conv_pool": lambda x: ops.conv_pool(
        ops.reshape(x, (1, 1, -1, 1)), T([[[1]]]), pool_size=(1, 3)
    ),
    "average_pool2d": lambda x: ops.average_pool2d(ops.reshape(x, (1, 1, -1, 1)), (1, 3)),
}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", KEEP_NAN)
def test_nan_stays_nan(name, place):
    numbers = [1.0, 2.0, 3.0]
    numbers[place] = NAN
    y = KEEP_NAN[name](T(*numbers)).data
    assert np.isnan(y.reshape(-1)[place if y.size == 3 else 0])


def test_the_gradient_of_a_maximum_goes_to_nan():
    assert slope(lambda x: ops.maximum(x, 0), NAN) == 1
    assert slope(lambda x: ops.maximum(0, x), NAN) == 1


# Numbers of any size; a warning would be an error.


def test_activations_neither_overflow_nor_lose_small_numbers():
    far = T(-1000, 1000)
    assert ops.sigmoid(far).data.tolist() == [0, 1]
    assert ops.softplus(far).data.tolist() == [0, 1000]
    assert ops.elu(far).data.tolist() == [-1, 1000]
    assert ops.silu(far).data.tolist() == [0, 1000]
    assert ops.gelu(far).data.tolist() == [0, 1000]
    small = Tensor([-30.0])  # in float32
    np.testing.assert_allclose(ops.sigmoid(small).data, [math.exp(-30)], rtol=1e-5)
    np.testing.assert_allclose(ops.softplus(small).data, [math.exp(-30)], rtol=1e-5)
    np.testing.assert_allclose(ops.gelu(Tensor([-5.0])).data, [-5 * 2.866515718791939e-07], 1e-5)


def test_logsumexp_of_nothing_but_minus_infinity_is_minus_infinity():
    assert ops.logsumexp(T(-math.inf, -math.inf)).item() == -math.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_is_exact_for_logits_of_10000(dtype):
    x = Tensor(np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype), requires_grad=True)
    loss = ops.softmax_cross_entropy(x, np.array([1, 0]))
    assert loss.dtype == dtype
    assert loss.data.tolist() == [2e4, 0]
    (dx,) = grad(ops.sum(loss), [x])
    assert dx.data.tolist() == [[1, -1, 0], [0, 0, 0]]


def test_cross_entropy_takes_labels_in_many_forms():
    x = T([1, 2, 3], [4, 4, 1])
    expected = ops.softmax_cross_entropy(x, np.array([2, 0])).data
    one_hot = np.array([[0, 0, 1], [1, 0, 0]])
    for labels in (
        np.array([2, 0], np.uint8),
        np.array([[2], [0]]),
        np.array([2.0, 0.0], np.float32),
        [2, 0],
        Tensor(np.array([2, 0])),
        one_hot,
        one_hot.astype(bool),
        one_hot.astype(np.float32),
    ):
        np.testing.assert_array_equal(ops.softmax_cross_entropy(x, labels).data, expected)


def test_cross_entropy_does_not_change_with_the_labels_afterwards():
    x, labels = Tensor(np.zeros((1, 2)), requires_grad=True), np.array([[1.0, 0.0]])
    loss = ops.sum(ops.softmax_cross_entropy(x, labels))
    labels[:] = 0, 1
    assert grad(loss, [x])[0].data.tolist() == [[-0.5, 0.5]]


def test_an_index_that_changes_afterwards_does_not_change_the_gradient():
    x, index = Tensor(np.zeros(3), requires_grad=True), np.array([0, 0])
    y = ops.sum(x[index])
    index[:] = 2
    assert grad(y, [x])[0].data.tolist() == [2, 0, 0]


def test_a_condition_that_changes_afterwards_does_not_change_the_gradient():
    x, condition = Tensor(np.zeros(2), requires_grad=True), np.array([True, False])
    y = ops.sum(ops.where(condition, x, 0.0))
    condition[:] = False
    assert grad(y, [x])[0].data.tolist() == [1, 0]


def test_softmax_and_sigmoid_remember_their_logits():
    x = T([1, 2], [3, 4])
    assert ops.softmax(x).logits is x
    assert ops.sigmoid(x).logits is x
    assert ops.softmax(x, axis=0).logits is None  # a loss adds up along the last axis
    assert ops.tanh(x).logits is None


# Dropout.


def test_dropout_keeps_the_mean_and_the_rate():
    x = Tensor(np.ones(100_000))
    y = ops.dropout(x, rate=0.3, seed=0).data
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.006)  # four standard deviations


def test_dropout_depends_on_the_seed_and_on_nothing_else():
    x = Tensor(np.ones((40, 50)))
    a, b, c = (ops.dropout(x, 0.5, seed).data for seed in (1, 1, 2))
    assert (a == b).all() and (a != c).any()
    generator = np.random.default_rng(0)
    d, e = (ops.dropout(x, 0.5, generator).data for _ in range(2))
    assert (d != e).any()
    assert (d == ops.dropout(x, 0.5, np.random.default_rng(0)).data).all()


def test_neighbouring_numbers_and_seeds_are_dropped_independently():
    x = Tensor(np.ones(50_000))
    kept = np.array([ops.dropout(x, 0.5, seed).data > 0 for seed in range(4)])
    agree = [np.mean(kept[0] == kept[k]) for k in (1, 2, 3)]
    agree += [np.mean(kept[0, :-lag] == kept[0, lag:]) for lag in (1, 2, 8)]
    np.testing.assert_allclose(agree, 0.5, atol=0.009)  # four standard deviations


def test_dropout_of_channels_drops_whole_channels():
    y = ops.dropout(Tensor(np.ones((4, 3, 5, 8))), 0.5, seed=0, noise_shape=(4, 1, 1, 8)).data
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y)) == {0, 2}


# Types: what is beside float32 becomes float32.


def test_numbers_and_arrays_of_integers_leave_float32_as_it_is():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    numbers = (x + 1, 1 - x, 2 * x, x / 3, 1 / x, -x, x**2, x**0.5, 2**x, ops.mean(x), x.var())
    numbers += x * np.float64(0.5), x * np.int64(2), ops.maximum(x, 0.5), ops.where(x > 0, x, 0)
    numbers += ops.clip(x, 0, 1), x ** np.float64(2), ops.leaky_relu(x, 0.1), ops.elu(x, 0.1)
    for y in (*numbers, x * np.array([1, 2]), x * np.array([True, False])):
        assert y.dtype == np.float32
        assert grad(ops.sum(y), [x])[0].dtype == np.float32


def test_the_wider_type_wins_and_each_gradient_has_the_type_of_its_input():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = Tensor(np.ones(2, np.float64), requires_grad=True)
    for z in x * y, ops.concatenate([x, y]), x @ y, ops.stack([x, y]):
        assert z.dtype == np.float64
        dx, dy = grad(ops.sum(z), [x, y])
        assert (dx.dtype, dy.dtype) == (np.float32, np.float64)


def test_integers_stay_integers_beside_integers():
    x = Tensor(np.array([1, 2]))
    assert (x + 1).data.tolist() == [2, 3]
    assert (x + 1).dtype == x.dtype
    assert (x * np.array([2], np.int8)).dtype == x.dtype
    assert (x + 0.5).data.tolist() == [1.5, 2.5]


def test_an_array_on_the_left_makes_a_tensor():
    for y in (np.ones(2) * T(1, 2), np.ones((1, 2)) @ T(1, 2), np.float64(1) - T(1, 2)):
        assert isinstance(y, Tensor)


# What costs nothing should cost nothing.


class _Names(Watcher):
    def __init__(self):
        self.names = []

    def after_forward(self, op, inputs, output):
        self.names.append(type(op).__name__)


def _ops_in(function):
    names = _Names()
    with watch(names):
        function()
    return names.names


def test_equal_shapes_are_not_broadcast():
    x = T(1, 2)
    assert _ops_in(lambda: x + x) == ["Add"]
    assert _ops_in(lambda: x + 1) == ["Add"]
    assert _ops_in(lambda: x.reshape(2)) == []
    assert _ops_in(lambda: ops.cast(x, "float64")) == []


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sums_of_many_numbers_are_those_of_numpy_in_any_order(dtype):
    x, y = np.random.default_rng(0).normal(size=(2, 200, 300)).astype(dtype)
    for a, b in [(x, y), (x.T, y.T), (x[::2], y[1::2]), (x, y[:1])]:
        z, cut = ops.add(Tensor(a), Tensor(b)), ops.add(Tensor(a), Tensor(b), activation="relu")
        assert z.dtype == cut.dtype == dtype
        np.testing.assert_array_equal(z.data, a + b)
        np.testing.assert_array_equal(cut.data, np.maximum(a + b, 0))


def test_a_batch_of_rows_is_multiplied_by_one_matrix_at_once():
    x, weight = Tensor(np.ones((5, 2, 3))), Tensor(np.ones((3, 4)))
    assert _ops_in(lambda: x @ weight) == ["Reshape", "MultiplyMatrices", "Reshape"]


def test_inputs_that_need_no_gradient_get_none(monkeypatch):
    calls = []
    forward = Op.__call__
    monkeypatch.setattr(Op, "__call__", lambda op, *xs: calls.append(op) or forward(op, *xs))
    x, weight = Tensor(np.ones((2, 3))), Tensor(np.ones((3, 4)), requires_grad=True)
    y = ops.sum(x @ weight)
    calls.clear()
    y.backward()
    assert sum(type(op).__name__ == "MultiplyMatrices" for op in calls) == 1


def test_conv2d_of_images_that_need_no_gradient_computes_none(monkeypatch):
    from minicnn.ops.conv2d import InputGradient

    monkeypatch.delattr(InputGradient, "forward")
    weight = Tensor(PAIR.data, requires_grad=True)
    ops.sum(ops.conv2d(ROW, weight)).backward()
    assert weight.grad.data.ravel().tolist() == [6, 9]


def test_tensors_can_be_looped_over():
    assert [row.data.tolist() for row in SQUARE] == [[1, 2], [3, 4]]


def test_nothing_can_be_reshaped_to_nothing():
    assert ops.reshape(Tensor(np.zeros((0, 3))), (0, -1)).shape == (0, 0)
