"""What gradcheck takes and refuses: inputs, names, settings, and ops that are given as they are."""

import numpy as np
import pytest

from minicnn import Op, Tensor, ops
from minicnn.gradcheck import GradientError, gradcheck
from minicnn.testing import assert_grads


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


class Triple(Op):
    """Its backward is wrong."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, dy):
        return dy * 3


class Gather(Op):
    """Its second input has no gradient."""

    def forward(self, x, index):
        return x[index]

    def backward(self, dy):
        x, index = self.inputs
        dx = np.zeros(x.shape)
        np.add.at(dx, index.data, dy.data)
        return Tensor(dx), None


class Raise(Op):
    """It has a setting."""

    def __init__(self, exponent):
        self.exponent = exponent

    def forward(self, base):
        return base**self.exponent

    def backward(self, dy):
        return dy * self.exponent * self.inputs[0] ** (self.exponent - 1)


@pytest.mark.parametrize("inputs", [([1, 2, 3],), (np.array([1, 2]),), (3, True), ()])
def test_inputs_without_a_gradient_are_refused_and_not_passed(inputs):
    with pytest.raises(ValueError, match="no input is floating point, so there is no gradient"):
        assert_grads(lambda *xs: Triple()(Tensor(xs[0])), *inputs)
    with pytest.raises(ValueError, match="no input is floating point"):
        gradcheck(ops.tanh, normal(3), wrt=[])


def test_tensors_of_integers_stay_tensors():
    index = Tensor(np.array([0, 2, 2]))
    report = gradcheck(lambda x, index: Gather()(x, index), normal(4), index)
    assert report and [found.name for found in report.inputs] == ["x"]


def test_an_op_beside_a_tensor_of_integers_is_named():
    class Doubled(Gather):
        def backward(self, dy):
            dx, _ = super().backward(dy)
            return 2.0 * dx, None

    with pytest.raises(GradientError, match="constant factor: 2 times the gradient"):
        gradcheck(Doubled, normal(4), Tensor(np.array([0, 2, 2])))


def test_op_objects_and_classes_are_called_anew_each_time():
    assert gradcheck(Raise(3), normal(3), order=2).title == "Raise(base)"
    with pytest.raises(GradientError, match=r"Gradient check  Triple\(x\)"):
        gradcheck(Triple, normal(3))
    with pytest.raises(TypeError, match=r"cannot be made without settings: .*'exponent'.*Give an"):
        gradcheck(Raise, normal(3))


@pytest.mark.parametrize("wrt", [1, "gamma", -1, ["gamma"], [1, "gamma", -1]])
def test_wrt_takes_one_input_by_number_or_by_name(wrt):
    report = gradcheck(lambda x, gamma: x * gamma, normal(3), normal(3), wrt=wrt)
    assert [found.name for found in report.inputs] == ["gamma"]


def test_a_whole_number_is_the_seed_of_the_upstream_gradient():
    one, same, other = (gradcheck(ops.tanh, normal(3), cotangent=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.inputs[0].backward, same.inputs[0].backward)
    assert not np.array_equal(one.inputs[0].backward, other.inputs[0].backward)
    assert "random (seed 5) upstream gradient" in str(one)
    with pytest.raises(ValueError, match=r"it is a seed, .* Write -5\.0 for the gradient"):
        gradcheck(ops.tanh, normal(3), cotangent=-5)


@pytest.mark.parametrize("h", [0, -1e-5, np.nan, np.inf])
def test_a_step_must_be_positive(h):
    with pytest.raises(ValueError, match="h is a step, so it must be positive"):
        gradcheck(ops.tanh, normal(3), h=h)


def test_at_least_one_element_is_compared():
    with pytest.raises(ValueError, match="max_checks must be at least 1, but is 0"):
        gradcheck(ops.tanh, normal(3), max_checks=0)


def test_there_is_a_name_for_each_input():
    with pytest.raises(ValueError, match=r"got 1 names for 2 inputs: \['a'\]"):
        gradcheck(ops.multiply, normal(3), normal(3), names=["a"])


@pytest.mark.parametrize("check", [assert_grads, gradcheck])
def test_pytest_shows_the_line_of_the_test_and_the_report_only(check):
    with pytest.raises(GradientError) as caught:
        check(Triple, normal(3))
    assert [str(entry.path) for entry in caught.traceback.filter(caught)] == [__file__]
