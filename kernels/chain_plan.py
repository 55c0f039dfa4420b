"""How a chain is computed, see chain.py: what lies where, and how the work of each link is cut up.

It is planned in Python, once for each shape of x, and written down as a table of numbers: a row for
each link, the fields of STAGE.

The results of the links, and filters in the order of the tiles, are in one array, the arena. When
the last link that reads a result is done, another result may take its place.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from . import conv2d, depthwise, matmul
from .batch_norm import wide_row
from .conv_pool import cut_for_pooling, scratch_for, seen_by_pooling
from .geometry import Geometry
from .kernel import Array
from .max_pool2d import pooled
from .packing import padded
from .planning import flattened
from .sweep import Cut, plan, scratch_size, step_in_place

EVERY_PIXEL = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)  # strides, padding, dilation, groups
X = -1  # stands for what goes into the chain, where otherwise the number of a link stands

LITTLE_WORK = 1 << 18  # multiplications, that one thread does,
LITTLE_TO_READ = 1 << 14  # as it reads so few numbers to pool or copy them
NUMBERS_APART = 16  # in the arena: a cache line of float32
# what a link does first: its `kind`
SUMS, SUMS_AND_POOLS, CHANNEL_SUMS, POOLS, AVERAGES, COPIES = range(6)
CURVES = {"sigmoid": 1, "tanh": 2}  # what `curve` says
WINDOW = ("pool_P", "pool_Q", "pool_s", "pool_t", "pool_top", "pool_left", "pool_I", "pool_J")

STAGE = np.dtype(
    [
        (name, np.int64)
        for name in (
            *Geometry._fields,
            *Cut._fields,
            *("relu", "step"),  # the rest of a Job
            "kind",
            "curve",  # what is done to all numbers of y in the end
            "packs",  # whether filters are copied, in the order of the tiles,
            "pads",  # and the bias, with room for whole vectors
            "alone",  # whether one thread does it all
            *WINDOW,
            "pool_rows",  # rows of y in a task that pools
            *("source", "shortcut"),  # numbers of links, or X
            *("finishes", "adds"),  # see the function `finishes`; whether there is a shortcut
            *("filters", "filters_size", "start"),  # where they are in the arena,
            *("line", "line_size"),  # as is the line, three times so many numbers
            "channels",  # of the result,
            *("y", "y_size"),  # which is also in the arena
            "rows",  # where those of a depthwise convolution begin, see Plan
        )
    ]
    + [(name, np.float64) for name in ("epsilon", "ceiling")]
)


class Line(NamedTuple):
    """Batch normalization:  y = (x - mean) * gamma / sqrt(variance + epsilon) + beta.

    No gamma counts as 1, no beta as 0.
    """

    mean: Array
    variance: Array
    gamma: Array | None
    beta: Array | None
    epsilon: float


class Link(NamedTuple):
    """One computation; a matrix product takes all numbers of an image as one row.

    What has neither a weight nor a pooling takes numbers as they are, to finish them.
    """

    weight: Array | None  # (P, Q, C, F) of a convolution, (K, F) of a matrix product, or neither
    bias: Array | None = None
    activation: str = "linear"  # or "relu", "sigmoid", "tanh"; the last thing that is done
    arrangement: Any = EVERY_PIXEL  # as for conv2d, with groups = 1, or C = F, see depthwise.py
    pooling: Any = None  # window, strides and padding, as for max_pool2d; behind relu, or alone
    averages: bool = False  # whether the pooling is that of average_pool2d, and alone
    line: Line | None = None  # what comes next, but not behind a pooling; the same is true of
    shortcut: int | None = None  # the number of a link whose result is added, or X
    source: int | None = None  # the number of the link it reads, or X; None: the one before
    ceiling: float = math.inf  # of relu: what is above becomes it


class Plan(NamedTuple):
    """What is known of a chain before it is run."""

    stages: Array  # of STAGE
    rows: Array  # those that depthwise.Rows has, of all links
    layout: Any  # workers, numbers in the arena, scores, K: classes
    memory: int  # numbers of the arena, and of the scratch memory of all workers
    y_shape: tuple[int, ...]
    y_size: int


def plan_links(
    links: Sequence[Link], x_shape: tuple[int, ...], dtype: Any, softmax: bool, workers: int
) -> Plan:
    """Plan the links for an x, and for so many workers; softmax: whether it follows."""
    stages, arena = np.zeros(len(links), STAGE), _Arena()
    shapes, most = {X: x_shape}, 0
    rows = [np.zeros((0, 3), np.int64)]
    for k, (stage, link) in enumerate(zip(stages, links, strict=True)):
        fields, shapes[k], scratch = _stage(link, shapes[source_of(k, link)], dtype, workers)
        if "rows" in fields:
            rows.append(fields["rows"])
            fields["rows"] = sum(map(len, rows[:-1]))
        fields |= {"source": source_of(k, link), "y_size": math.prod(shapes[k])}
        fields |= _finish(link, shapes[k][-1])
        fields["start"] = arena.take(padded(fields.get("F", 0), fields.get("lanes", 1)))
        fields["filters"] = arena.take(fields["filters_size"] if fields.get("packs") else 0)
        fields["line"] = arena.take(3 * fields["line_size"])
        for name, value in fields.items():
            stage[name] = value
        most = max(most, scratch)
    _place_results(stages, arena)
    y_shape = shapes[len(links) - 1]
    layout = (workers, arena.size, math.prod(y_shape), y_shape[-1])
    y_shape = (2, *y_shape) if softmax else y_shape
    if numba.config.DISABLE_JIT:  # in Python, only these have their fields as attributes
        stages = stages.view(np.recarray)
    memory = arena.size + workers * padded(most, NUMBERS_APART)
    return Plan(stages, np.concatenate(rows), layout, memory, y_shape, math.prod(y_shape))


def finishes(link: Link) -> bool:
    """Whether a link ends with what batch_norm.normalize does."""
    copies = link.weight is None and link.pooling is None
    more = link.line is not None or link.shortcut is not None or link.ceiling < math.inf
    return copies or more


def source_of(k: int, link: Link) -> int:
    """The number of the link that link k reads, or X."""
    return k - 1 if link.source is None else link.source


def reads_of(k: int, link: Link) -> list[int]:
    """The numbers of all links whose results link k needs; X may be among them."""
    return [source_of(k, link), *([] if link.shortcut is None else [link.shortcut])]


def last_readers(reads: Sequence[Sequence[int]]) -> list[int]:
    """For each link the last one that needs its result: by then, it is in nobody's way.

    >>> last_readers([[X], [0], [0, 1]])
    [2, 2, 2]
    """
    last = list(range(len(reads)))  # what nobody reads is in the way while it is made
    for k, sources in enumerate(reads):
        for source in sources:
            if source != X:
                last[source] = k
    return last


class _Arena:
    """Hands out places in memory; each begins a cache line after the one before, at least."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, count: int) -> int:
        at = self.size
        self.size += padded(count, NUMBERS_APART)
        return at


