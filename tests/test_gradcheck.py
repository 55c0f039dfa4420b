"""The gradient checker: it finds what is planted, accuses nothing that is right, and says why."""

import numpy as np
import planted_gradients as planting
import pytest
from cases import CASES

import minicnn
from minicnn import Op, Tensor, layers, models, ops
from minicnn.backend import floatx, set_floatx
from minicnn.cli import main
from minicnn.gradcheck import GradientError, gradcheck
from minicnn.ops.conv2d import Convolve
from minicnn.ops.max_pool2d import TakeLargest
from minicnn.ops.relu import Gate
from minicnn.ops.selection import TakeLarger, TakeSmaller
from minicnn.ops.sigmoid import Tanh, TanhGradient
from minicnn.ops.softmax import Softmax
from minicnn.selfcheck.layer_examples import LAYER_EXAMPLES
from minicnn.selfcheck.precision import explained, scaled_error
from minicnn.selfcheck.subjects import LayerSubject


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("op", [Softmax, Tanh], ids=lambda op: op.__name__)
def test_every_planted_mistake_is_caught_and_most_are_explained(op):
    found = list(planting.outcomes(0, ops=[op]))
    assert len(found) > 20
    assert [o for o in found if not o.caught] == []
    assert np.mean([o.explained for o in found]) >= 0.8


@pytest.mark.parametrize("mistake", ["zeros", "flipped", "last row skipped", "stale"])
def test_a_mistake_in_a_convolution_is_caught_and_explained(mistake):
    for found in planting.outcomes(0, ops=[Convolve], mistakes=[mistake]):
        assert found.caught and found.explained, found


def test_a_backward_that_uses_the_sign_of_its_gradient_is_explained():
    class Signed(Op):
        def forward(self, x):
            return x * x

        def backward(self, dy):
            (x,) = self.inputs
            return 2 * x * Tensor(np.sign(dy.data))

    with pytest.raises(GradientError, match="only the sign of the upstream gradient is used"):
        gradcheck(lambda x: Signed()(x), np.arange(1.0, 6.0))


def test_mistakes_in_gradients_of_gradients_are_caught_and_explained():
    second = planting.hosts(2)
    assert {*planting.hosts(), *second} == set(planting.OPS) and len(second) > 15
    some = ["zeros", "times 1.001", "rolled", "0 where x < 0"]
    found = list(planting.outcomes(0, [TanhGradient, Gate], some, part="second"))
    assert len(found) >= 10
    assert [o for o in found if not (o.caught and o.explained)] == []


@pytest.mark.parametrize("mistake", planting.PARTS["forgotten"].mistakes)
def test_a_gradient_that_does_not_move_with_the_inputs_is_caught_and_explained(mistake):
    found = list(planting.outcomes(0, [Tanh, Softmax], [mistake], part="forgotten"))
    assert len(found) == 2
    assert [o for o in found if not (o.caught and o.explained)] == []


SPARSE = {"gradients": 250, "second": 1000, "forgotten": 130, "ties": 20}  # of so many pairs one


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_nothing_is_missed_and_nobody_accused(seed):
    """Each seed meets other pairs of an op and a mistake; planting.main has them all."""
    for part, sparse in SPARSE.items():
        assert [o for o in planting.outcomes(seed, sparse=sparse, part=part) if not o.caught] == []
    assert [name for name, _ in planting.false_alarms(seed, sparse=12)] == []
    assert [name for name, _ in planting.false_alarms_of_layers(seed, sparse=50)] == []


@pytest.mark.parametrize("name", ["PReLU", "ReLU", "MaxPooling2D", "Maximum", "Conv2D, relu"])
def test_layers_are_cleared_on_their_kinks(name):
    assert list(planting.false_alarms_of_layers(0, names=[name])) == []


@pytest.mark.parametrize("name", ["relu", "max", "max_pool2d", "max_pool2d, overlapping"])
def test_kinks_and_ties_are_no_mistakes(name):
    report = gradcheck(CASES[name][0], *planting.on_kinks(name, 0))
    assert report.verdicts["fail"] == report.verdicts["kink_wrong"] == 0
    assert report.verdicts["kink_ok"] > 0


def test_a_kink_excuses_only_what_lies_between_the_slopes():
    class Steep(Op):
        def forward(self, x):
            return np.maximum(x, 0)

        def backward(self, dy):
            (x,) = self.inputs
            return dy * Tensor(np.where(x.data == 0, 2.0, x.data > 0))

    report = gradcheck(lambda x: Steep()(x), np.array([0.0, 1.0, -1.0]), raise_on_fail=False)
    assert report.verdicts == {"pass": 2, "kink_ok": 0, "kink_wrong": 1, "fail": 0}
    assert not any("1 / the input" in hint for hint in report.hints)  # which is infinite at 0


