"""Mistakes that a training does not complain about by itself, and trainings that have none."""

import warnings

import numpy as np
import pytest

from minicnn import Sequential, layers, optimizers
from minicnn.initializers import HeNormal, Zeros
from minicnn.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from minicnn.regularizers import L2

LOSS = "sparse_categorical_crossentropy"


def data(n=320, features=20, classes=10):
    x = np.random.default_rng(0).normal(size=(n, features)).astype(np.float32)
    return x, np.arange(n) % classes


def net(*between, features=20, classes=10):
    last = layers.Dense(classes, activation="softmax", name="scores")
    return Sequential([layers.Input((features,)), *between, last])


def fitted(model, x=None, y=None, loss=LOSS, optimizer="adam", **keywords):
    if x is None:
        x, y = data()
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(x, y, verbose=0, **keywords)
    return model


def test_shared_samples_are_counted():
    x, y = data()
    held_out = np.concatenate([x[:30], -x[:70]]).astype(np.float64)
    with pytest.warns(UserWarning, match=r"fit \[MC035\]: 30 of the 100 samples for validation"):
        fitted(net(), x, y, validation_data=(held_out, np.arange(100) % 10))


@pytest.mark.parametrize(
    "held_out",
    [
        pytest.param(lambda x: -x, id="none shared"),
        pytest.param(lambda x: np.concatenate([x[:1], -x]), id="1 of 321"),
        pytest.param(lambda x: np.concatenate([x[:, :19], x[:, :1] + 9], axis=1), id="nearly"),
    ],
)
def test_samples_that_are_not_shared_are_no_warning(held_out):
    x, y = data()
    held_out = held_out(x)
    fitted(net(), x, y, validation_data=(held_out, np.arange(len(held_out)) % 10))


def test_small_rows_and_blank_images_may_be_equal():
    x, y = data(features=15)
    fitted(net(features=15), x, y, validation_data=(x, y))
    blank = np.ones((320, 20))
    fitted(net(), blank, y, validation_data=(blank, y))


def test_a_first_loss_far_from_chance_is_noted_once():
    x, y = data()
    model = net()
    with pytest.warns(UserWarning, match=r"fit \[MC040\]: note: .* loss of 2.30, but the fir"):
        fitted(model, 100 * x, y)
    fitted(model, 100 * x, y, optimizer=model.optimizer)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0])
def test_a_usual_first_loss_is_not_noted(scale):
    x, y = data()
    for seed in range(20):
        hidden = layers.Dense(64, activation="relu", kernel_initializer=HeNormal(seed))
        fitted(net(hidden), scale * x[:32], y[:32])


def test_penalties_and_weights_are_no_reason_for_a_note_on_the_first_loss():
    x, y = data(64)
    fitted(net(layers.Dense(64, kernel_regularizer=L2(1.0))), x, y)
    fitted(net(), x, y, sample_weight=np.full(64, 100.0))


def test_layers_that_learn_nothing_are_named_with_the_cause():
    model = net(layers.Dense(8, activation="relu", bias_initializer="zeros", name="dead"))
    model.get_layer("dead").set_weights([np.zeros((20, 8)), np.full(8, -1.0)])
    said = r"fit \[MC042\]: 'dead' got zero gradients in 10 of 10 steps.* all outputs of 'dead' are"
    with pytest.warns(UserWarning, match=said):
        fitted(model)


def test_fewer_steps_than_ten_are_not_judged_and_layers_that_learn_are_not_named():
    x, y = data(280)
    fitted(net(layers.Dense(8, activation="relu", kernel_initializer=Zeros())), x, y)
    fitted(net(layers.Dense(8, activation="relu")))
    frozen = net(layers.Dense(8, activation="relu", kernel_initializer=Zeros(), trainable=False))
    fitted(frozen)


def test_layers_that_share_an_initializer_object_have_started_equal():
    same = HeNormal()
    one, other = (layers.Dense(20, kernel_initializer=same, name=name) for name in "ab")
    with pytest.warns(UserWarning, match=r"fit \[MC043\]: 'a' and 'b' have started equal"):
        fitted(net(one, other))


