"""Ops that have a counterpart in NumPy give what that gives, for many shapes, axes and types."""

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.gradcheck import check_gradient

RNG = np.random.default_rng(0)
SHAPES = [(3,), (1,), (2, 3), (3, 1), (2, 3, 4), (1, 1, 2), (2, 1, 3, 2)]


def numbers(*shape):
    return RNG.permutation(np.arange(np.prod(shape)) + 0.5).reshape(shape) / 4 - 1  # no ties


def agree(function, wanted, *arrays, rtol=1e-12):
    """The values are those wanted, and the gradients are slopes."""
    got = function(*(Tensor(array) for array in arrays))
    assert got.shape == np.shape(wanted)
    np.testing.assert_allclose(got.data, wanted, rtol=rtol, atol=1e-13)
    check_gradient(function, *arrays, order=1)


def axes_of(ndim):
    """Single axes from both ends, some pairs, all."""
    pairs = [(0, -1), (ndim - 1, 0)] if ndim > 1 else []
    return [None, *range(-ndim, ndim), *pairs, tuple(range(ndim))]


def logsumexp(x, axis, keepdims):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


REDUCTIONS = {
    "sum": (ops.sum, np.sum),
    "mean": (ops.mean, np.mean),
    "variance": (ops.variance, np.var),
    "max": (ops.max, np.max),
    "min": (ops.min, np.min),
    "logsumexp": (ops.logsumexp, logsumexp),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, shape):
    function, reference = REDUCTIONS[name]
    x = numbers(*shape)
    for axis in axes_of(len(shape)):
        for keepdims in (False, True):
            wanted = reference(x, axis=axis, keepdims=keepdims)
            agree(lambda t, a=axis, k=keepdims: function(t, a, k), wanted, x)
    assert function(Tensor(x)).shape == ()


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_and_its_logarithm(shape):
    x = numbers(*shape)
    for axis in range(-len(shape), len(shape)):
        wanted = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
        agree(lambda t, a=axis: ops.softmax(t, a), wanted, x)
        agree(lambda t, a=axis: ops.log_softmax(t, a), np.log(wanted), x)
    agree(ops.softmax, np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_arrangements(shape):
    x, ndim = numbers(*shape), len(shape)
    for axis in axes_of(ndim):
        agree(lambda t, a=axis: ops.flip(t, a), np.flip(x, axis), x)
    agree(ops.transpose, x.T, x)
    for k in range(ndim):
        order = tuple(np.roll(range(ndim), k).tolist())
        agree(lambda t, o=order: ops.transpose(t, o), x.transpose(order), x)
        agree(lambda t, o=order: ops.transpose(t, [n - ndim for n in o]), x.transpose(order), x)
    for new in ((-1,), -1, x.size, (1, x.size), (x.size, -1), (x.shape[0], -1, 1)):
        agree(lambda t, n=new: ops.reshape(t, n), x.reshape(new), x)
    agree(lambda t: ops.broadcast_to(t, (2, *shape)), np.broadcast_to(x, (2, *shape)), x)
    stretched = tuple(5 if n == 1 else n for n in shape)
    agree(lambda t: ops.broadcast_to(t, stretched), np.broadcast_to(x, stretched), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_joining(shape):
    x, y, ndim = numbers(*shape), numbers(*shape), len(shape)
    for axis in range(-ndim, ndim):
        more = np.concatenate([y, y], axis)
        agree(
            lambda a, b, c, k=axis: ops.concatenate([a, b, c], k),
            np.concatenate([x, more, y], axis),
            *(x, more, y),
        )
    for axis in range(-ndim - 1, ndim + 1):
        agree(lambda a, b, k=axis: ops.stack([a, b], k), np.stack([x, y], axis), x, y)
    agree(lambda t: ops.stack([t]), x[None], x)
    agree(lambda t: ops.concatenate([t]), x, x)
    pairs = tuple((k, k + 1) for k in range(ndim))
    for widths in (0, 2, (1, 2), (2, 0), pairs):
        agree(lambda t, w=widths: ops.pad(t, w), np.pad(x, widths), x)
        wanted = np.pad(x, widths, constant_values=-1.5)
        agree(lambda t, w=widths: ops.pad(t, w, -1.5), wanted, x)


X = numbers(3, 4, 2)
INDICES = [
    1,
    -1,
    (0, 2),
    (0, 2, 1),
    np.int64(2),
    slice(1, None),
    slice(None, None, -1),
    slice(0, 0),
    (slice(None), 1),
    (..., 0),
    (None, 1),
    (slice(None), None, [0, 0, 3]),
    [2, 0, 2],
    [],
    ([0, 1, 0], [3, 3, 3]),
    (slice(1), [[0, 1], [1, 1]]),
    np.array([1, 1], np.uint8),
    X > 0,
    X[:, :, 0] > 0,
    [True, False, True],
    (slice(None), [False, True, True, True]),
    (np.array([True, False, True]), 1),
    ([0, 0], None, [1, 1]),
    ([0, 1, 0], ..., [1, 1, 1]),
    ([[True] * 4, [False] * 4, [True, False] * 2], [0, 0, 1, 1, 0, 1]),
    np.array(2),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_parts(index):
    agree(lambda t: t[index], X[index], X)
    if isinstance(index, np.ndarray):
        agree(lambda t: t[Tensor(index)], X[index], X)


@pytest.mark.parametrize(
    "one, other",
    [
        ((3,), (3,)),
        ((2, 3), (3, 4)),
        ((1, 1), (1, 1)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (5, 3, 4)),
        ((4, 5, 2, 3), (3,)),
        ((3,), (2, 5, 3, 4)),
        ((2, 4, 2, 3), (3, 1)),
    ],
)
def test_products_of_matrices(one, other):
    x, y = numbers(*one), numbers(*other)
    agree(ops.matmul, x @ y, x, y)
    for a, b in ((Tensor(x) @ y, x @ y), (x @ Tensor(y), x @ y)):
        np.testing.assert_allclose(a.data, b, rtol=1e-12, atol=1e-13)


BINARY = {
    "add": (ops.add, np.add),
    "subtract": (ops.subtract, np.subtract),
    "multiply": (ops.multiply, np.multiply),
    "divide": (ops.divide, np.divide),
    "power": (ops.power, np.power),
    "maximum": (ops.maximum, np.maximum),
    "minimum": (ops.minimum, np.minimum),
    "where": (lambda x, y: ops.where(np.bool_(True), x, y), lambda x, y: x + 0 * y),
}


@pytest.mark.parametrize(
    "one, other", [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (3,)), ((), (2, 2)), ((1, 2), (2, 1))]
)
@pytest.mark.parametrize("name", BINARY)
def test_pairs_of_numbers(name, one, other):
    function, reference = BINARY[name]
    x, y = numbers(*one) + 2.2, numbers(*other) + 2
    agree(function, reference(x, y), x, y)
    agree(lambda t: function(t, y), reference(x, y), x)
    agree(lambda t: function(x, t), reference(x, y), y)
    agree(lambda t: function(t, 1.7), reference(x, 1.7), x)
    agree(lambda t: function(1.7, t), reference(1.7, y), y)


@pytest.mark.parametrize("condition", [(3,), (2, 1), (2, 3), (), (4, 2, 3)])
def test_where_takes_a_condition_that_is_repeated(condition):
    chosen, x, y = RNG.random(condition) > 0.5, numbers(2, 3), numbers(3)
    agree(lambda a, b: ops.where(chosen, a, b), np.where(chosen, x, y), x, y)


TYPES = ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("other", TYPES)
@pytest.mark.parametrize("one", TYPES)
def test_types_of_two_operands(one, other):
    x, y = Tensor(np.ones(2, one)), np.ones(2, other)
    kinds = np.dtype(one).kind, np.dtype(other).kind
    if kinds.count("f") == 1:  # whatever is beside floating point takes its type
        wanted = np.dtype(one if kinds[0] == "f" else other)
    else:
        wanted = np.result_type(one, other)
    for result in (ops.multiply(x, y), ops.multiply(y, x), ops.multiply(x, Tensor(y))):
        assert result.dtype == wanted
        assert result.data.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_joined_tensors_have_the_widest_type(dtype):
    x, y = Tensor(np.ones(2, dtype)), Tensor(np.ones(2, np.float32))
    for function in (ops.concatenate, ops.stack):
        assert function([x, y]).dtype == function([y, x]).dtype == np.result_type(dtype, "float32")


def test_integers_can_be_joined():
    x = Tensor(np.array([1, 2]))
    assert ops.concatenate([x, x]).data.tolist() == [1, 2, 1, 2]
    assert ops.stack([x, x]).dtype == x.dtype


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_activations_and_softmax_take_every_precision(dtype):
    x = Tensor(np.array([[-2.0, 0.5, 3.0]], dtype), requires_grad=True)
    for function in (ops.relu, ops.sigmoid, ops.tanh, ops.softmax, ops.log_softmax, ops.sum):
        y = function(x)
        assert y.dtype == dtype
        exact = function(Tensor(x.data.astype(float))).data
        np.testing.assert_allclose(y.data.astype(float), exact, rtol=4e-3, atol=1e-4)