def _place_results(stages: Array, arena: _Arena) -> None:
    """Give the result of each link but the last a place in the arena."""
    reads = [[stage["source"], *([stage["shortcut"]] if stage["adds"] else [])] for stage in stages]
    sizes: list[int] = []  # of the places,
    busy: list[int] = []  # the last link that needs what is there,
    chosen: list[int] = []  # and for each link its place
    for k, until in enumerate(last_readers(reads)[:-1]):
        free = [place for place, needed in enumerate(busy) if needed < k]
        if not free:
            free = [len(sizes)]
            sizes.append(0)
            busy.append(0)
        place = max(free, key=sizes.__getitem__)
        sizes[place] = max(sizes[place], int(stages[k]["y_size"]))
        busy[place] = until
        chosen.append(place)
    begins = [arena.take(size) for size in sizes]
    stages["y"][:-1] = [begins[place] for place in chosen]


def _finish(link: Link, channels: int) -> dict[str, Any]:
    """The fields that say what is done to all numbers of a result, which has so many channels."""
    return {
        "finishes": finishes(link),
        "channels": channels,
        "adds": link.shortcut is not None,
        "shortcut": X if link.shortcut is None else link.shortcut,
        "line_size": wide_row(channels) if finishes(link) else 0,
        "epsilon": 0.0 if link.line is None else link.line.epsilon,
        "ceiling": link.ceiling,
        "relu": link.activation == "relu",
        "curve": CURVES.get(link.activation, 0),
    }


