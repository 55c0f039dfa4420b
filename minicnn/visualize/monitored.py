"""What a GradientMonitor has measured, as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minicnn.visualize.picture import GREY, INK, PALE, FilePath, Picture, new_figure

PANELS = {"gradient_norm": "Norm of the gradient", "update_ratio": "Update : weight"}
USUAL = (3e-4, 3e-3)  # of update ratios; about 1e-3 is a rule of thumb
STYLES = ("-", "--", ":", "-.")


def monitored(
    history: Mapping[str, Mapping[str, Sequence[float]]], path: FilePath = None
) -> Picture:
    """Draw gradient norms and update ratios of weights over the epochs, on a logarithmic scale.

    The grey band is where update ratios usually lie.

    Args:
        history: that of a callbacks.GradientMonitor.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: there is no epoch in the history.
        OSError: the file cannot be written.

    >>> picture = monitored({"kernel": {"gradient_norm": [1.0], "update_ratio": [0.1]}})
    >>> [axes.get_title(loc="left") for axes in picture.figure.axes]
    ['Norm of the gradient', 'Update : weight']
    """
    weights = {name: found for name, found in history.items() if "update_ratio" in found}
    if not weights:
        raise ValueError("GradientMonitor: there is nothing to plot: no epoch was completed.")
    figure = new_figure(width=11, height=4.2)
    panels = figure.subplots(1, len(PANELS))
    for axes, (what, title) in zip(panels, PANELS.items(), strict=True):
        for k, (name, found) in enumerate(weights.items()):
            epochs = range(1, len(found[what]) + 1)
            style = STYLES[k // 10 % len(STYLES)]  # colors repeat after ten
            axes.plot(epochs, found[what], style, marker=".", label=name)
        axes.set_yscale("log")
        axes.set_title(title, loc="left", color=INK, fontsize=11, weight="bold")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].axhspan(*USUAL, color=PALE, zorder=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return Picture(figure, path)
