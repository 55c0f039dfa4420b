"""Every op to the third order, with random upstream gradients; and the check itself is checked."""

import inspect

import numpy as np
import pytest
from cases import CASES

from minicnn import ops
from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.gradcheck import check_gradient

OPS = [op for op in Op.__subclasses__() if op.__module__.startswith("minicnn.ops")]


def _inputs(op):
    parameters = inspect.signature(op.forward).parameters.values()
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return range(2 if several else len(parameters) - 1)  # without self


BACKWARDS = [pytest.param(op, k, id=f"{op.__name__}-{k}") for op in OPS for k in _inputs(op)]


def check(name, device="cpu"):
    function, *arrays = CASES[name]
    arrays = [Tensor(a).to(device).data for a in arrays]
    check_gradient(function, *arrays)
    # squared, the linear ops have a second derivative as well
    check_gradient(lambda *xs: ops.square(function(*xs)), *arrays)


@pytest.mark.parametrize("name", CASES)
def test_gradient(name, device):
    if device == "gpu" and name == "cast":
        pytest.skip("a GPU has no number type wider than float64 to cast to")
    before = [a.copy() for a in CASES[name][1:]]
    check(name, device)
    for now, then in zip(CASES[name][1:], before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_the_third_order(name):
    function, *arrays = CASES[name]
    check_gradient(lambda *xs: ops.square(function(*xs)), *arrays, order=3)


class _TellsOtherTypes(Watcher):
    def after_backward(self, op, dy, dxs):
        for x, dx in zip(op.inputs, dxs, strict=True):
            assert dx is None or dx.dtype == x.dtype, f"{type(op).__name__}.backward: {dx.dtype}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_of_the_type_of_the_inputs(name, dtype):
    function, *arrays = CASES[name]
    xs = [Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = function(*xs)
    assert y.dtype == dtype
    with watch(_TellsOtherTypes()):
        dxs = grad(ops.sum(y * y), xs, create_graph=True)
        total = sum((ops.sum(dx * dx) for dx in dxs), start=0)
        grad(total, xs)


class _OpsThatGoBackward(Watcher):
    def __init__(self):
        self.seen = set()

    def before_backward(self, op, dy):
        self.seen.add(type(op))


@pytest.fixture(scope="module")
def users():
    """For each op, the cases in which it goes backward: only they can notice a mistake in it.

    A case that fails as it is, which test_gradient reports, can notice nothing.
    """
    users = {op: [] for op in OPS}
    for name in CASES:
        watcher = _OpsThatGoBackward()
        with watch(watcher):
            failed = fails(name)
        for op in watcher.seen & set(OPS) if not failed else ():
            users[op].append(name)
    return users


@pytest.mark.parametrize(("op", "k"), BACKWARDS)
def test_no_mistake_in_a_backward_goes_unnoticed(op, k, users, monkeypatch):
    if op.__name__ == "Cast" and np.dtype(np.longdouble) == np.float64:
        pytest.skip("this machine has no number type wider than float64 to cast to")
    right = op.backward

    def wrong(self, *dys):
        dxs = right(self, *dys)
        if not isinstance(dxs, tuple):
            return dxs * 2
        return tuple(dx if dx is None or i != k else dx * 2 for i, dx in enumerate(dxs))

    monkeypatch.setattr(op, "backward", wrong)
    assert any(fails(name) for name in users[op]), f"no case notices a wrong {op.__name__}.backward"


def fails(name):
    try:
        check(name)
    except AssertionError:
        return True
    return False


def test_a_softmax_without_gradient_is_noticed():
    class ConstantSoftmax(Op):
        """Right forward, no gradient: a seed of ones would not see it, for each row sums to 1."""

        def forward(self, x):
            return ops.softmax(Tensor(x)).data

        def backward(self, dy):
            return dy * 0

    with pytest.raises(AssertionError, match="a derivative of order 1 for input 0 is 0 by grad"):
        check_gradient(lambda x: ConstantSoftmax()(x), CASES["softmax"][1])


def test_a_gradient_that_is_right_once_only_is_noticed():
    class ForgetfulCube(Op):
        """The slope is right, but treats x^2 as a constant."""

        def forward(self, x):
            return x * x * x

        def backward(self, dy):
            (x,) = self.inputs
            return dy * Tensor(3 * x.data * x.data)

    with pytest.raises(AssertionError, match="a derivative of order 2 for input 0 is 0 by grad"):
        check_gradient(lambda x: ForgetfulCube()(x), np.array([1.0, 2.0]))


def test_the_wrong_input_is_named():
    class Scale(Op):
        """The gradient for the second input is that for the first."""

        def forward(self, x, y):
            return x * y

        def backward(self, dz):
            _, y = self.inputs
            return dz * y, dz * y

    with pytest.raises(AssertionError, match="a derivative of order 1 for input 1 is"):
        check_gradient(lambda x, y: Scale()(x, y), np.array([1.0, 2.0]), np.array([3.0, 5.0]))


def test_the_check_wants_float64():
    with pytest.raises(TypeError, match="check_gradient: wants float64 arrays, but got float32"):
        check_gradient(ops.exp, np.ones(2, np.float32))