def _stage(link, shape, dtype, workers):
    """The other fields of a link that reads a result of this shape; its shape; its scratch."""
    if link.weight is not None and link.arrangement[3] > 1:
        return (*_depthwise_stage(link, shape, dtype), 0)
    if link.weight is not None:
        return _weighted_stage(link, shape, dtype, workers)
    if link.pooling is not None:
        return (*_pooling_stage(link, shape), 0)
    return {"kind": COPIES, "alone": math.prod(shape) <= LITTLE_TO_READ}, shape, 0


def _weighted_stage(link, shape, dtype, workers):
    if link.weight.ndim == 2:
        (N, *_), (K, F) = shape, link.weight.shape
        g, shape = flattened(matmul.one_row(N, K, F)), (N, F)
    else:
        g, shape = conv2d.geometry(shape, link.weight.shape, link.arrangement)
        if link.pooling is None:
            g = flattened(g)
        else:
            window, *placement = link.pooling
            shape, pools = pooled(shape, window, *placement)
            g = seen_by_pooling(g, pools)
    g, cut = plan(g, dtype, workers)
    step, pads = step_in_place(g, cut), link.bias is None or g.F % cut.lanes > 0
    alone = g.N * g.I * g.J * g.P * g.Q * g.K * g.F <= LITTLE_WORK
    fields = {"kind": SUMS, "step": step, "packs": not step, "pads": pads, "alone": alone}
    scratch = scratch_size(g, cut)
    if link.pooling is not None:
        g, cut, rows = cut_for_pooling(g, cut, pools, dtype, workers)
        fields |= {"kind": SUMS_AND_POOLS, "pool_rows": rows}
        fields |= zip(WINDOW, pools, strict=True)
        scratch = scratch_for(g, cut)
    fields |= {"filters_size": g.P * g.Q * g.K * padded(g.F, cut.lanes)}
    return g._asdict() | cut._asdict() | fields, shape, scratch


def _depthwise_stage(link, shape, dtype):
    g, y_shape = conv2d.geometry(shape, link.weight.shape, link.arrangement)
    *arrangement, _ = link.arrangement
    plan = depthwise.plan_forward(dtype, shape, y_shape, (g.P, g.Q), tuple(arrangement))
    (_, shares, at_once, _), size = plan.cuts, g.P * g.Q * g.C
    fields = {"kind": CHANNEL_SUMS, "rows": plan.rows, "shares": shares, "lanes": at_once}
    fields |= {"F": g.C, "tiles": plan.tile, "filters_size": size, "pads": link.bias is None}
    return g._asdict() | fields | {"alone": g.N * g.I * g.J * size <= LITTLE_WORK}, y_shape


def _pooling_stage(link, shape):
    (N, H, W, C), (window, *placement) = shape, link.pooling
    y_shape, pools = pooled(shape, window, *placement)
    fields = {"N": N, "H": H, "W": W, "C": C, "kind": AVERAGES if link.averages else POOLS}
    fields |= {"alone": math.prod(y_shape) * math.prod(window) <= LITTLE_TO_READ}
    return fields | dict(zip(WINDOW, pools, strict=True)), y_shape
