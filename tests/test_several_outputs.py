"""Losses, weights and metrics of models with several outputs; Keras is asked elsewhere."""

import numpy as np
import pytest

from minicnn import Input, Model, layers

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
TWO, ONE = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)


def model(**settings):
    x = Input((4,))
    made = Model(x, [layers.Dense(2, name="p")(x), layers.Dense(1, name="q")(x)])
    made.compile("sgd", **settings)
    return made


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"loss": ["mse"]}, ValueError, "loss must have an entry for each of the 2 outputs, p, q"),
        ({"loss": {"p": "mse"}}, ValueError, "loss has no entry for the output 'q'. Say None"),
        ({"loss": {"p": "mse", "r": "mse"}}, ValueError, "loss has an entry 'r'.*Did you mean|'r'"),
        ({"loss": "mse", "loss_weights": [1.0]}, ValueError, "loss_weights must have an entry"),
        ({"loss": "mse", "loss_weights": ["a", 1]}, TypeError, "loss_weights must be numbers"),
        ({"loss": "mse", "metrics": ["mae"]}, ValueError, "metrics must have an entry for each"),
        ({"loss": "mse", "metrics": {"z": "mae"}}, ValueError, "metrics has an entry 'z'"),
    ],
)
def test_what_does_not_fit_to_the_outputs_is_refused(settings, error, match):
    with pytest.raises(error, match=match):
        model(**settings)


def test_labels_must_fit_to_the_outputs():
    with pytest.raises(ValueError, match="y has labels for 3 outputs, but the model has 2: p, q"):
        model(loss="mse").fit(X, [TWO, ONE, ONE], verbose=0)
    with pytest.raises(ValueError, match="output 'p'|mse.*MC010|MC010"):
        model(loss="mse").fit(X, [ONE, TWO], verbose=0)
    with pytest.raises(ValueError, match="class_weight is for models of one output"):
        model(loss="mse").fit(X, [TWO, ONE], class_weight={0: 1.0}, verbose=0)


def test_an_output_without_loss_is_not_trained():
    made = model(loss={"p": "mse", "q": None}, metrics={"q": "mae"})
    before = made.get_layer("q").get_weights()[0]
    history = made.fit(X, [TWO, ONE], verbose=0).history
    assert list(history) == ["loss", "q_mae"]
    np.testing.assert_array_equal(made.get_layer("q").get_weights()[0], before)


def test_results_have_names_in_order():
    made = model(loss="mse", metrics=[None, ["mae"]])
    assert made.metrics_names == ["loss", "p_loss", "q_loss", "q_mae"]
    values = made.evaluate(X, [TWO, ONE], verbose=0)
    named = made.evaluate(X, [TWO, ONE], verbose=0, return_dict=True)
    assert values == [named[name] for name in made.metrics_names]
    assert values[0] == pytest.approx(values[1] + values[2])
    assert made.test_on_batch(X, [TWO, ONE]) == pytest.approx(values)


def test_data_may_come_in_batches():
    made = model(loss="mse")
    batches = [(X, {"p": TWO, "q": ONE}), (X, [TWO, ONE])]
    history = made.fit(batches, verbose=0).history
    assert list(history) == ["loss", "p_loss", "q_loss"]


def test_sample_weights_may_differ_from_output_to_output():
    made = model(loss="mse")
    weight = [np.zeros(6, np.float32), np.ones(6, np.float32)]
    logs = made.test_on_batch(X, [TWO, ONE], sample_weight=weight, return_dict=True)
    assert logs["p_loss"] == 0 and logs["loss"] == logs["q_loss"] > 0


def test_validation_split_cuts_every_array():
    made = model(loss="mse")
    history = made.fit(X, [TWO, ONE], validation_split=0.5, verbose=0).history
    assert {"val_loss", "val_p_loss", "val_q_loss"} <= history.keys()
