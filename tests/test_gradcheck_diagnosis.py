"""What gradcheck says of mistakes that people make: in words that point to the line to mend."""

import numpy as np
import pytest

from minicnn import Op, Tensor, ops
from minicnn.gradcheck import gradcheck


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


def hints(f, *inputs):
    """All that is said of a wrong gradient, the most likely first."""
    return gradcheck(f, *inputs, raise_on_fail=False).hints


class Multiply(Op):
    """Its backward is given by each test."""

    def forward(self, x, w):
        return x @ w


class WeightNotTransposed(Multiply):
    """dx is wrong."""

    def backward(self, dy):
        x, w = self.inputs
        return dy @ w, ops.transpose(x) @ dy


class InputNotTransposed(Multiply):
    """dw is wrong."""

    def backward(self, dy):
        x, w = self.inputs
        return dy @ ops.transpose(w), x @ dy


class Correlate(Op):
    """A convolution along one axis whose dx takes the filter the wrong way round."""

    def forward(self, x, w):
        return np.array([x[k : k + len(w)] @ w for k in range(len(x) - len(w) + 1)])

    def backward(self, dy):
        x, w = (t.data for t in self.inputs)
        dw = [x[k : k + len(dy.data)] @ dy.data for k in range(len(w))]
        return Tensor(np.convolve(dy.data, w[::-1])), Tensor(np.array(dw))


@pytest.mark.parametrize(
    ("op", "inputs", "said"),
    [
        (WeightNotTransposed, ((4, 3), (3, 3)), "gradient for x: it would be right if w were tr"),
        (InputNotTransposed, ((3, 3), (3, 3)), "gradient for w: it would be right if x were tr"),
        (Correlate, ((7,), (3,)), "gradient for x: it would be right if w were flipped along ax"),
    ],
)
def test_another_input_that_lies_the_wrong_way_round_is_named(op, inputs, said):
    assert hints(op, *[normal(*shape) for shape in inputs])[0].startswith(said)


class Largest(Op):
    """Every winner of a tie gets the whole gradient."""

    def forward(self, x):
        return x.max(axis=1)

    def backward(self, dy):
        x, y = self.inputs[0].data, self.output.data
        return Tensor(np.where(x == y[:, None], dy.data[:, None], 0.0))


@pytest.mark.parametrize(
    "x", [[[1.0, 1, 0], [3, 2, 1]], [[1.0, 1, 0], [3, 3, 1], [0, 2, 2]], np.ones((2, 4))]
)
def test_winners_that_all_get_the_gradient_are_told_to_share_it(x):
    assert hints(Largest, np.array(x))[0].startswith("who of equals gets the gradient?")


class Rectify(Op):
    """relu with a slope of 2 at 0."""

    sign = 1.0

    def forward(self, x):
        return np.maximum(x, 0)

    def backward(self, dy):
        x = self.inputs[0].data
        return dy * Tensor(self.sign * np.where(x == 0, 2.0, x > 0))


class NegativeRectify(Rectify):
    """Wrong everywhere."""

    sign = -1.0


def test_a_slope_outside_of_a_kink_is_told_and_kinks_hide_no_other_diagnosis():
    x = np.array([[0.0, 1, -1], [2, 0, 3e-7]])  # the last is near a kink only
    assert hints(Rectify, x)[0].startswith("only elements with x = 0 differ: a gradient there lies")
    assert hints(NegativeRectify, x)[0] == "the sign is wrong: it is minus the gradient"


class Softmax(Op):
    """The sum of its backward goes along the wrong axis."""

    def forward(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def backward(self, dy):
        y = self.output
        return y * (dy - ops.sum(y * dy, axis=0, keepdims=True))


class Center(Op):
    """Its backward subtracts the mean along the wrong axis."""

    def forward(self, x):
        return x - x.mean(0, keepdims=True)

    def backward(self, dy):
        return dy - ops.mean(dy, axis=1, keepdims=True)


@pytest.mark.parametrize(("op", "times"), [(Softmax, ", times output 0"), (Center, "")])
def test_a_sum_along_the_wrong_axis_is_told(op, times):
    said = f"it is off by a sum along axis 0 and one along axis 1{times}: is one taken along the wr"
    assert hints(op, normal(4, 5))[0].startswith(said)


class SingleForward(Op):
    """It computes in float32."""

    def forward(self, x):
        return np.tanh(x.astype(np.float32)).astype(x.dtype)

    def backward(self, dy):
        return dy * (1 - self.output * self.output)


class SingleBackward(Op):
    """It rounds its gradient to float32."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, dy):
        dx = dy * (1 - self.output * self.output)
        return Tensor(dx.data.astype(np.float32).astype(np.float64))


def test_lost_digits_are_told_and_where_they_are_lost():
    assert hints(SingleForward, normal(4, 5))[0].startswith("forward keeps 7 digits only")
    report = gradcheck(SingleBackward, normal(4, 5), raise_on_fail=False)
    assert report.cause == "precision" and report.hints[0].startswith("right to about 7 digits")


class AveragePool(Op):
    """Its backward forgets to divide by the size of a window."""

    def forward(self, x):
        return x.reshape(len(x), 2, 2, 2, 2, -1).mean((2, 4))

    def backward(self, dy):
        return Tensor(np.repeat(np.repeat(dy.data, 2, 1), 2, 2))


def test_the_size_of_a_window_is_told_before_the_size_of_an_axis():
    said = "4 times the gradient = the 4 elements of the input for one of output 0, or the size 4"
    assert said in hints(AveragePool, normal(2, 4, 4, 3))[0]
