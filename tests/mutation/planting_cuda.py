"""Wrong versions of a .cu file, each with one small mistake; planting.py does so for Python.

There is no syntax tree here. But binary operators stand between spaces in these sources, and the
stars of pointers do not, so that patterns find the same kinds of mistakes: another operator, a
constant that is off by one, the last round of a loop left out, a condition that always or never
holds, a statement or a barrier forgotten, rows taken for columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from planting import Mutant

OPERATORS = {
    **{"+": "-", "-": "+", "*": "/", "/": "*", "%": "/"},
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    **{"&&": "||", "||": "&&", "&": "|", "|": "&", "^": "|", ">>": "<<", "<<": ">>"},
}
WORDS = {
    **{"min": "max", "max": "min", "fmax": "fmin", "true": "false", "false": "true"},
    **{"threadIdx.x": "threadIdx.y", "threadIdx.y": "threadIdx.x"},
    **{"blockIdx.x": "blockIdx.y", "blockIdx.y": "blockIdx.x", "blockIdx.z": "blockIdx.x"},
}
_OPERATOR = re.compile(r"(?<=\s)(&&|\|\||[<>=!]=|<<|>>|[-+*/%<>&|^])(?=\s)")
_WORD = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, WORDS))})\b")
_INTEGER = re.compile(r"(?<![\w.])(0x[0-9a-fA-F]+|\d+)(u?l*)(?![\w.])")
_FLOAT = re.compile(r"(?<![\w.])\d+\.\d*(?:e-?\d+)?")
_NOT = re.compile(r"[!~](?=[\w(])")
_LAST_ROUND = re.compile(r"(?<=; )([^;<]+?) (<=?) ([^;]+)(?=; )")
# x = ...;  x[k] += ...;  f(...);  behind another statement, a bracket or else
_STATEMENT = re.compile(
    r"(?:(?<=[;{})])|(?<=else))\s*"
    r"(?=([\w.]+(?:\[[^;=]*\])?(?:\.\w+)?(?: [-+*/]?= [^;{}]+|\([^;{}]*\)));)"
)
_ADDS = re.compile(r"(?<=\s)([-+])=(?=\s)")

# What is no code: comments, directives, texts, and what only a GPU's compiler sees.
_NO_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|^#ifndef CUDA_ON_CPU.*?^#endif|^[ \t]*#[^\n]*|\"[^\"\n]*\"",
    flags=re.DOTALL | re.MULTILINE,
)
# Numbers of elements: with one more there would be room that nobody uses.
_SIZES = re.compile(r"^ *(?:__shared__ )?(?:const )?\w+ \w+(?:\[\w+\])+[^;=]*", re.MULTILINE)


class Block(NamedTuple):
    """A function, or a struct with its functions."""

    name: str
    is_kernel: bool
    line: int  # where its first line is
    begin: int  # of its body
    end: int


def mutants(path: Path) -> Iterator[Mutant]:
    """All mistakes that can be planted into a file, in the order of its lines."""
    text = path.read_text()
    code = _SIZES.sub(_blank, _NO_CODE.sub(_blank, text))
    for block in blocks(code):
        start = block.line if block.is_kernel else 0
        for begin, end, after in sorted(set(_changes(code, block.begin, block.end))):
            line, column = _position(text, begin)
            source = text[:begin] + after + text[end:]
            short = (" ".join(part.split())[:60] for part in (text[begin:end], after))
            yield Mutant(path, start, block.name, line, column, *short, source)


def kernel_lines(path: Path) -> dict[str, int]:
    """The line where each kernel of a file begins; mutants of other functions say 0."""
    code = _NO_CODE.sub(_blank, path.read_text())
    return {block.name: block.line for block in blocks(code) if block.is_kernel}


def blocks(code: str) -> Iterator[Block]:
    """What stands between braces that are in no others."""
    depth, last = 0, 0
    for brace in re.finditer(r"[{}]", code):
        if brace[0] == "{":
            if depth == 0:
                head, begin = code[last : brace.start()], brace.end()
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                start = last + len(head) - len(head.lstrip(" ;\n"))
                line, _ = _position(code, start)
                yield Block(_name(head), "__global__" in head, line, begin, brace.start())
                last = brace.end()


def _name(head: str) -> str:
    words = re.sub(r"__(?:launch_bounds|align)__\(\d+\)", "", head)
    found = re.search(r"(\w+)\s*\(", words) or re.search(r"struct\s+(\w+)", words)
    assert found, f"who is this? {head}"
    return found[1]


def _blank(found: re.Match[str]) -> str:
    """Spaces, so that all else stays where it is."""
    return re.sub(r"[^\n]", " ", found[0])


def _position(text: str, at: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, at) + 1
    return text.count("\n", 0, at) + 1, at - start


def _changes(code: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Where a mistake begins and ends, and what stands there then."""
    for found in _OPERATOR.finditer(code, begin, end):
        yield *found.span(), OPERATORS[found[0]]
    for found in _WORD.finditer(code, begin, end):
        yield *found.span(), WORDS[found[0]]
    for found in _INTEGER.finditer(code, begin, end):
        for step in (1, -1):
            yield *found.span(), _number(int(found[1], 0) + step, found[2])
    for found in _FLOAT.finditer(code, begin, end):
        yield *found.span(), str(float(found[0]) * 1.5 or 1.0)
    for found in _NOT.finditer(code, begin, end):
        yield *found.span(), ""
    for found in _ADDS.finditer(code, begin, end):
        if not _is_in_head(code, found.start()):  # or the loop would hardly end
            yield *found.span(), "-=" if found[1] == "+" else "+="
            yield *found.span(), "="
    for found in _STATEMENT.finditer(code, begin, end):
        is_control = re.match(r"return\b|const\b|if\b|for\b", found[1])
        if not is_control and not _is_in_head(code, found.start(1)):
            yield *found.span(1), ""
    yield from _changed_heads(code, begin, end)


def _changed_heads(code: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Loops without their last round, and conditions that always or never hold."""
    for head in re.finditer(r"\b(if|for) \(", code[begin:end]):
        first = begin + head.end()
        last = _closing(code, first)
        if head[1] == "if":
            yield from ((first, last, answer) for answer in ("true", "false"))
        elif found := _LAST_ROUND.search(code, first, last):
            yield *found.span(), f"{found[1]} + 1 {found[2]} {found[3]}"


def _number(value: int, suffix: str) -> str:
    return f"({value})" if value < 0 else f"{value}{suffix}"


def _is_in_head(code: str, at: int) -> bool:
    """Whether this is within `for (...; ...; ...)`."""
    start = code.rfind("for (", 0, at)
    return start >= 0 and at < _closing(code, start + len("for ("))


def _closing(code: str, at: int) -> int:
    """Where the bracket closes that opens before `at`."""
    depth = 1
    for found in re.finditer(r"[()]", code[at:]):
        depth += 1 if found[0] == "(" else -1
        if depth == 0:
            return at + found.start()
    raise ValueError("a bracket does not close")
