"""The table of summary(), to the letter."""

import io
import sys
import warnings

import numpy as np
import pytest

from minicnn import layers
from minicnn.layers.names import reset_names
from minicnn.models import Sequential, summary
from minicnn.models.summary import CHAIN, _columns, _inner_widths

TUTORIAL = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                      │ (None, 30, 30, 32)          │             896 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ max_pooling2d (MaxPooling2D)         │ (None, 15, 15, 32)          │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ flatten (Flatten)                    │ (None, 7200)                │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense (Dense)                        │ (None, 10)                  │          72,010 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
 Total params: 72,906 (284.79 KB)
 Trainable params: 72,906 (284.79 KB)
 Non-trainable params: 0 (0.00 B)
"""


def tutorial_model():
    reset_names()
    return Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def printed(model, **settings):
    texts = []
    model.summary(print_fn=texts.append, **settings)
    (text,) = texts  # in one piece
    return text


def test_the_table_is_that_of_keras():
    assert printed(tutorial_model(), line_length=88) == TUTORIAL


def test_without_print_fn_it_is_printed(capsys):
    tutorial_model().summary(line_length=88)
    assert capsys.readouterr().out == TUTORIAL


def test_the_line_fits_the_terminal_but_is_88_at_most(monkeypatch):
    for columns, width in ((80, 76), (70, 66), (200, 88)):
        monkeypatch.setenv("COLUMNS", str(columns))
        table = printed(tutorial_model()).splitlines()[1]
        assert len(table) == width


def test_the_total_includes_the_optimizer_once_it_is_built():
    model = tutorial_model()
    model.compile("adam", "sparse_categorical_crossentropy")
    assert "Optimizer" not in printed(model)
    model.train_on_batch(np.zeros((1, 32, 32, 3)), np.zeros(1, int))
    assert printed(model).splitlines()[-4:] == [
        " Total params: 218,720 (854.38 KB)",
        " Trainable params: 72,906 (284.79 KB)",
        " Non-trainable params: 0 (0.00 B)",
        " Optimizer params: 145,814 (569.59 KB)",
    ]


def test_frozen_layers_are_counted_apart_and_shown():
    model = tutorial_model()
    model.layers[0].trainable = False
    text = printed(model, show_trainable=True, line_length=100)
    assert " Non-trainable params: 896 (3.50 KB)" in text
    marks = [line.split("│")[-2].strip() for line in text.splitlines() if line.startswith("│")]
    assert marks == ["N", "-", "-", "Y"]


def test_an_unbuilt_model_has_no_shapes():
    model = Sequential([layers.Dense(2, name="d")])
    row = next(line for line in printed(model).splitlines() if "Dense" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["d (Dense)", "?", "0 (unbuilt)"]


def test_long_cells_wrap_and_words_are_cut():
    name = "a_very_long_layer_name_that_must_wrap_somewhere"
    model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name=name)])
    rows = printed(model, line_length=76).splitlines()[4:6]
    assert rows == [
        "│ a_very_long_layer_name_that_mu… │ (None, 6, 6, 4)        │           112 │",
        "│ (Conv2D)                        │                        │               │",
    ]


def test_layers_of_layers_are_shown_on_demand():
    inner = Sequential([layers.Input((3,)), layers.Dense(4, name="deep")], name="inner")
    outer = Sequential([inner, layers.Dense(2, name="top")])
    assert "deep" not in printed(outer)
    rows = [line for line in printed(outer, expand_nested=True).splitlines() if "Dense" in line]
    assert rows[0].startswith("│    └ deep (Dense) ")


def test_a_range_of_layers_can_be_shown():
    text = printed(tutorial_model(), layer_range=("max_pooling2d", "flat.*"))
    rows = [line.split()[1] for line in text.splitlines() if line.startswith("│")]
    assert rows == ["max_pooling2d", "flatten"]
    with pytest.raises(ValueError, match="no layers from 'conv' to 'nope'. There are: conv2d,"):
        printed(tutorial_model(), layer_range=("conv", "nope"))


def test_positions_set_the_columns():
    by_share = printed(tutorial_model(), line_length=80, positions=[0.5, 0.75, 1.0])
    by_count = printed(tutorial_model(), line_length=80, positions=[40, 60, 80])
    assert by_share == by_count
    assert by_share.splitlines()[1].index("┳") == 40
    with pytest.raises(ValueError, match="positions must be 3 numbers.*but got 2"):
        printed(tutorial_model(), positions=[0.5, 1.0])


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit into line_length=10"):
        printed(tutorial_model(), line_length=10)


def test_an_encoding_without_lines_gets_ascii(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    model = tutorial_model()
    model.summary(line_length=88)
    sys.stdout.flush()
    assert b"| conv2d (Conv2D)" in raw.getvalue()


def test_bold_only_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(summary.sys, "stdout", screen)
    monkeypatch.setattr(summary, "has_colors", lambda stream: True)
    tutorial_model().summary()
    assert '\x1b[1mModel: "sequential"\x1b[0m\n' in screen.getvalue()
    assert "\x1b[1m Total params:\x1b[0m 72,906" in screen.getvalue()


@pytest.mark.parametrize("length", [56, 76, 88, 101, 139])
def test_widths_follow_the_rule(length):
    a, b = int(0.45 * length), int(0.80 * length)
    wanted = [a - 1, b - a - 2, length - b - 1]
    assert _inner_widths(length, CHAIN.stops, 3) == wanted
    for branched, show_trainable, columns in ((False, True, 4), (True, False, 4), (True, True, 5)):
        header, form = _columns(branched, show_trainable)
        assert len(header) == columns
        assert sum(_inner_widths(length, form.stops, columns)) == length - columns - 1


@pytest.mark.parametrize("settings", [{}, {"line_length": 50}, {"show_trainable": True}])
def test_keras_prints_the_same(monkeypatch, settings):
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras imports warns of itself
        keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.clear_session()
    reset_names()
    monkeypatch.setenv("COLUMNS", "80")
    texts = []
    for package, models in ((keras.layers, keras), (layers, None)):
        make = models.Sequential if models else Sequential
        model = make(
            [
                package.Input((32, 32, 3)),
                package.Conv2D(32, 3, name="a_long_name_that_does_not_fit_into_its_cell"),
                package.MaxPooling2D(),
                package.Flatten(),
                package.Dense(10, trainable=False),
            ]
        )
        found = []
        model.summary(print_fn=lambda text, found=found: found.append(text), **settings)
        texts.append("".join(found).strip("\n"))
    assert texts[0] == texts[1]
