"""detect_anomaly, and the end of a training whose loss is NaN: where did it begin?"""

import inspect
import re

import numpy as np
import pytest

from minicnn import (
    Sequential,
    Tensor,
    callbacks,
    detect_anomaly,
    initializers,
    layers,
    ops,
    optimizers,
)
from minicnn.anomaly import Anomaly, count_of_bad


class Logarithm(layers.Layer):
    """Gives NaN for negative numbers."""

    def call(self, x):
        return ops.log(x)


class Root(layers.Layer):
    """Has an infinite slope at 0."""

    def call(self, x):
        return ops.sqrt(x * 0.0)


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    return first + next(k for k, line in enumerate(lines) if text in line)


def model_with(layer):
    model = Sequential([layers.Input((4,)), layers.Dense(4), layer, layers.Dense(1)])
    model.compile(optimizers.SGD(0.25), "mse")
    return model


def data(n=32):
    return np.random.default_rng(0).normal(size=(n, 4)), np.zeros(n)


def quiet(model, *arguments, **keywords):
    with np.errstate(all="ignore"):
        return model.fit(*arguments, verbose=0, **keywords)


def test_an_input_that_is_not_finite_is_named_as_the_cause():
    said = r"forward of Exp.* has 1 NaN, .*Of its inputs, input 0, x, has 1 NaN, .*at \[1\]"
    with pytest.raises(Anomaly, match=said), detect_anomaly():
        ops.exp(Tensor([1.0, np.nan]))


def test_an_input_that_is_empty_is_called_so():
    with pytest.raises(Anomaly, match="input 0, xs, is empty; input 1, xs, has 1 NaN"):
        with detect_anomaly():
            ops.concatenate([Tensor(np.ones(0)), Tensor(np.array([np.nan, 1]))])


def test_the_first_op_forward_is_named_with_layer_and_line():
    layer = Logarithm(name="logarithm")
    line = line_of(Logarithm, "ops.log")
    said = (
        rf"forward of Log\w*: the output, of shape \(1, 2\), has 1 NaN, the first at \[0, 1\] in "
        rf"layer 'logarithm' \(Logarithm\), test_anomaly.py, line {line}\. "
        rf"Of its inputs, input 0, x, reaches from -2 to 4"
    )
    with pytest.raises(Anomaly, match=said), detect_anomaly():
        layers.ReLU()(layer(np.array([[4.0, -2.0]])))


def test_the_first_op_backward_is_named_with_the_line_that_went_forward():
    line = line_of(Root, "ops.sqrt")
    x = Tensor([[4.0, 0.0]], requires_grad=True)
    said = rf"backward of SquareRoot: the gradient.* 2 infinite.* \(Root\), .*line {line}\."
    with pytest.raises(Anomaly, match=said), detect_anomaly():
        Root()(x).sum().backward()


def test_a_fused_convolution_is_named_as_its_layer():
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu", name="guilty"),
            layers.MaxPooling2D(2),
        ]
    )
    model.layers[0].kernel.assign(np.full((3, 3, 1, 2), 1e38))
    with pytest.raises(Anomaly, match=r"has \d+ infinite.* in layer 'guilty' \(Conv2D\)"):
        with detect_anomaly():
            model(np.full((1, 8, 8, 1), 100.0), training=True)


def test_finite_numbers_are_no_anomaly():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with detect_anomaly():
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_the_search_ends_with_its_block():
    with detect_anomaly():
        pass
    with np.errstate(all="ignore"):
        assert np.isnan(ops.log(Tensor([-1.0])).numpy()).all()


def test_bad_numbers_are_counted():
    array = np.array([[1.0, np.inf], [np.nan, np.nan]])
    assert count_of_bad(array) == "2 NaN and 1 infinite, the first at [0, 1]"


def test_fit_ends_at_a_loss_that_is_nan_and_names_the_op_the_layer_and_the_learning_rate():
    model = model_with(Logarithm(name="guilty"))
    before = model.get_weights()
    said = (
        r"fit \[MC041\]: the loss is nan in step 1 of epoch 1, at a learning rate of 0.25. It "
        r"begins in the forward of Log.* in layer 'guilty' .* input 0, x, reaches from -"
    )
    with pytest.raises(FloatingPointError, match=said):
        quiet(model, *data())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_in_layers_of_the_library_the_line_is_that_of_the_users_fit():
    huge = layers.Dense(1, kernel_initializer=initializers.Constant(1e38))
    model = Sequential([layers.Input((3,)), huge])
    model.compile("sgd", "mse")
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as caught:
        quiet(model, 1e3 * np.ones((64, 3)), np.zeros((64, 1)))
    assert re.search(r"in layer '\w+' \(Dense\), test_anomaly.py, line \d+", str(caught.value))


def test_fit_ends_before_a_gradient_that_is_not_finite_spoils_the_weights():
    model = model_with(Root(name="guilty"))
    said = r"fit \[MC041\]: a gradient is not finite in step 1 .*backward of SquareRoot.*'guilty'"
    with pytest.raises(FloatingPointError, match=said):
        quiet(model, *data())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_step_and_the_epoch_are_those_of_the_failure():
    model = model_with(layers.ReLU())
    spoil = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: (
            epoch == 1 and model.layers[0].kernel.assign(np.full((4, 4), np.nan))
        )
    )
    said = r"step 1 of epoch 2.*has made the weight '.*dense\w*/kernel' NaN or infinite"
    with pytest.raises(FloatingPointError, match=said):
        quiet(model, *data(), epochs=3, callbacks=[spoil])


def test_terminate_on_nan_takes_care_of_it_instead(capsys):
    quiet(model_with(Logarithm()), *data(), callbacks=[callbacks.TerminateOnNaN()])
    assert "Invalid loss, terminating training" in capsys.readouterr().out
