"""Where differences tell nothing, or too little, a right op is not accused and a wrong one is."""

import numpy as np
import pytest

from minicnn import Op, Tensor, layers, models, ops
from minicnn.gradcheck import GradientError, gradcheck
from minicnn.testing import assert_grads


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


class Steeper(Op):
    """tanh with a gradient that is half too much."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, dy):
        return dy * (1 - self.output * self.output) * 1.5


class Logarithm(Op):
    """log with a gradient that is 1 percent too much."""

    def forward(self, x):
        return np.log(x)

    def backward(self, dy):
        return dy / self.inputs[0] * 1.01


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([1.0, -1.0], r"output 0\[1\] is nan, where x\[1\] is -1: nothing can be compared"),
        ([0.0, 1.0], r"output 0\[0\] is -inf, where x\[0\] is 0: nothing can be compared"),
        ([1.0, np.nan], r"x\[1\] is nan: nothing can be compared. Give inputs where all is"),
        ([np.inf, 1.0], r"x\[0\] is inf: nothing"),
    ],
)
def test_what_is_not_finite_is_told_and_nobody_accused(x, told):
    with pytest.raises(GradientError, match=f"nothing could be compared.\n(.*\n)*.*{told}"):
        gradcheck(ops.log, np.array(x))
    report = gradcheck(ops.log, np.array(x), raise_on_fail=False)
    assert report.cause == "not finite" and report.refused and report.source == ""


@pytest.mark.parametrize("x", [1e-3, 1e-4, 2e-5, 1e-5, 1e-6])
@pytest.mark.parametrize("f", [ops.log, ops.sqrt, lambda x: 1 / x])
def test_right_gradients_are_right_near_the_end_of_a_domain(f, x):
    report = gradcheck(f, np.array([x, 1.0]))
    assert report.inputs[0].checked.all()


@pytest.mark.parametrize("x", [1e-3, 1e-4, 2e-5, 1e-5, 1e-6, 1e-8])
def test_wrong_gradients_are_caught_near_the_end_of_a_domain(x):
    report = gradcheck(Logarithm, np.array([x, 1.0]), raise_on_fail=False)
    assert report.cause == "factor" and report.inputs[0].verdicts[0] > 1


def test_at_the_end_of_a_domain_nothing_is_checked():
    report = gradcheck(ops.sqrt, np.array([0.0, 1.0]))
    assert report.inputs[0].checked.tolist() == [False, True]
    assert "1 of 2" in str(report) and "ok, 1 not comparable" in str(report)


def test_a_gradient_that_is_not_a_number_is_wrong_wherever_the_function_is_finite():
    with pytest.raises(GradientError, match="1 elements are NaN or infinite"):
        gradcheck(lambda x: ops.sqrt(ops.sum(x * x)), np.zeros(3))


def test_digits_lost_to_an_offset_accuse_nobody():
    x = normal(9)
    assert gradcheck(lambda x: (x + 1e8) - 1e8, x).inputs[0].checked.all()
    assert gradcheck(lambda x: ops.mean(x * x) - ops.mean(x) ** 2, x + 1e6)
    lost = gradcheck(lambda x: ops.mean((x + 1e6) ** 2) - ops.mean(x + 1e6) ** 2, x)
    assert lost.ok and lost.vacuous == ["x"]
    assert "proved nothing about x: no element could be compared" in str(lost)


def test_an_offset_excuses_no_mistake():
    assert not gradcheck(lambda x: Steeper()((x + 1e8) - 1e8), normal(9), raise_on_fail=False)


def test_functions_that_bend_a_lot_within_the_step_are_right():
    one, zero = Tensor(np.ones(5)), Tensor(np.zeros(5))
    report = gradcheck(lambda x: ops.layer_norm(x, one, zero), normal(3, 5) + 1e3)
    assert report.verdicts["pass"] == 15


@pytest.mark.parametrize("f", [lambda x: x * x * x, lambda x: x**3 + x**4, lambda x: x**5])
def test_where_a_function_is_0_and_flat_its_curve_is_no_slope(f):
    assert gradcheck(f, np.zeros(4), seed=80).ok


def test_a_kink_within_the_step_is_called_a_kink():
    report = gradcheck(ops.relu, np.array([1e-6, -3e-7, 3e-8, 1.0]))
    assert report.verdicts == {"pass": 1, "kink_ok": 3, "kink_wrong": 0, "fail": 0}


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e-9, 1e-10, 1e-12])
def test_small_outputs_hide_no_mistake(scale):
    assert gradcheck(lambda x: ops.tanh(x) * scale, normal(3))
    report = gradcheck(lambda x: Steeper()(x) * scale, normal(3), raise_on_fail=False)
    assert report.cause == "factor" and report.vacuous == []


def test_a_check_that_proved_nothing_is_a_warning_in_tests():
    class Nothing(Op):
        def forward(self, x):
            e = np.exp(x - x.max(-1, keepdims=True))
            return e / e.sum(-1, keepdims=True)

        def backward(self, dy):
            return dy * 0

    with pytest.warns(UserWarning, match=r"assert_grads \[MC058\]: this check proved nothing abo"):
        assert_grads(Nothing, normal(3, 4) * 1e3)
    assert_grads(lambda x, unused: ops.tanh(x), normal(3), normal(2), wrt="x")


def test_a_gradient_of_0_has_no_error():
    model = models.Sequential(
        [layers.Input((4,)), layers.Dense(3, name="d"), layers.BatchNormalization()]
    )
    model.compile("sgd", "mse")
    report = model.gradcheck(normal(8, 4), normal(8, 3))
    found = {i.name.split("/", 1)[1]: i for i in report.inputs}
    assert found["d/bias"].errors.max() == 0 and found["d/kernel"].errors.max() > 0
    assert "both 0" in str(report) and str(report).endswith("Nothing wrong was found.")
