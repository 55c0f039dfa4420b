"""The table that summary() prints: the layers of a model, their output shapes and their weights."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.layers.calls import Call
from minicnn.layers.shapes import flat_shapes
from minicnn.layers.structure import mapped
from minicnn.models.costs import Costs, readable
from minicnn.models.graph import Graph
from minicnn.utils.progbar import BOLD, PLAIN, can_write, has_colors

ALIGN = {
    "Layer (type)": str.ljust,
    "Output Shape": str.ljust,
    "Param #": str.rjust,
    "Connected to": str.ljust,
    "Trainable": str.center,
    "MACs": str.rjust,
    "Output Memory": str.rjust,
    "Time": str.rjust,
}
COST_WIDTH = 18  # of a column that Keras does not have: these stand on the right
NARROWEST = 60  # what then remains for the others, even if the terminal is too narrow


class _Form(NamedTuple):
    """How wide the columns of a table are."""

    stops: tuple[float, ...]  # where each column ends, as a share of the line
    widest: int


CHAIN = _Form((0.45, 0.80, 1.0), widest=88)
BRANCHED = _Form((0.3, 0.56, 0.74, 1.0), widest=108)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    costs: Costs | None = None,
) -> None:
    """Print a table of the layers of `model`; see Model.summary for the arguments."""
    costs = costs or Costs(model)
    graph = None if model.graph is None or model.graph.is_a_chain() else model.graph
    header, form = _columns(branched=graph is not None, show_trainable=show_trainable)
    header, length, stops = _with_costs(header, form, line_length, costs.header)
    widths = _inner_widths(length, positions or stops, len(header))
    layers = _between(layers_of(model), layer_range)
    calls = costs.calls_of_model()
    rows = [
        [row[name] for name in header] for row in _rows(layers, graph, expand_nested, costs, calls)
    ]
    bold = print_fn is None and has_colors(sys.stdout)
    totals = [*_totals(model), *costs.totals(calls)]
    lines = [f'Model: "{model.name}"', *_table(header, rows, widths), *totals]
    text = "".join(f"{_emphasized(line) if bold else line}\n" for line in lines)
    if print_fn is not None:
        print_fn(text)
    else:
        sys.stdout.write(text if can_write(sys.stdout, text) else _in_ascii(text))


def layers_of(model: Any, expand_nested: bool = False) -> Sequence[Layer]:
    """The layers that have a row, on demand with those of models that are layers."""
    graph = getattr(model, "graph", None)
    layers = getattr(model, "layers", []) if graph is None else graph.operations
    if not expand_nested:
        return layers
    inner = [part for layer in layers for part in _nested_layers(layer)]
    return list(dict.fromkeys([*layers, *inner]))


def _nested_layers(layer: Layer) -> Iterator[Layer]:
    for part in getattr(layer, "layers", []):
        yield part
        yield from _nested_layers(part)


def _columns(branched: bool, show_trainable: bool) -> tuple[list[str], _Form]:
    """The headers of the columns, and how wide these are."""
    form = BRANCHED if branched else CHAIN
    header = ["Layer (type)", "Output Shape", "Param #", *["Connected to"] * branched]
    if not show_trainable:
        return header, form
    stops = (*(0.9 * stop for stop in form.stops), 1.0)
    return [*header, "Trainable"], _Form(stops, form.widest + 12)


def _with_costs(
    header: list[str], form: _Form, line_length: int | None, further: list[str]
) -> tuple[list[str], int, Sequence[float]]:
    """Header, length of a line, and where columns end, with further columns on the right."""
    room = len(further) * COST_WIDTH
    length = line_length or min(form.widest + room, shutil.get_terminal_size().columns - 4)
    if not further:
        return header, length, form.stops
    if line_length is None:
        length = max(length, NARROWEST + room)
    stops = [stop * (length - room) for stop in form.stops]
    ends = [length - room + (k + 1) * COST_WIDTH for k in range(len(further))]
    return [*header, *further], length, [*stops, *ends]


def _inner_widths(length: int, stops: Sequence[float], columns: int) -> list[int]:
    if len(stops) != columns:
        raise ValueError(
            f"summary: positions must be {columns} numbers, where the columns end, "
            f"but got {len(stops)}."
        )
    ends = [int(stop * length if stops[-1] <= 1 else stop) for stop in stops]
    widths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    margins = [1] * (columns - 2) + [2, 1]  # what the lines between columns take away from each
    inner = [width - margin for width, margin in zip(widths, margins, strict=True)]
    if min(inner) < 3:  # a space on each side, and one letter
        raise ValueError(f"summary: the columns do not fit into line_length={length}.")
    return inner


def _between(layers: Sequence[Layer], layer_range: Sequence[str] | None) -> Sequence[Layer]:
    """The layers from the first that one pattern matches to the last that the other matches."""
    if layer_range is None:
        return layers
    first, last = layer_range
    starts = [k for k, layer in enumerate(layers) if re.match(first, layer.name)]
    ends = [k for k, layer in enumerate(layers) if re.match(last, layer.name)]
    if not starts or not ends:
        names = ", ".join(layer.name for layer in layers)
        raise ValueError(f"summary: no layers from {first!r} to {last!r}. There are: {names}.")
    return layers[min(starts) : max(ends) + 1]


def _rows(
    layers: Iterable[Layer],
    graph: Graph | None,
    expand_nested: bool,
    costs: Costs,
    calls: Sequence[Call] | None,
    depth: int = 0,
) -> Iterator[dict[str, str]]:
    for layer in layers:
        indent = "   " * depth + "└ " if depth else ""
        yield {
            "Layer (type)": f"{indent}{layer.name} ({type(layer).__name__})",
            "Output Shape": _shape_of(layer),
            "Param #": f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
            "Connected to": _connections(layer, graph) or "-",
            "Trainable": ("Y" if layer.trainable else "N") if layer.weights else "-",
            **costs.cells(layer, calls),
        }
        if expand_nested:
            own = None if calls is None else [call for call in calls if call.layer is layer]
            inner = costs.calls_within(layer, own)
            parts = getattr(layer, "layers", [])
            yield from _rows(parts, None, True, costs, inner, depth + 1)


def _shape_of(layer: Layer) -> str:
    if layer.nodes:
        shapes = mapped(lambda tensor: tensor.shape, layer.nodes[-1].outputs)
        found = flat_shapes(shapes)
        return str(found[0] if len(found) == 1 else shapes).replace("'", "")
    return str(layer.output_shape) if layer.built else "?"


def _connections(layer: Layer, graph: Graph | None) -> str:
    """What the layer was called with: layer[its call][its result], for each tensor."""
    calls = [] if graph is None else graph.calls_of(layer)
    tensors = [tensor for node in calls for tensor in node.inputs]
    return ", ".join(f"{x.node.layer.name}[{x.node.number}][{x.place}]" for x in tensors)


def _table(header: Sequence[str], rows: list[list[str]], widths: list[int]) -> list[str]:
    lines = [
        _rule("┏┳┓", "━", widths),
        *_cells(header, header, widths, "┃"),
        _rule("┡╇┩", "━", widths),
    ]
    for k, row in enumerate(rows):
        lines += [_rule("├┼┤", "─", widths)] * (k > 0) + _cells(row, header, widths, "│")
    return [*lines, _rule("└┴┘", "─", widths)]


def _rule(corners: str, dash: str, widths: list[int]) -> str:
    return corners[0] + corners[1].join(dash * width for width in widths) + corners[2]


def _cells(
    cells: Sequence[str], header: Sequence[str], widths: list[int], border: str
) -> list[str]:
    """A row of the table, of as many lines as its longest cell; a header stands at the bottom."""
    wrapped = [_wrap(cell, width - 2) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    at_bottom = border == "┃"
    lines = []
    for k in range(height):
        parts = []
        for text, width, name in zip(wrapped, widths, header, strict=True):
            line = k - (height - len(text)) * at_bottom
            part = text[line] if 0 <= line < len(text) else ""
            parts.append(f" {ALIGN[name](part, width - 2)} ")
        lines.append(border + border.join(parts) + border)
    return lines


def _wrap(text: str, width: int) -> list[str]:
    """Break `text` at spaces into lines; a word that is too long for a line is cut."""
    indent = text[: len(text) - len(text.lstrip())]
    words = text.split()
    lines = [indent + words[0]]
    for word in words[1:]:
        if len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _totals(model: Any) -> list[str]:
    trainable = [weight.numpy() for weight in model.trainable_weights]
    fixed = [weight.numpy() for weight in model.non_trainable_weights]
    optimizer = getattr(model, "optimizer", None)
    state = optimizer.variables if optimizer is not None and optimizer.built else []
    lines = [
        f" Total params: {_amount([*trainable, *fixed, *state])}",
        f" Trainable params: {_amount(trainable)}",
        f" Non-trainable params: {_amount(fixed)}",
    ]
    return lines + [f" Optimizer params: {_amount(state)}"] * bool(state)


def _amount(arrays: Sequence[Array]) -> str:
    return f"{sum(a.size for a in arrays):,} ({readable(sum(a.nbytes for a in arrays))})"


def _emphasized(line: str) -> str:
    """Print the words in front of a number, and the title, in bold."""
    return re.sub(r"^( [A-Z][\w -]+:|Model: .*)", rf"{BOLD}\1{PLAIN}", line)


def _in_ascii(text: str) -> str:
    """The table for an output whose encoding has no lines and corners."""
    return text.translate(str.maketrans("━─┃│└…", "==||`~", "")).translate(
        {ord(corner): "+" for corner in "┏┳┓┡╇┩├┼┤┴┘"}
    )
