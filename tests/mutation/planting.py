"""Wrong versions of a source file, each with one small mistake, made from its syntax tree.

The mistakes are those that people make in formulas and loops: another operator, a constant that is
off by one, a comparison that leaves out the border, a statement forgotten, arguments swapped, the
last round of a loop left out, memory of one thread that all threads use, a gradient with the wrong
sign or factor. Only the text of the changed expression is replaced, so that line numbers and
everything else stay.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
COMMUTES = {"minimum", "maximum", "min", "max", "isclose"}  # functions whose order is no matter
OWNER = re.compile(r"\[(?:worker|run)\b")  # an index that finds what only one thread uses at a time
GRADIENTS = (
    *("-({0})", "({0}) * 0", "({0}) * 1.001", "({0}) * 2", "None"),
    "({0}) * self.inputs[0].shape[0]",  # the size of the batch
    "({0})[::-1]",  # permuted
    "({0}).detach()",  # right once; the gradient of the gradient is 0
    "({0}).astype('float32')",
)


class Mutant(NamedTuple):
    """A source file with one mistake in it."""

    path: Path
    start: int  # the first line of the function that the mistake is in, with its decorators
    function: str
    line: int
    column: int
    before: str
    after: str
    source: str

    @property
    def place(self) -> tuple[str, int]:
        """Where its function begins."""
        return str(self.path), self.start

    @property
    def is_race(self) -> bool:
        """Whether all threads use what only one should; one alone may compute the same."""
        return self.after == f"({_shared(self.before)})"

    @property
    def is_honest(self) -> bool:
        return self.source == self.path.read_text()

    def without_mistake(self) -> Mutant:
        return self._replace(after=self.before, source=self.path.read_text())

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line} {self.signature}"

    @property
    def signature(self) -> str:
        """What it is, whatever stands above it in the file."""
        text = self.path.read_text().splitlines()[self.line - 1].strip()
        return f"{self.function} | {text} | {self.column}: {self.before} -> {self.after}"


def mutants(path: Path) -> Iterator[Mutant]:
    """All mistakes that can be planted into a file, in the order of its lines."""
    text = path.read_text()
    for function, node in _computing(ast.parse(text)):
        before = ast.get_source_segment(text, node) or ""
        start = min(part.lineno for part in (function, *function.decorator_list))
        for after in dict.fromkeys(_changed(node, before, function.name)):
            source = _replaced(text, node, after)
            if not _same(before, after) and _is_python(source):
                place = (node.lineno, node.col_offset)
                short = (" ".join(part.split())[:60] for part in (before, after))
                yield Mutant(path, start, function.name, *place, *short, source)


def _computing(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.AST]]:
    """The nodes of functions that compute; not types, messages and docstrings."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                if not _is_text(statement):
                    yield from ((function, node) for node in _parts(statement))


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.FunctionDef | ast.ClassDef | ast.Assert):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _parts(child)


def _changed(node: ast.AST, text: str, function: str) -> Iterator[str]:
    """The texts that a wrong program could have in the place of this one."""
    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            yield _with(node, op=SWAPS[type(op)]())
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield _with(node, ops=[SWAPS[type(op)]()])
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() as value):
            yield from (str(value + 1), f"({value - 1})")
        case ast.Constant(value=float() as value):
            yield str(value * 1.5 or 1.0)
        case ast.Call(func=ast.Name("range" | "prange"), args=[*first, end]):
            yield _with(node, args=[*first, ast.parse(f"{ast.unparse(end)} - 1").body[0].value])
        case ast.Call(func=called, args=[first, second, *rest], keywords=keywords):
            if ast.unparse(called).rpartition(".")[2] not in COMMUTES:
                yield _with(node, args=[second, first, *rest])
            yield from (_without(node, k) for k in range(len(keywords)))
        case ast.Call(keywords=[_, *_] as keywords):
            yield from (_without(node, k) for k in range(len(keywords)))
        case ast.Subscript() if OWNER.search(text):
            yield f"({_shared(text)})"
        case ast.If(test=test) | ast.IfExp(test=test):
            for answer in ("True", "False"):
                yield text.replace(f"if {ast.unparse(test)}", f"if {answer}", 1)
    match node:
        case ast.AugAssign(target=target, value=value):
            yield f"{ast.unparse(target)} = {ast.unparse(value)}"
            yield "pass"
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield "pass"
        case ast.Expr(value=ast.Call()):
            yield "pass"
        case ast.Return(value=ast.expr() as value) if "backward" in function:
            yield from (f"return {wrong}" for wrong in _wrong_gradients(value))


def _wrong_gradients(value: ast.expr) -> Iterator[str]:
    entries = value.elts if isinstance(value, ast.Tuple) else [value]
    texts = [ast.unparse(entry) for entry in entries]
    for k, text in enumerate(texts):
        for form in GRADIENTS if text != "None" else ():
            yield ", ".join([*texts[:k], form.format(text), *texts[k + 1 :]])
    if len(texts) > 1:
        yield ", ".join([texts[1], texts[0], *texts[2:]])


def _shared(text: str) -> str:
    """An expression that finds the memory of the first thread, whichever asks."""
    return OWNER.sub("[0", text)


def _with(node: ast.AST, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    text = ast.unparse(changed)
    return f"({text})" if isinstance(node, ast.expr) else text


def _without(node: ast.Call, k: int) -> str:
    return _with(node, keywords=[word for n, word in enumerate(node.keywords) if n != k])


def _replaced(text: str, node: ast.AST, after: str) -> str:
    """The text with another one in the place of a node; columns count bytes of UTF-8."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    whole = b"".join(lines)
    return (whole[:start] + after.encode() + whole[end:]).decode()


def _same(before: str, after: str) -> bool:
    """Whether both are the same expression, whatever parentheses and spaces there are."""
    try:
        one, other = (ast.dump(ast.parse(f"({text})")) for text in (before, after))
    except SyntaxError:  # no expressions, or none any more
        return before == after
    return one == other


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True
