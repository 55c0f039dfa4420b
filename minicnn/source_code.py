"""source: formula, forward, backward and kernels of an op together, as they stand in the files."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, TypeGuard

from minicnn import ops
from minicnn.autograd import Op
from minicnn.backend import kernels
from minicnn.suggest import did_you_mean

ROOT = Path(__file__).parents[1]
WIDTH = 100  # of the lines that separate the pieces


def source(op: Any) -> None:
    """Print all that belongs to an op: its formula, forward and backward, and its kernels.

    First comes the function that people call, with the formulas; then the classes that compute and
    differentiate, among them those of which the gradients are made; then each kernel that these
    run, as plain NumPy, which is to be read first, and as it is compiled for the CPU.

    Args:
        op: its name, as "conv2d"; the function, ops.conv2d; or a class, also one of your own.

    Raises:
        ValueError: there is no op of this name.
        TypeError: it is neither a name, nor a function, nor a class of ops.

    >>> source("relu")  # doctest: +ELLIPSIS
    ---- ops.relu ---- minicnn/ops/relu.py, line ... ----...
    def relu(x: Tensor) -> Tensor:
    ...
    """
    print("\n".join(_pieces(op)))


def _pieces(op: Any) -> Iterator[str]:
    function, classes = _found(op)
    if function is not None:
        yield from _piece(f"ops.{function.__name__}", function)
    for cls in classes:
        yield from _piece(cls.__name__, cls)
    for kernel in _kernels_of(classes):
        yield from _piece(f"kernel {kernel.name}, plain", kernel.reference)
        yield from _piece(f"kernel {kernel.name}, for the CPU", kernel.cpu)
        for loops in _compiled_by(kernel.cpu):
            yield from _piece(f"kernel {kernel.name}, compiled", loops)
        if kernel.gpu is not None:
            yield from _piece(f"kernel {kernel.name}, for the GPU", kernel.gpu)


def _found(op: Any) -> tuple[FunctionType | None, list[type[Op]]]:
    """The function, if there is one, and the classes that it needs."""
    if isinstance(op, str):
        names = [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))]
        if op not in names:
            raise ValueError(
                f"source: there is no op {op!r}.{did_you_mean(op, names)} There are: "
                f"{', '.join(sorted(names))}."
            )
        op = getattr(ops, op)
    if isinstance(op, type) and issubclass(op, Op):
        return None, _with_those_they_use([op])
    if inspect.isfunction(op):
        return op, _with_those_they_use(_used_by(op))
    raise TypeError(
        f"source: wants the name of an op, its function or its class, as 'conv2d' or ops.conv2d, "
        f"but got {op!r}."
    )


def _with_those_they_use(classes: list[type[Op]]) -> list[type[Op]]:
    """These classes, and those of the same file of which their gradients are made."""
    found = dict.fromkeys(classes)
    todo = list(found)
    while todo:
        cls = todo.pop(0)
        new = [used for used in _used_by(cls) if used not in found]
        new = [used for used in new if used.__module__ == cls.__module__]
        found.update(dict.fromkeys(new))
        todo += new
    return list(found)


def _used_by(thing: Any) -> list[type[Op]]:
    """The classes of ops that the source of a function or class names."""
    known = vars(inspect.getmodule(thing))
    values = [known.get(name) for name in _names_in(thing)]
    return list(dict.fromkeys(value for value in values if _is_op(value)))


def _is_op(value: Any) -> TypeGuard[type[Op]]:
    return isinstance(value, type) and issubclass(value, Op) and value is not Op


def _kernels_of(classes: list[type[Op]]) -> list[Any]:
    """The kernels that the source of these classes names, as kernels.conv2d.forward."""
    found = {}
    for cls in classes:
        for node in ast.walk(_tree(cls)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                name = f"{node.value.attr}.{node.attr}"
                if ast.unparse(node) == f"kernels.{name}" and name in kernels.all_kernels():
                    found[name] = kernels.all_kernels()[name]
    return list(found.values())


def _compiled_by(function: Any) -> list[Any]:
    """The functions of the same file that Numba compiles, and that this one calls."""
    if hasattr(function, "py_func"):
        return []  # it is one itself
    found = {name: function.__globals__.get(name) for name in _names_in(function)}
    return [value for value in found.values() if hasattr(value, "py_func")]


def _names_in(thing: Any) -> list[str]:
    return [node.id for node in ast.walk(_tree(thing)) if isinstance(node, ast.Name)]


def _tree(thing: Any) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(thing)))


def _piece(title: str, thing: Any) -> Iterator[str]:
    thing = getattr(thing, "py_func", thing)  # what Numba was given
    lines, first = inspect.getsourcelines(thing)
    path = Path(inspect.getsourcefile(thing) or "")
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    yield f"---- {title} ---- {shown}, line {first} ".ljust(WIDTH, "-")
    yield textwrap.dedent("".join(lines)).rstrip() + "\n"
