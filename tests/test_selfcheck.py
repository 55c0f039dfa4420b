"""gradcheck_all: it says of no op and no layer that it is right without having looked."""

import numpy as np
import pytest

import minicnn
from minicnn import Op, Tensor, layers, ops
from minicnn.cli import main
from minicnn.ops.sigmoid import Tanh
from minicnn.selfcheck.float32 import check_in_float32
from minicnn.selfcheck.layer_examples import LAYER_EXAMPLES
from minicnn.selfcheck.precision import distance, explained, scaled_error
from minicnn.selfcheck.subjects import LayerSubject

RIGHT = Tanh.forward
ARRAY = np.array([1.0, -2.0])


class CubeWithExample(Op):
    """Right."""

    example = (ARRAY,)

    def forward(self, x):
        return x**3

    def backward(self, dy):
        (x,) = self.inputs
        return dy * 3 * x * x


class ForgetfulCube(CubeWithExample):
    """Its gradient takes x for a constant."""

    def backward(self, dy):
        (x,) = self.inputs
        return dy * Tensor(3 * x.data**2)


class CubeOfArrays(CubeWithExample):
    """Its gradient has no gradient."""

    def backward(self, dy):
        (x,) = self.inputs
        return Tensor(dy.data * 3 * x.data**2)


class CubeInFloat64Only(CubeWithExample):
    """In float32 it is another function."""

    def forward(self, x):
        return RIGHT(self, x) if x.dtype == np.float32 else super().forward(x)


class Broken(CubeWithExample):
    """Nothing can be computed."""

    def forward(self, x):
        raise RuntimeError("not today")


class RaisesTo(Op):
    """An op with a setting, of which the class says with which value it is to be checked."""

    example = (lambda x: RaisesTo(4)(x), ARRAY)

    def __init__(self, exponent):
        self.exponent = exponent

    def forward(self, x):
        return x**self.exponent

    def backward(self, dy):
        (x,) = self.inputs
        return dy * self.exponent * x ** (self.exponent - 1)


class DoublesToo(RaisesTo):
    """What its base class wants to be checked is not this class."""

    def backward(self, dy):
        return 2 * super().backward(dy)


class RaisesToWhat(RaisesTo):
    """An op with a setting, of which nobody says what it is to be."""

    example = (ARRAY,)


class NeedsNoTuple(CubeWithExample):
    """Its example is an array."""

    example = ARRAY


class Stretches(layers.Layer):
    """A layer with a setting and a weight, which leaves alone what it sees in training."""

    example = (lambda: Stretches(2.0), np.ones((2, 3)))

    def __init__(self, by, **keywords):
        super().__init__(**keywords)
        self.by = by

    def build(self, input_shape):
        self.scale = self.add_weight(input_shape[-1:], "ones")
        super().build(input_shape)

    def call(self, x, training=None):
        return x if training else self.stretched(x)

    def stretched(self, x):
        return x * self.scale * self.by


class StretchesWrongly(Stretches):
    """In training it stretches, too, with a wrong gradient for the weight."""

    example = (lambda: StretchesWrongly(2.0), np.ones((2, 3)))

    def call(self, x, training=None):
        return x * Tensor(self.scale.data) if training else self.stretched(x)


class Plain(layers.Layer):
    """A layer without settings."""

    example = (np.ones((2, 3)),)

    def call(self, x):
        return ops.tanh(x)


def verdicts(name, devices=("cpu",)):
    table = minicnn.gradcheck_all(list(devices), ops=[name])
    return {f"{row.name}, {row.dtype}": row.verdict for row in table.rows}


def not_a_number(self, x):
    return RIGHT(self, x) * (1 if x.dtype == np.float64 else np.float32(np.nan))


def infinite_at_one_place(self, x):
    y = RIGHT(self, x).copy()
    y[-1] = np.inf if x.dtype == np.float32 else y[-1]
    return y


def in_float64(self, x):
    return RIGHT(self, x).astype(np.float64)


def refused(self, x):
    if x.dtype == np.float32:
        raise ValueError("the kernel is broken")
    return RIGHT(self, x)


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (not_a_number, "NaN or infinite where a number was wanted"),
        (infinite_at_one_place, "NaN or infinite where a number was wanted"),
        (in_float64, "result 0 .* is float64, but must be float32"),
        (refused, "ValueError: the kernel is broken"),
    ],
)
def test_what_is_wrong_in_float32_only_is_wrong(forward, words, monkeypatch):
    monkeypatch.setattr(Tanh, "forward", forward)
    found = verdicts("tanh")
    assert found["tanh, float64"] == "ok"
    with pytest.raises(AssertionError, match=f"^WRONG: {words}"):
        raise AssertionError(found["tanh, float32"])


def test_another_shape_in_float32_is_wrong():
    row = check_in_float32("f", lambda x: x[:1] if x.dtype == np.float32 else x, [ARRAY], "cpu")
    assert row.verdict.startswith("WRONG: result 0 ")
    assert row.verdict.endswith("has shape (1,), in float64 (2,)")


def test_inputs_rounded_to_10_bits_are_recognised():
    def rounded(x, y):
        for given in (x, y) if x.dtype == np.float32 else ():
            given.data = (given.data.view(np.int32) & ~0x1FFF).view(np.float32)
        return x @ y

    x, y = np.random.default_rng(0).normal(size=(2, 20, 20))
    row = check_in_float32("product", rounded, [x, y], "cpu")
    assert row.verdict == "WRONG: inputs look rounded to 10 bits (TF32?)"