def test_all_winners_of_a_tie_cannot_have_the_whole_gradient(monkeypatch):
    def to_all(self, dy):
        x = self.inputs[0].data
        wide = np.repeat(np.repeat(dy.data, 2, 1), 2, 2)
        return Tensor(wide * (x == np.repeat(np.repeat(self.output.data, 2, 1), 2, 2)))

    monkeypatch.setattr(TakeLargest, "backward", to_all)
    report = gradcheck(ops.max_pool2d, np.ones((1, 4, 4, 1)), raise_on_fail=False)
    assert "the sum of dx should be" in report.structural["conservation"]


def test_all_winners_of_a_maximum_cannot_have_the_whole_gradient():
    class KeepLargest(Op):
        def forward(self, x):
            return x.max(axis=1)

        def backward(self, dy):
            (x,) = self.inputs
            winners = Tensor((x.data == self.output.data[:, None]).astype(x.dtype))
            return ops.reshape(dy, (-1, 1)) * winners

    x = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    report = gradcheck(lambda x: KeepLargest()(x), x, raise_on_fail=False)
    assert report.verdicts["kink_wrong"] == report.verdicts["fail"] == 0
    assert "the sum of dx should be" in report.structural["conservation"]


def test_a_tie_planted_into_a_pooling_is_caught():
    (found,) = planting.outcomes(0, ops=[TakeLargest], part="ties")
    assert found.caught


@pytest.mark.parametrize("op", [TakeLarger, TakeSmaller])
def test_a_tie_of_two_inputs_is_caught(op):
    (found,) = planting.outcomes(0, ops=[op], part="ties")
    assert found.caught


def test_ones_hide_what_random_numbers_show():
    with planting.planted(Softmax, 0, planting.MISTAKES["zeros"]):
        x = normal(3, 4)
        ones = gradcheck(ops.softmax, x, cotangent="ones", raise_on_fail=False)
        report = gradcheck(ops.softmax, x, raise_on_fail=False)
    assert ones.ok and ones.vacuous == ["x"] and "20 of 39 known bugs" in str(ones)
    assert not report and report.cause == "zeros" and report.ones_would_see is False


def test_the_op_to_blame_is_found_in_a_network():
    model = models.Sequential(
        [layers.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(4, "tanh")]
    )
    model.compile("sgd", "mse")
    with planting.planted(Tanh, 0, planting.MISTAKES["sign"]):
        report = model.gradcheck(normal(3, 6, 6, 2), normal(3, 4), raise_on_fail=False)
    assert report.cause == "sign" and "Tanh.backward" in report.source
    assert len(str(report).splitlines()) <= 25


