"""source() and `minicnn source`: an op, as it stands in the files."""

import inspect

import numpy as np
import pytest

from minicnn import Op, ops, source
from minicnn.backend import kernels
from minicnn.cli.program import main
from minicnn.ops.conv2d import Convolve

FUNCTIONS = [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))]


class Double(Op):
    """y = 2x;   dx = 2dy."""

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def printed(op, capsys):
    source(op)
    return capsys.readouterr().out


def titles(text):
    return [line.split(" ---- ")[0][5:] for line in text.splitlines() if line.startswith("---- ")]


def test_conv2d_is_shown_with_formulas_gradients_and_kernels(capsys):
    text = printed("conv2d", capsys)
    assert titles(text)[:4] == ["ops.conv2d", "Convolve", "InputGradient", "WeightGradient"]
    for name in ("forward", "input_grad", "weight_grad"):
        for version in ("plain", "for the CPU"):
            assert f"kernel conv2d.{name}, {version}" in titles(text)
    assert "dw[p,q,c,f] = sum over n, i, j" in text
    for thing in (Convolve, kernels.conv2d.forward.reference):
        lines, first = inspect.getsourcelines(thing)
        assert "".join(lines) in text and f"conv2d.py, line {first} -" in text


def test_a_name_a_function_and_a_class_lead_to_the_same_op(capsys):
    by_name = printed("conv2d", capsys)
    assert printed(ops.conv2d, capsys) == by_name
    by_class = printed(Convolve, capsys)
    assert by_name.endswith(by_class) and titles(by_class)[0] == "Convolve"


def test_what_numba_compiles_is_shown(capsys):
    text = printed("max_pool2d", capsys)
    assert "kernel max_pool2d.gather, compiled" in titles(text) and "prange" in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_op_can_be_shown(name, capsys):
    text = printed(name, capsys)
    assert titles(text)[0] == f"ops.{name}" and '"""' in text


def test_an_op_of_ones_own_can_be_shown(capsys):
    text = printed(Double, capsys)
    assert titles(text) == ["Double"] and "return 2 * dy" in text
    assert "test_source_code.py, line" in text


WEIGHTS = np.ones(3)


class Weighted(Op):
    """y = 1 * x, by numbers of this file.   dx = 2 * dy, by its other op."""

    def forward(self, x):
        return x * WEIGHTS

    def backward(self, dy):
        return Double()(dy)


def test_what_a_file_has_besides_ops_does_not_matter(capsys):
    assert titles(printed(Weighted, capsys)) == ["Weighted", "Double"]


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="no op 'convd'. Did you mean 'conv2d'"):
        source("convd")
    with pytest.raises(TypeError, match="wants the name of an op, .* but got 3"):
        source(3)


def test_the_command_prints_the_same(capsys):
    assert main(["source", "softmax"]) == 0
    assert capsys.readouterr().out == printed("softmax", capsys)
    assert main(["source", "sofmax"]) == 2
    assert "minicnn source: there is no op 'sofmax'. Did you mean" in capsys.readouterr().err
