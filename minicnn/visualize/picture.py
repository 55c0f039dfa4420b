"""Picture: what was drawn, to be shown or saved; colors and paper that all pictures share."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TypeAlias

from minicnn.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FilePath: TypeAlias = "str | os.PathLike[str] | None"

# Okabe and Ito 2008, Color Universal Design, https://jfly.uni-koeln.de/color/
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY, PALE = "#222222", "#767676", "#E4E4E4"


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


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; no window is opened."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)
    return Figure(figsize=(width, height), dpi=100, layout=layout, facecolor="white")


def without_frame(axes: Axes) -> None:
    """Leave out frame and ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
