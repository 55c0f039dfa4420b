"""The table that summary() prints: the layers of a model, their output shapes and their weights."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.models.progress import BOLD, PLAIN, can_write, has_colors

HEADER = ("Layer (type)", "Output Shape", "Param #", "Trainable")
ALIGN = (str.ljust, str.ljust, str.rjust, str.center)


class _Form(NamedTuple):
    """How wide the columns of a table are."""

    stops: tuple[float, ...]  # where each column ends, as a share of the line
    margins: tuple[int, ...]  # what the lines and borders take away from each column
    widest: int


THREE_COLUMNS = _Form((0.45, 0.80, 1.0), (1, 2, 1), widest=88)
FOUR_COLUMNS = _Form((0.405, 0.72, 0.90, 1.0), (1, 1, 2, 1), widest=100)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a table of the layers of `model`; see Model.summary for the arguments."""
    form = FOUR_COLUMNS if show_trainable else THREE_COLUMNS
    length = line_length or min(form.widest, shutil.get_terminal_size().columns - 4)
    widths = _inner_widths(form, length, positions or form.stops)
    layers = _between(model.layers, layer_range)
    rows = [row[: len(widths)] for row in _rows(layers, expand_nested)]
    bold = print_fn is None and has_colors(sys.stdout)
    lines = [
        f'Model: "{model.name}"',
        *_table(HEADER[: len(widths)], rows, widths),
        *_totals(model),
    ]
    text = "".join(f"{_emphasized(line) if bold else line}\n" for line in lines)
    if print_fn is not None:
        print_fn(text)
    else:
        sys.stdout.write(text if can_write(sys.stdout, text) else _in_ascii(text))


def _inner_widths(form: _Form, length: int, stops: Sequence[float]) -> list[int]:
    if len(stops) != len(form.stops):
        raise ValueError(
            f"summary: positions must be {len(form.stops)} numbers, where the columns end, "
            f"but got {len(stops)}."
        )
    ends = [int(stop * length if stops[-1] <= 1 else stop) for stop in stops]
    widths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    inner = [width - margin for width, margin in zip(widths, form.margins, strict=True)]
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


def _rows(layers: Iterable[Layer], expand_nested: bool, depth: int = 0) -> Iterator[list[str]]:
    for layer in layers:
        indent = "   " * depth + "└ " if depth else ""
        yield [
            f"{indent}{layer.name} ({type(layer).__name__})",
            str(layer.output_shape) if layer.built else "?",
            f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
            ("Y" if layer.trainable else "N") if layer.weights else "-",
        ]
        if expand_nested:
            yield from _rows(getattr(layer, "layers", []), True, depth + 1)


def _table(header: Sequence[str], rows: list[list[str]], widths: list[int]) -> list[str]:
    lines = [
        _rule("┏┳┓", "━", widths),
        *_cells(header, widths, "┃"),
        _rule("┡╇┩", "━", widths),
    ]
    for k, row in enumerate(rows):
        lines += [_rule("├┼┤", "─", widths)] * (k > 0) + _cells(row, widths, "│")
    return [*lines, _rule("└┴┘", "─", widths)]


def _rule(corners: str, dash: str, widths: list[int]) -> str:
    return corners[0] + corners[1].join(dash * width for width in widths) + corners[2]


def _cells(cells: Sequence[str], widths: list[int], border: str) -> list[str]:
    """A row of the table, of as many lines as its longest cell; a header stands at the bottom."""
    wrapped = [_wrap(cell, width - 2) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    at_bottom = border == "┃"
    lines = []
    for k in range(height):
        parts = []
        for text, width, align in zip(wrapped, widths, ALIGN, strict=False):
            line = k - (height - len(text)) * at_bottom
            part = text[line] if 0 <= line < len(text) else ""
            parts.append(f" {align(part, width - 2)} ")
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
    return f"{sum(a.size for a in arrays):,} ({_readable(sum(a.nbytes for a in arrays))})"


def _readable(size: float) -> str:
    """Write a number of bytes in the unit that suits it.

    >>> _readable(0), _readable(640808), _readable(3 << 30)
    ('0.00 B', '625.79 KB', '3.00 GB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"


def _emphasized(line: str) -> str:
    """Print the words in front of a number, and the title, in bold."""
    return re.sub(r"^( [A-Z][\w -]+:|Model: .*)", rf"{BOLD}\1{PLAIN}", line)


def _in_ascii(text: str) -> str:
    """The table for an output whose encoding has no lines and corners."""
    return text.translate(str.maketrans("━─┃│└…", "==||`~", "")).translate(
        {ord(corner): "+" for corner in "┏┳┓┡╇┩├┼┤┴┘"}
    )
