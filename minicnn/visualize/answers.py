"""What the network takes images for, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minicnn.backend import Array
from minicnn.visualize.picture import (
    BLUE,
    GREY,
    INK,
    PALE,
    VERMILION,
    FilePath,
    Picture,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4  # images side by side
LONGEST_NAME = 15  # letters of a class name that fit beside an image
MOST_BARS = 3  # classes named beside an image


def predictions(
    images: Array,
    labels: Array,
    probabilities: Array,
    class_names: Sequence[str],
    path: FilePath = None,
) -> Picture:
    """Draw images, and beside each the classes that the network finds likeliest.

    A wrong answer is framed and crossed, and the right one is named below it.

    Args:
        images: pixels from 0 to 1, or integers from 0 to 255, (N, H, W, 3); grey: (N, H, W, 1).
        labels: the true classes: numbers (N,) or (N, 1), or one-hot (N, K).
        probabilities: what `predict` returns, (N, K).
        class_names: the K names.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: the arrays do not fit together, or there are no images.
        OSError: the file cannot be written.

    >>> import numpy as np
    >>> image, sure = np.zeros((1, 8, 8, 3)), np.array([[0.9, 0.1]])
    >>> picture = predictions(image, np.array([0]), sure, ["cat", "dog"])
    >>> picture.figure.get_suptitle()
    '1 of 1 right'
    """
    images, probabilities = np.asarray(images), np.asarray(probabilities)
    classes = _class_numbers(np.asarray(labels), len(class_names))
    _check_predictions(images, classes, probabilities, len(class_names))
    rows = -(-len(images) // COLUMNS)
    figure = new_figure(width=2.95 * COLUMNS, height=1.32 * rows + 0.6)
    right = int((probabilities.argmax(axis=1) == classes).sum())
    figure.suptitle(
        f"{right} of {len(images)} right", x=0.008, ha="left", color=INK, fontsize=13, weight="bold"
    )
    grid = figure.subplots(
        rows, 2 * COLUMNS, squeeze=False, gridspec_kw={"width_ratios": [1, 1.5] * COLUMNS}
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for n, image in enumerate(images):
        row, column = divmod(n, COLUMNS)
        left, beside = grid[row, 2 * column], grid[row, 2 * column + 1]
        _draw_image(left, image, wrong=bool(probabilities[n].argmax() != classes[n]))
        _draw_bars(beside, probabilities[n], int(classes[n]), class_names)
    return Picture(figure, path)


def _class_numbers(labels: Array, count: int) -> Array:
    """Labels as numbers, (N,)."""
    if labels.ndim == 2 and labels.shape[1] == count > 1:
        labels = labels.argmax(axis=1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return labels


def _check_predictions(images: Array, classes: Array, probabilities: Array, count: int) -> None:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not len(images):
        raise ValueError(
            f"predictions: wants images (N, H, W, 3) or (N, H, W, 1), but got shape {images.shape}."
        )
    if probabilities.shape != (len(images), count):
        raise ValueError(
            f"predictions: wants probabilities of shape {(len(images), count)}, one row per image "
            f"and one column per class name, but got {probabilities.shape}."
        )
    if classes.shape != (len(images),):
        raise ValueError(
            f"predictions: wants one label per image, but got shape {classes.shape} for "
            f"{len(images)} images."
        )
    if classes.min() < 0 or classes.max() >= count:
        raise ValueError(
            f"predictions: labels must be from 0 to {count - 1}, but go from {classes.min()} to "
            f"{classes.max()}."
        )


def _draw_image(axes: Axes, image: Array, wrong: bool) -> None:
    axes.set_axis_on()
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    axes.imshow(image if image.dtype.kind in "iu" else image.clip(0, 1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=VERMILION if wrong else "white", linewidth=3)


def _draw_bars(axes: Axes, row: Array, truth: int, class_names: Sequence[str]) -> None:
    """The likeliest classes as bars, the best on top; of a wrong answer, the truth as well."""
    likeliest = np.argsort(-row, kind="stable")[:MOST_BARS].tolist()
    if truth not in likeliest:
        likeliest[-1] = truth
    axes.set(xlim=(0, 1), ylim=(3 * MOST_BARS - 0.2, -0.8))
    for place, k in enumerate(likeliest):
        best = place == 0
        mark = "✓ " if k == truth else "✗ " if best else ""
        color = BLUE if k == truth else VERMILION if best else GREY
        top = 3.0 * place
        axes.text(
            0,
            top,
            mark + _shortened(class_names[k]),
            color=color,
            fontsize=9,
            va="center",
            weight="bold" if best else "normal",
        )
        axes.text(1, top, f"{row[k]:.0%}", color=color, fontsize=9, va="center", ha="right")
        axes.barh(top + 1.2, 1, height=0.55, color=PALE)
        axes.barh(top + 1.2, row[k], height=0.55, color=color)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
