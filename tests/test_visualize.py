"""Pictures: what is in them, how they are saved, and what is refused."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn.callbacks import History
from minicnn.visualize import VERMILION, learning_curves, predictions

ROOT = Path(__file__).parents[1]
NAMES = ["cat", "dog", "a name that is far too long to fit"]
IMAGES = np.random.default_rng(0).random((3, 8, 8, 3))
LABELS = np.array([0, 1, 1])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.1, 0.4]])  # the last is wrong


def texts(picture):
    return [text.get_text() for axes in picture.figure.axes for text in axes.texts]


def frames(picture):
    """The colors of the frames of all images."""
    return [axes.spines["top"].get_edgecolor() for axes in picture.figure.axes if axes.get_images()]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


# --- learning curves


def test_each_metric_has_a_panel_with_training_and_validation():
    curves = {
        "accuracy": [0.1, 0.5],
        "loss": [2, 1],
        "val_accuracy": [0.2, 0.4],
        "val_loss": [3, 2],
    }
    loss, accuracy = learning_curves(curves).figure.axes
    assert [axes.get_title(loc="left") for axes in (loss, accuracy)] == ["loss", "accuracy"]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
        assert lines == [([1, 2], curves[name]), ([1, 2], curves[f"val_{name}"])]


def test_curves_say_where_they_end():
    (axes,) = learning_curves({"loss": [2.0, 0.5]}).figure.axes
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["training, 0.500 at the end"]


def test_a_history_is_drawn_as_well_as_its_dictionary(tmp_path):
    history = History()
    history.on_epoch_end(0, {"loss": 1.0})  # one epoch: a point, no line
    learning_curves(history, tmp_path / "curves.png")
    assert is_png(tmp_path / "curves.png")


def test_a_loss_that_became_nan_is_drawn_as_far_as_it_goes(tmp_path):
    learning_curves({"loss": [1.0, float("nan")]}, tmp_path / "curves.png")
    assert is_png(tmp_path / "curves.png")


@pytest.mark.parametrize("history", [{}, {"loss": []}, History()])
def test_an_empty_history_is_refused(history):
    with pytest.raises(ValueError, match="the history is empty: no epoch was completed"):
        learning_curves(history)


# --- predictions


def test_the_title_counts_the_right_answers():
    title = predictions(IMAGES, LABELS, PROBABILITIES, NAMES).figure.get_suptitle()
    assert title == "2 of 3 right"


def test_right_and_wrong_answers_are_told_apart_by_more_than_color():
    found = texts(predictions(IMAGES, LABELS, PROBABILITIES, NAMES))
    assert "✓ cat" in found and "✓ dog" in found  # first and second image
    assert "✗ cat" in found  # the third, which is a dog
    assert found.count("✓ dog") == 2  # and there the truth is named, too


def test_only_wrong_answers_are_framed():
    from matplotlib.colors import to_rgba

    found = frames(predictions(IMAGES, LABELS, PROBABILITIES, NAMES))
    assert [color == to_rgba(VERMILION) for color in found] == [False, False, True]


def test_the_truth_is_shown_even_if_it_is_the_least_likely_class():
    names = list("abcdef")
    row = np.array([[0.5, 0.2, 0.1, 0.1, 0.06, 0.04]])
    found = texts(predictions(IMAGES[:1], np.array([5]), row, names))
    assert found == ["✗ a", "50%", "b", "20%", "✓ f", "4%"]


def test_long_names_are_shortened():
    found = texts(predictions(IMAGES[:1], LABELS[:1], PROBABILITIES[:1], NAMES))
    assert "a name that is…" in found


@pytest.mark.parametrize("labels", [LABELS[:, None], np.eye(3)[LABELS]], ids=["(N, 1)", "one-hot"])
def test_labels_may_come_in_other_forms(labels):
    one = predictions(IMAGES, labels, PROBABILITIES, NAMES)
    assert texts(one) == texts(predictions(IMAGES, LABELS, PROBABILITIES, NAMES))


@pytest.mark.parametrize("images", [(255 * IMAGES).astype(np.uint8), IMAGES[..., :1]])
def test_bytes_and_grey_images_are_drawn(images, tmp_path):
    predictions(images, LABELS, PROBABILITIES, NAMES, tmp_path / "picture.png")
    assert is_png(tmp_path / "picture.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES[0], LABELS, PROBABILITIES, NAMES), r"wants images .* but got shape \(8, 8, 3\)"),
        ((IMAGES[:0], LABELS[:0], PROBABILITIES[:0], NAMES), r"got shape \(0, 8, 8, 3\)"),
        ((IMAGES, LABELS, PROBABILITIES[:2], NAMES), r"of shape \(3, 3\), .* but got \(2, 3\)"),
        ((IMAGES, LABELS, PROBABILITIES, NAMES[:2]), r"of shape \(3, 2\), .* but got \(3, 3\)"),
        ((IMAGES, LABELS[:2], PROBABILITIES, NAMES), r"one label per image, but got shape \(2,\)"),
        ((IMAGES, LABELS + 2, PROBABILITIES, NAMES), "from 0 to 2, but go from 2 to 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        predictions(*arguments)


# --- files


def test_a_notebook_gets_a_png():
    assert learning_curves({"loss": [1.0]})._repr_png_().startswith(b"\x89PNG")


def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not be saved .*No space left.* old one is unchanged"):
        learning_curves({"loss": [1.0]}, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_matplotlib_is_imported_only_to_draw():
    program = "import sys, minicnn.visualize, minicnn.cli; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
