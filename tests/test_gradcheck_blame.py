"""Who is to blame for a wrong gradient, and in which lines: also where backward raises."""

import inspect
import re

import numpy as np
import pytest

from minicnn import Op, Tensor, ops
from minicnn.gradcheck import gradcheck


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


class Twice(Op):
    """Its backward is given by each test."""

    def forward(self, x):
        return x * 2


class Missing(Twice):
    """No gradient where one is wanted."""

    def backward(self, dy):
        return None


class TwoForOne(Twice):
    """A gradient too many."""

    def backward(self, dy):
        return dy * 2, dy


class OfOtherShape(Twice):
    """A gradient that was summed."""

    def backward(self, dy):
        return ops.sum(dy)


class PlainArray(Twice):
    """An array in the place of a tensor."""

    def backward(self, dy):
        return dy.data * 2


class Misspelt(Twice):
    """A name that does not exist."""

    def backward(self, dy):
        dx = dy * 2
        return dx * fcator  # noqa: F821


class Listed(Op):
    """A list in the place of a tuple."""

    def forward(self, x, y):
        return x * y

    def backward(self, dy):
        x, y = self.inputs
        return [dy * y, dy * x]


@pytest.mark.parametrize("op", [Missing, TwoForOne, OfOtherShape, PlainArray, Misspelt, Listed])
def test_an_error_of_a_backward_comes_with_file_and_lines(op):
    inputs = [normal(3) for _ in inspect.signature(op.forward).parameters][1:]
    report = gradcheck(lambda *xs: op()(*xs), *inputs, raise_on_fail=False)
    assert report.cause == "raised"
    assert f"test_gradcheck_blame.py:{op.backward.__code__.co_firstlineno}-" in report.source
    assert f"({op.__name__}.backward)" in str(report) and "def backward" in report.source_text


def test_the_line_is_told_in_which_a_backward_raised():
    report = gradcheck(Misspelt, normal(3), raise_on_fail=False)
    line = Misspelt.backward.__code__.co_firstlineno + 2
    assert report.source.endswith(f"(Misspelt.backward), raised in line {line}")


def test_a_list_of_gradients_is_told_to_be_a_list():
    report = gradcheck(Listed, normal(3), normal(3), raise_on_fail=False)
    told = "Listed.backward: returned a list, but several gradients must be a tuple: return dx, dw"
    assert told in str(report)


def test_a_forward_that_writes_into_its_input_is_reported():
    class Doubled(Op):
        def forward(self, x):
            x *= 2
            return x

        def backward(self, dy):
            return dy * 2

    for f in (Doubled, lambda x: Doubled()(ops.tanh(x))):
        report = gradcheck(f, normal(3), raise_on_fail=False)
        assert report.cause == "inputs untouched"
        assert re.search(r"\(Doubled\.forward\), raised in line \d+$", report.source)
        assert "forward writes into an array that belongs to others" in str(report)


def test_other_errors_of_a_forward_are_raised_as_they_are():
    def failing(x):
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        gradcheck(failing, normal(3))


class Cube(Op):
    """Its backward takes x for a constant."""

    def forward(self, x):
        return x**3

    def backward(self, dy):
        return dy * Tensor(3 * self.inputs[0].data ** 2)


class Slope(Op):
    """The slope of tanh, whose own gradient is wrong."""

    def forward(self, x):
        return 1 - np.tanh(x) ** 2

    def backward(self, dy):
        return dy * 2


class CurvedBySlope(Op):
    """tanh, whose backward is made of Slope."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, dy):
        return dy * Slope()(self.inputs[0])


class Detached(Op):
    """Its gradient has none itself."""

    def forward(self, x):
        return x**3

    def backward(self, dy):
        return Tensor(dy.data * 3 * self.inputs[0].data ** 2)


@pytest.mark.parametrize(
    ("f", "name", "hint"),
    [
        (lambda x: ops.tanh(Cube()(ops.exp(x))), "Cube", "taken for a constant?"),
        (CurvedBySlope, "Slope", "Slope, which a backward is made of, has a wrong gradient itself"),
        (lambda x: ops.exp(Detached()(x)), "Detached", "order 2 raised NotImplementedError"),
    ],
)
def test_the_op_with_the_wrong_second_gradient_is_named(f, name, hint):
    assert gradcheck(f, normal(3))
    report = gradcheck(f, normal(3), order=2, raise_on_fail=False)
    assert f"({name}.backward)" in report.source
    assert report.hints[0].endswith(hint)


class SingleSlope(Op):
    """2 x, whose gradient is right, but float32; sums with other gradients would hide that."""

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return (dy * 2).astype("float32")


class Scribbling(Op):
    """2 x, whose gradient is right; but then x is another one."""

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        (x,) = self.inputs
        x.data.setflags(write=True)
        x.data[0] += 1
        return dy * 2


@pytest.mark.parametrize(
    ("slope", "problem"),
    [
        (SingleSlope, "SingleSlope.backward returns float32 for input 0, a float64"),
        (Scribbling, "backward changes"),
    ],
)
def test_types_and_inputs_are_looked_at_in_the_second_order_too(slope, problem):
    class OwnSquare(Op):
        def forward(self, x):
            return x**2

        def backward(self, dy):
            return dy * slope()(self.inputs[0] * 1)

    x = np.array([0.5, 1.25, -2.0])  # no rounding, so that the numbers are right
    assert gradcheck(lambda x: OwnSquare()(x), x)
    report = gradcheck(lambda x: OwnSquare()(x), x, order=2, raise_on_fail=False)
    assert report.cause == "order 2" and problem in report.structural["order 2"]


class Product(Op):
    """Its two gradients are swapped."""

    def forward(self, x, y):
        return x * y

    def backward(self, dy):
        return dy * self.inputs[0], dy * self.inputs[1]


def test_a_diagnosis_speaks_of_inputs_by_the_names_that_the_function_gives_them():
    report = gradcheck(lambda a, b: Product()(a, b), normal(3), normal(3) + 2, raise_on_fail=False)
    assert report.hints[0] == "gradient for a: it is the gradient for b (the two are swapped)"
    report = gradcheck(
        lambda a, b: ops.sum(Product()(ops.exp(a), b)), normal(3), normal(3), raise_on_fail=False
    )
    assert report.hints[0].startswith("gradient for input 0: it is the gradient for b")


class Restless(Op):
    """Wrong in many ways: it counts its calls, and squares its gradient."""

    calls = 0

    def forward(self, *xs):
        return sum(x * x for x in xs)

    def backward(self, dy):
        Restless.calls += 1
        return tuple(dy * dy * Restless.calls * x for x in self.inputs)


@pytest.mark.parametrize("cotangent", ["random", "ones"])
@pytest.mark.parametrize("count", [1, 4, 9, 10, 14, 30])
def test_a_report_has_25_lines_at_most_and_names_all_that_is_wrong(count, cotangent):
    inputs = [normal(2) for _ in range(count)]
    for f in (Restless(), lambda *xs: sum((ops.tanh(x) for x in xs[1:]), ops.tanh(xs[0]))):
        report = gradcheck(f, *inputs, cotangent=cotangent, raise_on_fail=False)
        lines = str(report).splitlines()
        assert len(lines) <= 25
        told = str(report)
        assert all(name in told for name in report.structural)
        shown = sum(line.split()[0] in {i.name for i in report.inputs} for line in lines)
        shown += sum("input " in line and " of 2 " in line for line in lines)
        left_out = re.search(r"\.\.\. and (\d+) more", told)
        assert shown + int(left_out[1] if left_out else 0) == count
