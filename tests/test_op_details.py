"""What the ops leave out, where nobody wants it, and what holds for many of them alike."""

import numpy as np
import pytest
from cases import CASES

from minicnn import get_device, jvp, ops, set_device
from minicnn.autograd import Tensor, Watcher, grad, watch
from minicnn.backend import kernels
from minicnn.gradcheck import check_gradient


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
            + ["Divide", "Negate", "Multiply", "Multiply", "Divide"],
            ["BroadcastTo", "Subtract", "Multiply", "Sum", "Divide"],
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
    "the same size": (lambda: ops.resize(Tensor(IMAGES[0]), (4, 4)), []),
    "the same rows": (lambda: ops.resize(Tensor(IMAGES[0]), (4, 5)), ["Interpolate"]),
    "the same type": (lambda: ops.concatenate([Tensor(x) for x in PAIR]), ["Concatenate"]),
    "the last axis": (lambda: ops.layer_norm(*map(Tensor, ROWS)), ["NormalizeRows"]),
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
    "products of batches": lambda x: ops.reshape(x, (2, 1, 1)) @ ops.reshape(x, (2, 1, 1)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_everything_joins_the_device_of_the_tensor_beside_it(name):
    here = Tensor(np.array([1.0, 3.0]))
    result = BESIDE[name](there(1, 3))
    assert result.device == "emulator"
    np.testing.assert_array_equal(result.numpy(), BESIDE[name](here).numpy())


def to_the_second_order(name, device):
    """The result of an op, all its gradients, and all those of the first of these."""
    function, *arrays = CASES[name]
    xs = [Tensor(array, requires_grad=True).to(device) for array in arrays]
    y = function(*xs)
    dxs = grad(ops.sum(ops.square(y)), xs, create_graph=True)
    totals = [ops.sum(ops.square(dx)) for dx in dxs]
    ddxs = [grad(total, xs, create_graph=True) for total in totals if total.requires_grad]
    return [y, *dxs, *(ddx for found in ddxs for ddx in found)]


@pytest.mark.parametrize("name", CASES)
def test_to_the_second_order_the_emulator_computes_what_the_cpu_does_and_stays_there(name):
    there, here = to_the_second_order(name, "emulator"), to_the_second_order(name, "cpu")
    for one, other in zip(there, here, strict=True):
        assert (one.device, one.shape) == ("emulator", other.shape)
        atol = 1e-11 * (1 + np.abs(other.numpy()).max(initial=0))
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=atol)


@pytest.fixture
def born_elsewhere():
    """New arrays go to the emulator."""
    before = get_device()
    set_device("emulator")
    yield
    set_device(before)


@pytest.mark.parametrize("name", CASES)
def test_what_lives_on_the_cpu_stays_there_wherever_new_arrays_are_born(name, born_elsewhere):
    assert {tensor.device for tensor in to_the_second_order(name, "cpu")} == {"cpu"}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_beside_the_cpu_joins_it_wherever_new_arrays_are_born(name, born_elsewhere):
    x = Tensor(np.array([1.0, 3.0]), device="cpu")
    assert BESIDE[name](x).device == "cpu"


# Numbers at which formulas have their limits.


def test_the_slope_of_a_power_of_0_by_its_exponent_is_0():
    x, y = (Tensor(numbers, requires_grad=True) for numbers in ([0.0, 0.0], [0.0, 2.0]))
    dx, dy = grad(ops.sum(ops.power(x, y)), [x, y])
    assert (dx.data.tolist(), dy.data.tolist()) == ([0, 0], [0, 0])


