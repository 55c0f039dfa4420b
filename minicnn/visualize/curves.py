"""Learning curves: loss and metrics over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

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


class HasHistory(Protocol):
    """What `fit` returns."""

    history: dict[str, list[Any]]


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
    figure = new_figure(width=4.6 * len(names) + 0.4, height=3.6)
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