@pytest.mark.parametrize("seed", range(30))
def test_saturated_probabilities_are_no_mistake(seed):
    """What is left of 1 - y, where y is nearly 1, is rounding of y, not of the inputs."""
    example = LAYER_EXAMPLES["Dense, softmax"]
    (row,) = LayerSubject("Dense, softmax", example).in_float32("cpu", seed)
    assert row.ok and row.worst < 3


def test_what_was_not_promised_in_float32_is_skipped(monkeypatch):
    def missing(self, x):
        if x.dtype == np.float32:
            raise NotImplementedError("no version for float32")
        return RIGHT(self, x)

    monkeypatch.setattr(Tanh, "forward", missing)
    assert verdicts("tanh")["tanh, float32"] == "skipped: no version for float32"


def test_nan_and_infinities_are_right_where_float64_has_them():
    x = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert check_in_float32("double", lambda x: x * 2, [x], "cpu").verdict == "ok"


def test_nan_on_one_side_is_an_infinite_error():
    x = np.ones(3, np.float32)
    assert scaled_error(np.float32(np.nan), np.sum, x) == np.inf
    assert scaled_error(np.float32(np.inf), np.sum, x) == np.inf
    assert explained(np.inf).startswith("WRONG: NaN or infinite")


def test_nan_on_both_sides_is_no_error():
    x = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
    assert scaled_error(2 * x, lambda x: 2 * x, x) == 0
    assert scaled_error(np.float32(3.0), np.sum, x) == np.inf


def test_what_float16_cannot_hold_is_rightly_infinite():
    assert distance(np.array([np.inf], np.float16), np.array([1e5])) == 0


def test_scaled_error_wants_results_of_one_shape():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"result has shape \(3,\), but the reference makes \(\)"):
        scaled_error(x.sum(0), np.sum, x)


@pytest.mark.parametrize("name", ["CubeWithExample", "RaisesTo", "Plain", "Stretches"])
def test_own_ops_and_layers_are_checked_on_every_device(name, device):
    found = verdicts(name, [device])
    assert found[f"{name}, float32"] == "ok" and set(found.values()) == {"ok"}
    assert (f"{name}, float64" in found) == (device == "cpu")


def test_own_ops_are_checked_to_the_second_order():
    assert (
        "right once, wrong the second time" in verdicts("ForgetfulCube")["ForgetfulCube, float64"]
    )


def test_a_gradient_made_of_arrays_has_no_second_order_which_is_said():
    found = verdicts("CubeOfArrays")
    assert found["CubeOfArrays, float64"] == "ok"
    assert "write it with ops on tensors" in found["CubeOfArrays, order 2, float64"]
    assert minicnn.gradcheck_all(["cpu"], ops=["CubeOfArrays"])


def test_own_ops_are_checked_in_float32():
    found = verdicts("CubeInFloat64Only")
    assert found["CubeInFloat64Only, float64"] == "ok"
    assert found["CubeInFloat64Only, float32"].startswith("WRONG")


def test_one_broken_op_leaves_the_others_their_lines():
    table = minicnn.gradcheck_all(["cpu"], ops=["Broken", "CubeWithExample"])
    found = {(row.name, row.dtype): row.verdict for row in table.rows}
    assert found["Broken", "float64"] == "WRONG: RuntimeError: not today"
    assert found["Broken", "float32"] == "WRONG: RuntimeError: not today"
    assert found["CubeWithExample", "float64"] == found["CubeWithExample", "float32"] == "ok"


def test_an_example_without_settings_says_how_to_give_them():
    assert (
        verdicts("RaisesToWhat")["RaisesToWhat, float64"]
        == "WRONG: the constructor wants settings (missing a required argument: 'exponent'), which "
        "`example` does not give. Let it begin with a function: "
        "example = (lambda x: RaisesToWhat(...)(x), array)."
    )
    assert (
        "`example` must be a tuple of arrays" in verdicts("NeedsNoTuple")["NeedsNoTuple, float64"]
    )


def test_a_function_of_the_base_class_is_no_example():
    assert verdicts("DoublesToo")["DoublesToo, float64"].startswith("skipped: the class has no")


def test_own_layers_are_checked_in_training_as_well():
    found = verdicts("StretchesWrongly")
    assert found["StretchesWrongly, float64"] == "ok"
    assert found["StretchesWrongly, training, float64"].startswith("WRONG")


@pytest.mark.parametrize("name", ["Dense", "BatchNormalization", "PReLU", "Dropout"])
def test_layers_of_the_library_are_checked_in_float32(name, device):
    assert verdicts(name, [device])[f"{name}, float32"] == "ok"


def test_a_layer_that_is_wrong_in_float32_is_noticed(monkeypatch):
    monkeypatch.setattr(Tanh, "forward", not_a_number)
    found = list(LayerSubject("Dense", LAYER_EXAMPLES["Dense"]).in_float32("cpu", seed=0))
    assert [row.ok for row in found] == [False]


def test_nothing_checked_is_no_success(capsys, monkeypatch):
    assert main(["gradcheck", "cast", "--device", "emulator"]) == 1
    assert "Nothing was checked" in capsys.readouterr().out
    assert not minicnn.gradcheck_all([])