def test_logsumexp_of_rows_far_apart():
    x = Tensor([[-1000.0, -1000.0], [1000.0, 1000.0]])
    y = ops.logsumexp(x, axis=1)
    np.testing.assert_allclose(y.data, [np.log(2) - 1000, np.log(2) + 1000], rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_softmax_of_columns_far_apart(dtype):
    x = Tensor(np.array([[-1000, 1000], [-1000, 1000]], dtype))
    for axis, other in ((0, x), (-1, ops.transpose(x))):
        assert (ops.softmax(other, axis).data == 0.5).all()
        np.testing.assert_allclose(ops.log_softmax(other, axis).data, -np.log(2), rtol=1e-3)


def test_what_is_repeated_no_times_has_slope_0():
    for shape in ((1, 3), (3,)):
        x = Tensor(np.ones(shape), requires_grad=True)
        (dx,) = grad(ops.sum(ops.broadcast_to(x, (0, 3))), [x])
        assert dx.shape == shape and (dx.data == 0).all()


# Types.


@pytest.mark.parametrize("op, slope", [(ops.sigmoid, 0.1875), (ops.tanh, 0.75)])
def test_curves_of_half_precision(op, slope):
    x = Tensor(np.arctanh([0.5, -0.5]).astype(np.float16), requires_grad=True)
    x = x * (2 if op is ops.sigmoid else 1)  # sigmoid(2x) = (1 + tanh(x)) / 2
    y = op(x)
    (dx,) = grad(y, [x], Tensor(np.array([1, -2], np.float16)))
    assert (y.dtype, dx.dtype) == (np.float16, np.float16)
    np.testing.assert_allclose(y.data, [0.75, 0.25] if op is ops.sigmoid else [0.5, -0.5], 2e-3)
    np.testing.assert_allclose(dx.data, [slope, -2 * slope], rtol=3e-3)


def test_a_number_of_numpy_counts_as_a_plain_number_beside_integers():
    x = Tensor(np.array([1, 2], np.int8))
    assert (x * np.int64(3)).dtype == np.int8
    assert (x + np.float32(0.5)).dtype == np.float64
    assert (x + np.float32(0.5)).data.tolist() == [1.5, 2.5]


def test_neither_operand_need_be_a_tensor():
    for one, other in ((1, [2.0, 3.0]), ([2.0, 3.0], 1), (np.array(1), np.array([2.0, 3.0]))):
        y = ops.add(one, other)
        assert isinstance(y, Tensor) and y.data.tolist() == [3, 4]


def test_the_bounds_of_clip_may_be_equal():
    assert ops.clip(Tensor([0.0, 5.0]), 2, 2).data.tolist() == [2, 2]


# Cross-entropy.


def cross_entropy(x, t):
    """The formula, with t for the probabilities."""
    return -(t * (x - np.log(np.exp(x).sum(axis=1, keepdims=True)))).sum(axis=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (3, 1), (0, 3)])
def test_cross_entropy_follows_its_formula_for_all_kinds_of_labels(shape, smoothing):
    (N, K), rng = shape, np.random.default_rng(0)
    x, classes, soft = normal(N, K), rng.integers(K, size=N), rng.random((N, K))
    one_hot = np.eye(K)[classes]
    kinds = [(classes, one_hot), (classes[:, None], one_hot), (soft, soft)]  # of any sum
    for labels, t in kinds:
        t = (1 - smoothing) * t + smoothing / K
        loss = ops.softmax_cross_entropy(Tensor(x), labels, smoothing)
        np.testing.assert_allclose(loss.data, cross_entropy(x, t), rtol=1e-10, atol=1e-12)
        if N:
            check_gradient(
                lambda logits, given=labels: ops.square(
                    ops.softmax_cross_entropy(logits, given, smoothing)
                ),
                x,
            )


def test_a_column_of_fractions_for_one_class_holds_probabilities_and_one_of_integers_classes():
    logits = Tensor(np.zeros((2, 1)))
    assert ops.softmax_cross_entropy(logits, np.array([[0.5], [1.0]])).data.tolist() == [0, 0]
    with pytest.raises(ValueError, match="the labels reach from 0 to 1, but logits has 1 classes"):
        ops.softmax_cross_entropy(logits, np.array([[1], [0]]))
    two = Tensor(np.zeros((2, 2)))  # of two classes, a column names the right ones
    of_fractions = ops.softmax_cross_entropy(two, np.array([[0.0], [1.0]])).data
    np.testing.assert_allclose(of_fractions, np.log([2, 2]))
    with pytest.raises(
        ValueError, match=r"labels of shape \(2,\) must be integers, but one is 0.5"
    ):
        ops.softmax_cross_entropy(Tensor(np.zeros((2, 3))), np.array([[0.5], [1.0]]))


# What may be empty, and what is refused.


def zeros(*shape, dtype=np.float64):
    return Tensor(np.zeros(shape, dtype))


