"""What layers cost: multiply-adds, memory and time, in numbers worked out by hand."""

import re

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, layers, ops
from minicnn.layers.names import reset_names
from minicnn.models import costs

IMAGE = (None, 8, 6, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (layers.Conv2D(5, 3), IMAGE, 6 * 4 * 9 * 4 * 5),
        (layers.Conv2D(5, (1, 3), padding="same"), IMAGE, 8 * 6 * 3 * 4 * 5),
        (layers.Conv2D(6, 3, strides=2, padding="same"), IMAGE, 4 * 3 * 9 * 4 * 6),
        (layers.Conv2D(6, 3, groups=2), IMAGE, 6 * 4 * 9 * 2 * 6),
        (layers.Conv2D(6, 3, dilation_rate=2), IMAGE, 4 * 2 * 9 * 4 * 6),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), IMAGE, 6 * 4 * 9 * 8),
        (layers.SeparableConv2D(5, 3, depth_multiplier=2), IMAGE, 6 * 4 * (9 * 8 + 8 * 5)),
        (layers.Conv2DTranspose(5, 3, strides=2), IMAGE, 8 * 6 * 4 * 9 * 5),
        (layers.Dense(5), (None, 7), 7 * 5),
        (layers.Dense(5), (32, 7), 7 * 5),
        (layers.Dense(5), IMAGE, 8 * 6 * 4 * 5),
        (layers.BatchNormalization(), IMAGE, 0),
        (layers.MaxPooling2D(), IMAGE, 0),
        (layers.Add(), [(None, 3), (None, 3)], 0),
    ],
)
def test_multiply_adds_are_counted_for_one_sample(layer, shape, wanted):
    assert layer.multiply_adds(shape) == wanted
    assert type(layer.multiply_adds(shape)) is int and not layer.built


def test_multiply_adds_of_a_convolution_are_the_multiplications_that_it_does():
    rows = Sequential([Input((5, 5, 2)), layers.Conv2D(3, 2, use_bias=False)])
    x = np.ones((1, 5, 5, 2))
    rows.set_weights([np.ones((2, 2, 2, 3))])  # each multiplication adds 1
    assert rows.predict(x, verbose=0).sum() == rows.multiply_adds((None, 5, 5, 2))


@pytest.mark.parametrize("layer", [layers.Conv2D(2, 3), layers.Dense(2)])
def test_multiply_adds_want_all_sizes_but_the_batch(layer):
    with pytest.raises(ValueError, match=r"layer .*cannot count.*leaves sizes open. Give all but"):
        layer.multiply_adds((None, None, 8, 3))


class TwoTimes(layers.Layer):
    """A layer with parts, one of which it calls twice, and one within another."""

    def __init__(self):
        super().__init__()
        self.twice = layers.Dense(3)
        self.chain = Sequential([self.twice, layers.Dense(2)])

    def call(self, x):
        return self.chain(self.twice(ops.relu(x)))


def test_a_layer_with_parts_counts_their_calls():
    layer = TwoTimes()
    assert layer.multiply_adds((None, 3)) == 9 + 9 + 6
    assert layer.twice.hooks is None
    with pytest.raises(ValueError, match="cannot try which layers it calls.*all sizes but the"):
        TwoTimes().multiply_adds((None, None, 3))


def chain():
    tail = Sequential([layers.Flatten(name="flat"), layers.Dense(2, name="dense")], name="tail")
    conv = layers.Conv2D(3, 3, activation="relu", name="conv")
    return Sequential([Input((6, 6, 1)), conv, layers.MaxPooling2D(name="pool"), tail])


def branched():
    reset_names()
    x = Input((4, 4, 2), name="in")
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    y = conv(conv(x)) + x
    tail = Sequential([layers.Dense(3, name="deep")], name="tail")
    return Model(x, [tail(layers.Flatten(name="flat")(y)), y])


class Subclassed(Model):
    """A model whose call calls one layer two times."""

    def __init__(self):
        super().__init__()
        self.double = layers.Dense(4, name="double", dtype="float64")

    def call(self, x):
        return self.double(self.double(x))


def table(model, **settings):
    """The rows of the table, {name: cells}, and the lines below it."""
    texts = []
    model.summary(print_fn=texts.append, line_length=160, **settings)
    lines = texts[0].splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line[0] == "│"]
    found = {re.sub(r"[└ ]*([\w]+) .*", r"\1", row[0]): row[1:] for row in rows}
    return found, [line for line in lines if line[0] == " "]


