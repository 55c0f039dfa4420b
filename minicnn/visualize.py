"""Pictures of a training: its learning curves, and what the network takes images for.

Matplotlib is imported when the first picture is drawn. No window is opened and no display is
needed; a picture shows itself in a notebook, and is saved where a path is given. The colors are
told apart by color-blind people too, and nothing is said by color alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from minicnn.backend import Array
from minicnn.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FilePath: TypeAlias = "str | os.PathLike[str] | None"

# Okabe and Ito 2008, Color Universal Design, https://jfly.uni-koeln.de/color/
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY, PALE = "#222222", "#767676", "#E4E4E4"
COLUMNS = 4  # images side by side
LONGEST_NAME = 15  # letters of a class name that fit beside an image
MOST_BARS = 3  # classes named beside an image


class HasHistory(Protocol):
    """What `fit` returns."""

    history: dict[str, list[Any]]


class Picture:
    """What was drawn; a notebook shows it, and it can be saved.

    Args:
        figure: Matplotlib's drawing, for whoever wants to change it.
        path: where to save it as a PNG, if not None.

    Raises:
        OSError: the file cannot be written; an old one is left as it was.
    """

    def __init__(self, figure: Figure, path: FilePath = None) -> None:
        self.figure = figure
        if path is not None:
            self.save(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save as a PNG, in one step: an old file is replaced or left, never damaged."""
        write_file(path, self._repr_png_())

    def _repr_png_(self) -> bytes:  # notebooks ask for this
        content = io.BytesIO()
        self.figure.savefig(content, format="png")
        return content.getvalue()


def learning_curves(
    history: HasHistory | Mapping[str, Sequence[float]], path: FilePath = None
) -> Picture:
    """Draw loss and metrics over the epochs: one panel each, training and validation in it.

    The distance between the two curves tells what the network has learnt by heart only.

    Args:
        history: what `fit` returns, or its `history`.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: there is no epoch in the history.
        OSError: the file cannot be written.

    >>> picture = learning_curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.5]})
    >>> [axes.get_title(loc="left") for axes in picture.figure.axes]
    ['loss']
    """
    curves = history if isinstance(history, Mapping) else history.history
    curves = {name: values for name, values in curves.items() if _is_curve(values)}
    names = [name for name in curves if not name.startswith("val_")]
    if not names:
        raise ValueError("learning_curves: the history is empty: no epoch was completed.")
    names.sort(key=lambda name: name != "loss")  # the loss comes first
    figure = _new_figure(width=4.6 * len(names) + 0.4, height=3.6)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _draw_curves(axes, name, curves)
    return Picture(figure, path)


def _is_curve(values: Sequence[Any]) -> bool:
    """Whether there is one number per epoch."""
    return len(values) > 0 and np.ndim(values[0]) == 0


def _draw_curves(axes: Axes, name: str, curves: Mapping[str, Sequence[float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(name, loc="left", color=INK, fontsize=12, fontweight="bold")
    for key, label, color, marker in (
        (name, "training", BLUE, "o"),
        (f"val_{name}", "validation", VERMILION, "D"),
    ):
        values = curves.get(key, ()) if key in curves else ()
        if not len(values):
            continue
        epochs = np.arange(1, len(values) + 1)
        axes.plot(
            epochs,
            values,
            color=color,
            linewidth=2,
            marker=marker,
            markersize=5,
            markevery=max(1, len(values) // 20),
            label=f"{label}, {values[-1]:.3f} at the end",
            clip_on=False,
        )
    axes.set_xlabel("epoch", color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.04)
    if name == "loss":
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=PALE)
    axes.tick_params(colors=GREY, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.legend(frameon=False, labelcolor="linecolor", fontsize=10)


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
    figure = _new_figure(width=2.95 * COLUMNS, height=1.32 * rows + 0.6)
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


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)
    return Figure(figsize=(width, height), dpi=100, layout=layout, facecolor="white")
