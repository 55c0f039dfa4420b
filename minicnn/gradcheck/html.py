"""The report as a page: one file that needs nothing else, with a picture of each gradient."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minicnn.gradcheck.report import GradReport, InputReport

MOST_CELLS = 16_384  # of all inputs together; what is beyond is said to be left out
MOST_CLICKABLE = 60  # elements of an input that keep their slopes
TEMPLATE = Path(__file__).with_name("report.html")


def page(report: GradReport, whole: bool) -> str:
    """The page; or, for a notebook, the page in a frame of its own.

    Args:
        report: what is shown.
        whole: whether it is to be a file.
    """
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in _texts(report).items():
        text = text.replace("{{" + name + "}}", value)
    data = json.dumps(_data(report), separators=(",", ":")).replace("</", "<\\/")
    text = text.replace("{{data}}", data)
    if whole:
        return text
    return (
        f'<iframe srcdoc="{html.escape(text)}" style="width:100%;height:900px;border:0"></iframe>'
    )


def _texts(report: GradReport) -> dict[str, str]:
    tests = "".join(
        f'<li class="{"bad" if message else "good"}"><b>{html.escape(name)}</b> '
        f"{html.escape(message) or 'ok'}</li>"
        for name, message in report.structural.items()
    )
    hints = "".join(f"<li>{html.escape(hint)}</li>" for hint in report.hints)
    return {
        "title": html.escape(report.title),
        "state": "good" if report.ok else "bad",
        "verdict": "Right" if report.ok else "Wrong",
        "headline": html.escape(_headline(report)),
        "tests": tests,
        "hints": f"<h2>What it looks like</h2><ol>{hints}</ol>" if hints else "",
        "source": _source(report),
        "text": html.escape(str(report)),
    }


def _headline(report: GradReport) -> str:
    if report.ok:
        count = sum(int(i.checked.sum()) for i in report.inputs)
        return f"All {count} elements that were checked agree with finite differences."
    return report.hints[0] if report.hints else "It fits no known pattern; look at the pictures."


def _source(report: GradReport) -> str:
    if not report.source_text or report.ok:
        return ""
    where, code = html.escape(report.source), html.escape(report.source_text)
    return f"<h2>The backward</h2><p><code>{where}</code></p><pre>{code}</pre>"


def _data(report: GradReport) -> dict[str, Any]:
    room, inputs = MOST_CELLS, []
    for found in sorted(report.inputs, key=lambda i: i.ok):  # wrong ones come first
        shown = found.backward.size <= room
        room -= found.backward.size if shown else 0
        inputs.append(_input(found, shown))
    return {"inputs": inputs, "steps": [s for s in report.steps if np.isfinite(s[1])]}


def _input(found: InputReport, shown: bool) -> dict[str, Any]:
    elements = sorted(found.elements, key=lambda e: -e.verdict)[:MOST_CLICKABLE]
    return {
        "name": found.name,
        "shape": list(found.backward.shape),
        "summary": found.summary,
        "ok": found.ok,
        "backward": _numbers(found.backward) if shown else None,
        "numeric": _numbers(found.numeric) if shown else None,
        "verdicts": found.verdicts.ravel().tolist() if shown else None,
        "slopes": {
            ",".join(map(str, e.index)): [
                [float(s.h), _short(s.left), _short(s.right)] for s in e.slopes
            ]
            for e in elements
        },
    }


def _numbers(array: Any) -> list[float | None]:
    return [_short(x) for x in array.ravel().tolist()]


def _short(x: float) -> float | None:
    return float(f"{x:.4g}") if np.isfinite(x) else None