def test_nothing_can_be_reshaped_but_has_no_least_number():
    nothing = Tensor(np.zeros((0, 0)))
    assert ops.reshape(nothing, (0, 0, 3)).shape == (0, 0, 3)
    for extreme, who in ((ops.min, "min"), (ops.max, "max")):
        with pytest.raises(ValueError, match=f"^{who}: there are no numbers"):
            extreme(nothing, axis=0)


def test_no_images_at_all_can_be_normalized_in_groups():
    assert ops.group_norm(zeros(0, 2, 2, 4), zeros(4), zeros(4), 2).shape == (0, 2, 2, 4)


def test_one_size_only_can_be_left_open():
    with pytest.raises(ValueError, match=r"do not fit into shape \(-1, -1, 6\)"):
        ops.reshape(Tensor(np.zeros(6)), (-1, -1, 6))


def test_no_images_and_no_channels_can_be_resized():
    assert ops.resize(zeros(0, 2, 3, 1), (4, 5)).shape == (0, 4, 5, 1)
    assert ops.resize(zeros(1, 2, 3, 0), (4, 5)).shape == (1, 4, 5, 0)
    assert ops.resize(zeros(1, 2, 3, 1), (1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("size", [(7, 4), (4, 7)])
def test_images_can_be_resized_along_one_axis_alone(size):  # two wrong signs would look right
    check_gradient(lambda x: ops.resize(x, size), IMAGES[0])


def test_pixels_can_be_gathered_from_and_for_nothing():
    y = ops.gather_pixels(zeros(1, 0, 3, 1), [[-1, -1]], [[0, 1]], 7.0)
    assert y.data.tolist() == [[[[7], [7]], [[7], [7]]]]
    assert ops.gather_pixels(zeros(1, 2, 3, 1), np.zeros((1, 0)), [[0, 1]]).shape == (1, 0, 2, 1)


def test_pixels_from_nowhere_do_not_move_with_the_image():
    def moved(x):
        return ops.gather_pixels(x, [[0, -1]], [[1, 0]], 7.0)

    y, moves = jvp(moved, zeros(1, 2, 2, 1), Tensor(np.ones((1, 2, 2, 1))))
    assert y.data.tolist() == [[[[0], [0]], [[7], [7]]]]
    assert moves.data.tolist() == [[[[1], [1]], [[0], [0]]]]


def test_a_generator_gives_dropout_its_seed():
    seed = int(np.random.default_rng(3).integers(2**63))
    x = Tensor(np.ones(50))
    one = ops.dropout(x, 0.5, np.random.default_rng(3)).data
    np.testing.assert_array_equal(one, ops.dropout(x, 0.5, seed).data)


MESSAGES = [
    (lambda: ops.resize(zeros(1, 0, 3, 1), (4, 4)), r"wants images, .* shape \(1, 0, 3, 1\)"),
    (lambda: ops.resize(zeros(1, 2, 0, 1), (4, 4)), r"wants images, .* shape \(1, 2, 0, 1\)"),
    (lambda: ops.resize(zeros(1, 2, 3, 1), (4,)), r"size must be \(rows, columns\), .* is \(4,\)"),
    (lambda: ops.resize(zeros(1, 2, 3, 1), (4, 4, 4)), r"size must be .* but is \(4, 4, 4\)"),
    (
        lambda: ops.gather_pixels(zeros(1, 2, 3, 1), [0], [[0]]),
        r"rows must be a table .* 1 images, but has shape \(1,\)",
    ),
    (
        lambda: ops.gather_pixels(zeros(1, 2, 3, 1), [[0]], [[0], [1]]),
        r"columns must be a table .* 1 images, but has shape \(2, 1\)",
    ),
    (lambda: ops.pad(zeros(2), 1.5), r"wants whole widths of at least 0, but got 1\.5"),
    (lambda: ops.pad(zeros(2, 3), ((0, 0), (0, -1))), "wants whole widths of at least 0, but got"),
    (lambda: ops.warp(zeros(2, 3, 3), np.zeros((2, 6))), r"wants images, .* shape \(2, 3, 3\)"),
    (lambda: ops.warp(zeros(2, 3, 3, 1), np.zeros((2, 5))), r"transforms has shape \(2, 5\)"),
    (lambda: ops.softmax(zeros()), "softmax: there is no axis -1 in a tensor of 0 axes"),
    (lambda: ops.concatenate([zeros(2), zeros(2, 2)]), r"the shapes are \(2,\), \(2, 2\)"),
    (lambda: ops.concatenate([zeros(2, 2), zeros(2, 3)]), r"shapes are \(2, 2\), \(2, 3\)"),
    (lambda: ops.stack([]), "stack: wants at least one tensor, but got none"),
    (lambda: ops.stack([zeros(2)], axis=2), "stack: there is no axis 2 in a tensor of 2 axes"),
    (lambda: ops.linear(zeros(2, 3, 4), zeros(4, 5)), r"linear: wants x of .* got \(2, 3, 4\) and"),
    (lambda: ops.linear(zeros(2, 3), zeros(3)), r"linear: wants x of .* got \(2, 3\) and \(3,\)"),
    (lambda: zeros(2, 3) @ zeros(), r"wants vectors or matrices, but got shapes \(2, 3\) and \(\)"),
    (lambda: zeros(2, 3) @ zeros(2), r"but got \(2, 3\) and \(2,\): C is 3 and 2\. Images"),
    (lambda: zeros(5, 2, 3) @ zeros(2, 4), r"got \(5, 2, 3\) and \(2, 4\): C is 3 and 2\. Images"),
    (lambda: zeros(3) @ zeros(2, 3), r"got \(3,\) and \(2, 3\): C is 3 and 2\. Images"),
    (lambda: ops.broadcast_to(zeros(2, 3), (2,)), r"\(2, 3\) cannot be repeated to shape \(2,\)"),
    (lambda: ops.reshape(zeros(2, 3), ()), r"do not fit into shape \(\)"),
    (lambda: ops.reshape(zeros(2, 3), (0, -1)), r"do not fit into shape \(0, -1\)"),
    (lambda: ops.reshape(zeros(2, 3), (5,)), r"6 numbers; they do not fit into shape \(5,\)"),
    (lambda: ops.transpose(zeros(2, 3), (0, 0)), r"transpose: axis=\(0, 0\) names an axis twice"),
    (lambda: zeros(2, 3).sum(axis=-3), "sum: there is no axis -3 in a tensor of 2 axes"),
    (lambda: ops.dropout(zeros(2), -0.1, 0), "from 0 to 1, but got -0.1"),
    (lambda: ops.dropout(zeros(2), 1.1, 0), "from 0 to 1, but got 1.1"),
    (
        lambda: ops.softmax_cross_entropy(zeros(2, 3), np.array([0, 1]), -0.1),
        "label_smoothing lies from 0 to 1, but is -0.1",
    ),
]


@pytest.mark.parametrize("call, match", MESSAGES)
def test_what_does_not_fit_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    "call, match",
    [
        (
            lambda: ops.linear(zeros(2, 3, dtype=int), zeros(3, 4, dtype=int)),
            "linear: x, weight and bias must all be float32 or all float64, but are int64, int64",
        ),
        (lambda: zeros(2, 3)["a"], "an index must hold integers or truth values, but holds <U1"),
        (lambda: ops.resize(zeros(1, 2, 2, 1, dtype=int), (1, 1)), "resize: wants float32 or fl"),
        (
            lambda: ops.softmax_cross_entropy(zeros(2, 3), np.array([0, 1j])),
            "labels must be numbers, but are complex128",
        ),
    ],
)
def test_types_that_do_not_fit_are_refused(call, match):
    with pytest.raises(TypeError, match=match):
        call()


@pytest.mark.parametrize("batch", [(), (3,)])
def test_products_are_the_kernels_whose_bits_no_number_of_threads_changes(batch):
    x = np.random.default_rng(0).normal(size=(*batch, 9, 301)).astype(np.float32)
    weight = np.random.default_rng(1).normal(size=(*batch, 301, 33)).astype(np.float32)
    y = ops.matmul(x, weight).numpy()
    for k in np.ndindex(batch):
        np.testing.assert_array_equal(y[k], kernels.matmul.multiply(x[k], weight[k], None, False))
        assert (y[k] != x[k] @ weight[k]).any(), "NumPy's product would pass, too"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slope_of_a_constant_has_the_type_of_the_input(dtype):
    x = Tensor(np.ones(2, dtype), requires_grad=True)
    (dx,) = grad(ops.sum(x**0), [x])
    assert dx.dtype == dtype