def test_layers_with_initializers_of_their_own_have_not():
    fitted(net(*(layers.Dense(20, kernel_initializer="he_normal") for _ in range(2))))
    same = HeNormal()
    fitted(net(*(layers.Dense(n, kernel_initializer=same) for n in (20, 21))))


def test_an_accuracy_that_evaluate_does_not_repeat_is_explained():
    x, y = data(1000, classes=2)
    x[:, 0] += 4 * y
    drop = layers.Dropout(0.9, seed=0, name="drop")
    model = fitted(net(drop, classes=2), x, y, epochs=15)
    said = r"evaluate \[MC044\]: note: for the same data, the accuracy is .* Dropout 'drop'"
    with pytest.warns(UserWarning, match=said):
        model.evaluate(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)  # said once
    model.evaluate(x.copy(), y, verbose=0)


def test_other_data_may_have_another_accuracy():
    x, y = data(1000, classes=2)
    x[:, 0] += 4 * y
    model = fitted(net(layers.Dropout(0.9, seed=0), classes=2), x, y, epochs=15)
    model.evaluate(x.copy(), y, verbose=0)


def test_thawed_and_frozen_layers_are_named_in_the_next_fit():
    x, y = data(32)
    model = fitted(net(layers.Dense(5, name="base")), x, y)
    model.get_layer("base").trainable = False
    with pytest.warns(UserWarning, match=r"trains no longer '.*base/bias', '.*base/kernel'\."):
        model.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0)


def test_fine_tuning_and_a_kept_optimizer_are_no_reason_for_a_note():
    x, y = data(32)
    model = net(layers.Dense(5, name="base"))
    model.get_layer("base").trainable = False
    fitted(model, x, y)
    model.get_layer("base").trainable = True
    fitted(model, x, y)
    fitted(model, x, y, optimizer=model.optimizer)


def test_linear_outputs_are_refused_by_a_loss_that_wants_probabilities():
    model = Sequential([layers.Input((8,)), layers.Dense(3, name="scores")])
    said = r"compile \[MC020\]: .* last layer, 'scores', has no .*'softmax'.*from_logits=True"
    with pytest.raises(ValueError, match=said):
        model.compile("adam", CategoricalCrossentropy())
    assert model.optimizer is None
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True))


def test_softmax_does_not_go_with_binary_crossentropy():
    said = r"compile \[MC022\]: .* 10 outputs of the softmax of 'scores'.*categorical_crossentropy"
    with pytest.warns(UserWarning, match=said):
        net().compile("adam", "binary_crossentropy")
    with pytest.warns(UserWarning, match=r"compile \[MC022\]: .*always 1.*'sigmoid'"):
        net(classes=1).compile("adam", "binary_crossentropy")


def test_pixels_are_no_mistake_where_the_model_scales_them():
    x = np.random.default_rng(0).integers(0, 256, (32, 20))
    fitted(net(layers.Rescaling(1 / 255)), x, data(32)[1])


def test_a_method_cannot_be_overwritten_by_a_list():
    layer = layers.Dense(3)
    with pytest.raises(AttributeError, match=r"Dense \[MC052\]: set_weights is a method.*Call it"):
        layer.set_weights = [np.zeros((2, 3))]
    layer.call = layer.call  # but by a function it can


def test_the_line_of_a_warning_is_the_users():
    x, y = data()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(net(), 100 * x, y)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_usual_convolutional_network_is_trained_without_a_word():
    x = np.random.default_rng(0).uniform(size=(480, 16, 16, 3))
    y = np.arange(480) % 10
    model = Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.RandomFlip("horizontal"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(1e-3), LOSS, metrics=["accuracy"])
    model.fit(x, y, epochs=2, validation_split=0.1, verbose=0)
    model.evaluate(x[:100], y[:100], verbose=0)