def test_a_model_is_checked_with_fixed_masks_and_stays_as_it_was():
    model = models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(4, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.predict(normal(6, 5), verbose=0)
    before = model.get_weights()
    assert model.gradcheck(normal(6, 5), np.arange(6) % 3).ok
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
        assert now.dtype == np.float32


def functional(ends, shape=(3, 3, 2)):
    """A model whose paths part and join, with everything that a plan computes in its own way."""
    x = layers.Input(shape, name="x")
    left = layers.Conv2D(2, 3, padding="same", use_bias=False)(x)
    block = layers.Add()([layers.BatchNormalization()(left), x])
    y = layers.Flatten()(layers.ReLU()(block) * 2)
    return models.Model(x, [layers.Dense(3, "tanh", name=f"end{k}")(y) for k in range(ends)])


@pytest.mark.parametrize("ends, dtype", [(1, "float64"), (2, "float32")])
def test_functional_models_are_checked_and_stay_as_they_were(ends, dtype):
    before = floatx()
    set_floatx(dtype)
    try:
        model = functional(ends)
        model.compile("sgd", "mse")
        weights = model.get_weights()
        x, y = normal(3, 3, 3, 2), [normal(3, 3) for _ in range(ends)]
        report = model.gradcheck(x, y if ends > 1 else y[0])
        assert report.ok and not report.vacuous
        for now, then in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(now, then)
        with planting.planted(Tanh, 0, planting.MISTAKES["sign"]):
            assert not model.gradcheck(x, y if ends > 1 else y[0], raise_on_fail=False).ok
    finally:
        set_floatx(before)


def test_models_are_checked_to_the_second_order():
    model = models.Sequential([layers.Input((5,)), layers.Dense(3, "tanh"), layers.Dense(2)])
    model.compile("sgd", "mse")
    assert model.gradcheck(normal(4, 5), normal(4, 2), order=2).ok


def test_second_order_finds_what_is_right_once_only():
    class Forgetful(Op):
        def forward(self, x):
            return x**3

        def backward(self, dy):
            (x,) = self.inputs
            return dy * Tensor(3 * x.data**2)

    assert gradcheck(lambda x: Forgetful()(x), normal(3)).ok
    with pytest.raises(GradientError, match="right once, wrong the second time"):
        gradcheck(lambda x: Forgetful()(x), normal(3), order=2)


def test_random_forward_is_refused():
    layer = layers.Dropout(0.5, dtype="float64")
    report = gradcheck(lambda x: layer(x, training=True), normal(40), raise_on_fail=False)
    assert report.nondeterministic and report.cause == "not deterministic"


def test_a_large_input_is_sampled_with_its_corners():
    report = gradcheck(ops.tanh, normal(30, 40))
    (found,) = report.inputs
    assert found.checked.sum() == 200 and found.checked[[0, 0, -1, -1], [0, -1, 0, -1]].all()


def test_the_page_needs_nothing_else_and_is_small(tmp_path):
    with planting.planted(Tanh, 0, planting.MISTAKES["sign"]):
        report = gradcheck(ops.tanh, normal(128, 128), raise_on_fail=False)
    report.to_html(tmp_path / "check.html")
    page = (tmp_path / "check.html").read_text()
    assert len(page) < 300_000 and "{{" not in page
    assert "http" not in page and "the sign is wrong" in page
    assert "<iframe" in report._repr_html_()


def test_what_is_said_of_wrong_arguments():
    x = normal(3)
    with pytest.raises(ValueError, match="kinks must be one of classify, fail, skip, but is 'no'"):
        gradcheck(ops.tanh, x, kinks="no")
    with pytest.raises(ValueError, match="order must be 1 or 2, but is 3"):
        gradcheck(ops.tanh, x, order=3)
    with pytest.raises(ValueError, match="cotangent must be 'random', 'ones', a seed or arrays"):
        gradcheck(ops.tanh, x, cotangent="one")
    with pytest.raises(ValueError, match=r"cotangent has shapes \[\(2,\)\], but the outputs have"):
        gradcheck(ops.tanh, x, cotangent=np.ones(2))
    with pytest.raises(
        ValueError, match=r"wrt has 'y', but the inputs with a gradient are 0 \(x\)"
    ):
        gradcheck(ops.tanh, x, wrt=["y"])
    with pytest.raises(TypeError, match="must return a tensor or a tuple of tensors, but it ret"):
        gradcheck(lambda x: 3, x)


def test_assert_grads_fails_with_the_report():
    minicnn.testing.assert_grads(ops.tanh, normal(3))
    with planting.planted(Tanh, 0, planting.MISTAKES["zeros"]):
        with pytest.raises(GradientError, match="looks like: all zeros"):
            minicnn.testing.assert_grads(ops.tanh, normal(3))


@pytest.mark.parametrize("name", LAYER_EXAMPLES)
def test_every_layer_has_the_right_gradients(name):
    (row,) = LayerSubject(name, LAYER_EXAMPLES[name]).in_float64(seed=0)
    assert row.ok, str(row.report)


def test_every_layer_of_the_library_has_an_example():
    tested = {type(example.make()) for example in LAYER_EXAMPLES.values()}
    known = {
        c for c in vars(layers).values() if isinstance(c, type) and issubclass(c, layers.Layer)
    }
    assert known - tested == {layers.Layer, layers.InputLayer}


def test_the_command_says_what_is_wrong_and_what_was_skipped(capsys, tmp_path):
    assert main(["gradcheck", "tanh"]) == 0
    assert "skipped: set_device: " in capsys.readouterr().out
    with planting.planted(Tanh, 0, planting.MISTAKES["sign"]):
        page = tmp_path / "tanh.html"
        assert main(["gradcheck", "tanh", "--device", "cpu", "--html", str(page)]) == 1
    assert "WRONG: the sign is wrong" in capsys.readouterr().out and page.exists()
    assert main(["gradcheck", "tahn"]) == 2
    assert "tanh" in capsys.readouterr().err


def test_own_ops_are_found_by_their_example():
    class Thirds(Op):
        example = (np.array([1.0, 2.0]),)

        def forward(self, x):
            return x / 3

        def backward(self, dy):
            return dy

    table = minicnn.gradcheck_all(["cpu"], ops=["Thirds"])
    assert not table and "a constant factor: 3" in str(table)


def test_lower_precision_than_float32_is_noticed():
    x, w = normal(40, 300).astype(np.float32), normal(300, 20).astype(np.float32)
    assert scaled_error(x @ w, np.matmul, x, w) < 8
    rounded = (x.view(np.int32) & ~0x1FFF).view(np.float32)
    error = scaled_error(rounded @ w, np.matmul, x, w)
    assert explained(error) == "WRONG: inputs look rounded to 10 bits (TF32?)"
