"""The roofline: how fast each version is, under what the machine allows.

Samuel Williams, Andrew Waterman, David Patterson: Roofline: an insightful visual performance model
for multicore architectures, Communications of the ACM 52 (2009).

Across: how many operations a program does per byte that it must move to or from memory. Up: how
many it does per second. The memory allows bandwidth * FLOP per byte, the multiply-add units allow
their peak; the lower one is the roof. What lies far below it leaves the machine waiting.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from minicnn.kernels.registers import lanes

from minicnn.visualize import BLUE, GREY, INK, PALE, VERMILION, Picture

LEAST_INTENSITY = 0.5  # FLOP per byte, the left end of the picture
LABEL_HEIGHT = 0.24  # of a line of text, as a power of ten on the upright axis


class Machine(NamedTuple):
    """What the machine can do."""

    peak: float  # FLOP/s of all cores,
    one_core: float  # and of one
    bandwidth: float  # bytes/s of the memory


class Point(NamedTuple):
    """What one version did."""

    name: str
    seconds: float
    flops: float
    intensity: float  # FLOP per byte to or from memory
    is_scaled: bool  # measured on a slice of the work
    is_peer: bool

    @property
    def speed(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds


def percent(share: float) -> str:
    """Write a share of the peak as people read it, however small it is."""
    return f"{100 * share:.0f} %" if share > 0.01 else f"{100 * share:.1g} %"


def draw(machine: Machine, points: list[Point], title: str, path: Path) -> None:
    """Draw the roofs, and every version as a labelled point; save it as a PNG."""
    figure = Figure(figsize=(10, 6.6), dpi=150)
    axes = figure.add_axes((0.08, 0.09, 0.56, 0.80))  # the names stand on the right
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(LEAST_INTENSITY, 2 * max(point.intensity for point in points))
    axes.set_ylim(min(point.speed for point in points) / 3e9, 3 * machine.peak / 1e9)
    _draw_roofs(axes, machine)
    _draw_points(axes, machine, points)
    _dress(axes, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture(figure, path)


def _draw_roofs(axes, machine):
    ridge = machine.peak / machine.bandwidth
    left, right = axes.get_xlim()
    thin = {"color": GREY, "linewidth": 1, "linestyle": "--"}
    roofs = (  # name, height, where the name begins, style
        ("all cores", machine.peak, 1.1 * ridge, {"color": INK, "linewidth": 2}),
        ("one core", machine.one_core, 1.1 * ridge, thin),
        ("one core, without vectors", machine.one_core / lanes(np.float32), 4 * left, thin),
    )
    for name, peak, at, style in roofs:
        begin = max(left, peak / machine.bandwidth)
        axes.plot([begin, right], [peak / 1e9] * 2, **style)
        text = f"{name}: {peak / 1e9:.0f} GFLOP/s"
        axes.text(at, 1.08 * peak / 1e9, text, va="bottom", fontsize=9, color=style["color"])
    slope = np.array([left, ridge])
    axes.plot(slope, slope * machine.bandwidth / 1e9, color=INK, linewidth=2)
    axes.text(
        1.1 * left,
        1.4 * left * machine.bandwidth / 1e9,
        f"memory: {machine.bandwidth / 1e9:.0f} GB/s",
        fontsize=9,
        color=INK,
        rotation=_angle(axes),
        rotation_mode="anchor",
    )


def _angle(axes):
    """The angle on paper, in degrees, of a line along which speed grows as intensity does."""
    box = axes.get_position()
    width, height = axes.figure.get_size_inches() * (box.width, box.height)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    up, across = height / np.log10(high / low), width / np.log10(right / left)
    return np.degrees(np.arctan2(up, across))


def _draw_points(axes, machine, points):
    """Most points stand above one another; they have their names on the right, the others below."""
    most = max(point.intensity for point in points)
    heights = _apart([np.log10(p.speed / 1e9) if p.intensity == most else np.inf for p in points])
    for point, height in zip(points, heights, strict=True):
        color = VERMILION if point.is_peer else BLUE
        at, marker = (point.intensity, point.speed / 1e9), "D" if point.is_peer else "o"
        axes.plot(*at, marker, color=color, markersize=8, markeredgecolor="white", zorder=3)
        text = f"{point.name}: {at[1]:.3g} GFLOP/s, {percent(point.speed / machine.peak)}"
        style = {"color": color, "fontsize": 10}
        if point.intensity < most:
            below = {"xytext": (0, -12), "textcoords": "offset points"}
            axes.annotate(text, at, **below, ha="center", va="top", **style)
            continue
        line = {"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkB": 4}
        axes.annotate(
            text,
            at,
            (1.04, 10**height),
            textcoords=("axes fraction", "data"),
            va="center",
            arrowprops={**line, "relpos": (0, 0.5)},
            **style,
        )


def _apart(heights):
    """`heights`, moved as little as it takes to be LABEL_HEIGHT apart."""
    order = np.argsort(heights)
    steps = LABEL_HEIGHT * np.arange(len(heights))
    level = np.asarray(heights)[order] - steps  # they are apart where these do not fall
    lower, upper = np.maximum.accumulate(level), np.minimum.accumulate(level[::-1])[::-1]
    placed = np.empty(len(heights))
    placed[order] = (lower + upper) / 2 + steps
    return placed


def _dress(axes, title):
    axes.set_title(
        "One convolution, from Python loops to the speed of the machine",
        loc="left",
        color=INK,
        fontsize=13,
        fontweight="bold",
        pad=24,
    )
    axes.text(0, 1.02, title, transform=axes.transAxes, color=GREY, fontsize=9)
    axes.set_xlabel("FLOP per byte that must go to or from memory", color=GREY)
    axes.set_ylabel("GFLOP/s", color=GREY)
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, which="both")
    axes.spines[["top", "right"]].set_visible(False)