def test_summary_counts_what_the_layers_of_a_chain_cost():
    rows, below = table(chain(), show_macs=True, show_memory=True)
    assert {name: row[-2:] for name, row in rows.items()} == {
        "conv": ["432", "192.00 B"],  # 4 * 4 * 9 * 1 * 3
        "pool": ["0", "48.00 B"],
        "tail": ["24", "8.00 B"],
    }
    assert below[-2:] == [
        " Total MACs: 456 per sample",
        " Total output memory: 248.00 B per sample",
    ]


def test_layers_of_layers_have_rows_but_are_counted_once():
    rows, below = table(chain(), show_macs=True, expand_nested=True)
    assert [rows[name][-1] for name in ("tail", "flat", "dense")] == ["24", "0", "24"]
    assert below[-1] == " Total MACs: 456 per sample"


def test_a_layer_that_is_called_twice_costs_twice():
    rows, below = table(branched(), show_macs=True, show_memory=True, expand_nested=True)
    assert rows["conv"][-2:] == ["1,152", "256.00 B"]  # 2 calls: 16 * 9 * 2 * 2, 16 * 2 * 4 bytes
    assert rows["in"][-2:] == rows["add"][-2:] == ["0", "128.00 B"]
    assert rows["tail"][-2:] == rows["deep"][-2:] == ["96", "12.00 B"]
    assert below[-2:] == [
        " Total MACs: 1,248 per sample",
        " Total output memory: 652.00 B per sample",
    ]


def test_a_model_with_a_call_of_its_own_is_tried():
    model = Subclassed()
    model(np.ones((1, 4)))
    rows, below = table(model, show_macs=True, show_memory=True)
    assert rows["double"][-2:] == ["32", "64.00 B"]  # float64
    assert below[-2] == " Total MACs: 32 per sample"


def test_what_is_unknown_is_a_question_mark():
    settings = {"show_macs": True, "show_memory": True, "show_time": True}
    rows, below = table(Sequential([layers.Conv2D(2, 3, name="conv")]), **settings)
    assert rows["conv"][-3:] == ["?"] * 3
    begin = [Input((None, None, 3)), layers.Conv2D(2, 3, name="conv"), layers.GlobalMaxPooling2D()]
    rows, below = table(Sequential([*begin, layers.Dense(4, name="dense")]), **settings)
    assert rows["conv"][-3:] == ["?"] * 3
    assert rows["dense"][-3:] == ["8", "16.00 B", "?"]
    assert below[-3:] == [
        " Total MACs: ? per sample",
        " Total output memory: ? per sample",
        " Total time: ? for a batch of 32",
    ]


class NeedsMore(layers.Layer):
    """A layer that wants two inputs, each an argument of its own."""

    def __init__(self):
        super().__init__(name="more")
        self.part = layers.Dense(2)

    def build(self, input_shape):
        self.part.build(input_shape)

    def call(self, x, y):
        return self.part(x) + self.part(y)


def test_a_layer_that_cannot_be_tried_is_a_question_mark_too():
    x = Input((3,))
    rows, below = table(Model(x, NeedsMore()(x, x)), show_macs=True, show_memory=True)
    assert rows["more"][-2:] == ["?", "8.00 B"]
    assert below[-2] == " Total MACs: ? per sample"


@pytest.mark.parametrize("make", [chain, branched])
def test_times_are_measured_for_each_layer_and_the_model(make):
    model = make()
    rows, below = table(model, show_time=True, batch_size=3, expand_nested=True)
    times = {name: row[-1] for name, row in rows.items()}
    assert times.pop("in", "-") == "-"  # an Input is not called
    assert all(re.fullmatch(r"\d+\.\d{3} ms", time) for time in times.values())
    assert re.fullmatch(r" Total time: \d+\.\d{3} ms for a batch of 3", below[-1])
    assert all(layer.hooks is None for layer in model.layers)


def test_a_clock_adds_up_the_calls_of_a_layer(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: float(next(ticks)))
    model = branched()
    found = costs.measured_times(model, model.graph.operations, 2)
    assert found[model.get_layer("conv")] == 2.0
    assert found[model.get_layer("flat")] == 1.0
    assert found[model] == 1.0  # without the clocks of the layers


def test_measuring_changes_nothing():
    model = Sequential([Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5)])
    before = model.get_weights()
    table(model, show_macs=True, show_memory=True, show_time=True)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert not model.losses


def test_the_batch_size_is_checked():
    for wrong, error in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="summary: batch_size must be"):
            chain().summary(show_time=True, batch_size=wrong)


def test_further_columns_are_wide_enough_for_large_numbers(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    model = Sequential([Input((224, 224, 64)), layers.Conv2D(64, 3, padding="same")])
    texts = []
    model.summary(print_fn=texts.append, show_macs=True, show_memory=True)
    assert "1,849,688,064" in texts[0] and "12.25 MB" in texts[0]
