"""The ops and layers that the user has written, and the examples that their classes have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from minicnn.autograd import Op
from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.selfcheck.layer_examples import LayerExample
from minicnn.selfcheck.subjects import LayerSubject, Nothing, OwnOpSubject, Subject

Kind = TypeVar("Kind")


def own_subjects() -> Iterator[Subject]:
    """All ops and layers of the user's."""
    for op in own(Op):
        yield from _subjects(op, _of_op)
    for layer in own(Layer):
        yield from _subjects(layer, _of_layer)


def own(base: type[Kind]) -> list[type[Kind]]:
    """The subclasses of Op or Layer that do not belong to minicnn itself."""
    found, todo = [], list(base.__subclasses__())
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if not kind.__module__.startswith("minicnn.") and not inspect.isabstract(kind):
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__name__)


def _subjects(kind: type[Kind], of: Callable[[type[Kind]], list[Subject]]) -> list[Subject]:
    """What there is to check of a class, or why there is nothing."""
    example = getattr(kind, "example", None)
    # what a function makes is what its class wanted; a subclass is something else
    inherited = "example" not in vars(kind) and _begins_with_function(example)
    if example is None or inherited:
        reason = "skipped: the class has no `example` of its own, a tuple of arrays"
        return [Nothing(kind.__name__, reason)]
    try:
        return of(kind)
    except TypeError as error:
        return [Nothing(kind.__name__, f"WRONG: {error}")]


def _begins_with_function(example: Any) -> bool:
    return isinstance(example, tuple) and bool(example) and callable(example[0])


def _of_op(op: type[Op]) -> list[Subject]:
    function, arrays = _example(op)
    return [OwnOpSubject(op.__name__, function or _plain(op), arrays)]


def _plain(op: type[Op]) -> Callable[..., Any]:
    """An op without settings as a function of its inputs."""
    _check_that_it_has_no_settings(op, "lambda x: {}(...)(x)")
    return lambda *xs: op()(*xs)


def _of_layer(layer: type[Layer]) -> list[Subject]:
    """As it is when a model predicts, and as it is in training."""
    make, arrays = _example(layer)
    if make is None:
        _check_that_it_has_no_settings(layer, "lambda: {}(...)")
        make = layer
    shapes = tuple(a.shape for a in arrays)
    name = layer.__name__
    return [
        LayerSubject(name, LayerExample(make, shapes), arrays),
        LayerSubject(f"{name}, training", LayerExample(make, shapes, training=True), arrays),
    ]


def _example(kind: Any) -> tuple[Callable[..., Any] | None, list[Array]]:
    """The function with which the example of a class begins, if it does, and the arrays.

    Raises:
        TypeError: it is no such example.
    """
    example = kind.example
    first = 1 if _begins_with_function(example) else 0
    if not isinstance(example, tuple) or len(example) == first:
        raise TypeError(
            f"`example` must be a tuple of arrays, which a function may precede, but is "
            f"{example!r:.40}. Write example = (array,)."
        )
    return example[0] if first else None, [np.asarray(a) for a in example[first:]]


def _check_that_it_has_no_settings(kind: type, function: str) -> None:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise TypeError(
            f"the constructor wants settings ({error}), which `example` does not give. Let it "
            f"begin with a function: example = ({function.format(kind.__name__)}, array)."
        ) from None
