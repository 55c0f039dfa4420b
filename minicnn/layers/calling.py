"""How layers are called, where it is more than one tensor that goes in and one that comes out.

Layer.__call__ does the usual itself: one tensor or array. Here is all the rest: structures of
tensors, several arguments, symbolic tensors; and what a call that is going on tells the layers that
are called in it, as Keras does: whether the model is learning.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import Tensor, no_grad
from minicnn.backend import kernels
from minicnn.layers.limits import check_trial
from minicnn.layers.node import Node, symbolic_tensors
from minicnn.layers.shapes import Shape, batch_of, is_shape, mapped_shapes
from minicnn.layers.structure import is_nested, leaves, mapped
from minicnn.layers.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer

TRIED_SIZES = (32, 37)  # in the place of an unknown size, to see what becomes of it


class Call:
    """A call of a layer with parts, while it lasts."""

    __slots__ = ("outermost", "training")

    def __init__(self, training: bool, outside: Call | None) -> None:
        self.training = training
        self.outermost: Call = self if outside is None else outside.outermost


_going_on: ContextVar[Call | None] = ContextVar("call", default=None)


def inherited_training() -> bool:
    """What the call that is going on was told about training; False if there is none."""
    call = _going_on.get()
    return call is not None and call.training


def outermost_call() -> Call | None:
    """The call with which it all began; None if none is going on."""
    call = _going_on.get()
    return None if call is None else call.outermost


def begin_call(training: bool) -> Token[Call | None]:
    """Note that a layer with parts is being called; to be undone by end_call."""
    return _going_on.set(Call(training, _going_on.get()))


def end_call(token: Token[Call | None]) -> None:
    """Go back to what was before begin_call."""
    _going_on.reset(token)


def call_generally(
    layer: Layer,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    training: bool | None,
) -> Any:
    """What Layer.__call__ does for other things than one tensor or array.

    Raises:
        TypeError: there are symbolic tensors and tensors with numbers at once.
    """
    x, *others = arguments
    if len(others) == 1 and not keywords and _is_for_training(layer, others[0]):
        return layer(x, training=others[0])
    if symbolic_tensors((arguments, keywords)):
        return _call_symbolically(layer, arguments, keywords, training)
    if not others and not keywords and not _holds_tensors(x) and not _holds_numbers(x):
        return layer(np.asarray(x), training=training)  # a number, or nested lists of numbers

    def as_input(leaf: Any) -> Any:
        return layer.as_input(leaf) if _holds_numbers(leaf) else leaf

    arguments, keywords = mapped(as_input, (arguments, keywords))
    layer.ensure_built(shapes_of(arguments[0]))
    return layer.called(training, keywords, *arguments)


def _is_for_training(layer: Layer, argument: Any) -> bool:
    """Whether the second argument of layer(x, True) means training."""
    names = layer.call_arguments
    plain = argument is None or isinstance(argument, bool)
    return plain and (len(names) < 2 or names[1] == "training")


def _holds_tensors(x: Any) -> bool:
    return is_nested(x) and any(map(_holds_numbers, leaves(x)))


def _holds_numbers(x: Any) -> bool:
    """Whether x is a tensor, or an array on any device."""
    return isinstance(x, Tensor | np.ndarray) or kernels.is_gpu_array(x)


def shapes_of(x: Any) -> Any:
    """The shape of a tensor, or the structure of shapes of a structure of tensors."""
    return mapped(lambda leaf: tuple(getattr(leaf, "shape", ())), x)


def _call_symbolically(
    layer: Layer,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    training: bool | None,
) -> Any:
    if any(isinstance(leaf, Tensor) for leaf in leaves((arguments, keywords))):
        raise TypeError(
            f"{layer.title}: was given symbolic tensors and tensors with numbers at once. Call it "
            f"with either."
        )
    if len(arguments) == 1 and not keywords:
        layer.ensure_built(shapes_of(arguments[0]))
        shapes = layer.compute_output_shape(shapes_of(arguments[0]))
    else:
        shapes = shapes_of_results(layer, arguments, keywords)
    outputs = mapped_shapes(lambda shape: SymbolicTensor(shape, layer.dtype), shapes)
    given = keywords if training is None else {**keywords, "training": training}
    Node(layer, arguments, given, outputs)
    return outputs


def shapes_of_results(layer: Layer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Find out which shapes a call gives, by calling the layer with zeros.

    Raises:
        ValueError: an unknown size is in the way.
    """
    symbolic = symbolic_tensors((arguments, keywords))
    unknown = any(None in tensor.shape[1:] for tensor in symbolic)
    try:
        layer.ensure_built(shapes_of(arguments[0]))
        sizes = TRIED_SIZES if unknown else (1,)
        tried = [_tried(layer, arguments, keywords, size) for size in sizes]
        return _agreed(tried, symbolic[0].shape[0])
    except (ValueError, TypeError, IndexError) as error:
        if not unknown:
            raise
        given = ", ".join(str(tensor.shape) for tensor in symbolic)
        raise ValueError(
            f"{layer.title}: cannot tell the shape of its output for {given}. Give all sizes but "
            f"the batch, or define compute_output_shape(self, input_shape)."
        ) from error


def _tried(layer: Layer, arguments: Any, keywords: Any, size: int) -> Any:
    """The shapes for one input, with `size` in the place of sizes that are not known."""

    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        shape = (1, *(size if n is None else n for n in leaf.shape[1:]))
        check_trial(layer.title, shape)
        return Tensor(np.zeros(shape, layer.dtype), device=layer.device)

    arguments, keywords = mapped(zeros, (arguments, keywords))
    return shapes_of(without_traces(layer, arguments, keywords))


def without_traces(layer: Layer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """What the layer returns in inference, with no graph and no losses that stay behind."""
    with no_grad(), np.errstate(all="ignore"):  # zeros may well be divided by zeros
        y = layer.called(False, {**keywords}, *arguments)
    layer.forget_losses()
    return y


def _agreed(tried: list[Any], batch: int | None) -> Any:
    """The shapes, with None where the sizes that were tried lead to different ones.

    Raises:
        ValueError: they lead to different structures; it can be a TypeError, too.
    """
    if all(map(is_shape, tried)):
        sizes = zip(*tried, strict=True)
        known = [found[0] if len(set(found)) == 1 else None for found in sizes]
        return (batch, *known[1:]) if known else ()
    kinds: set[Any] = set(map(type, tried))
    (kind,) = kinds
    if kind is dict:
        (keys,) = set(map(tuple, tried))
        return {key: _agreed([shapes[key] for shapes in tried], batch) for key in keys}
    return kind(_agreed(list(shapes), batch) for shapes in zip(*tried, strict=True))


def only_one(found: list[Any]) -> Any:
    """The only entry of a list, or the list if it has several."""
    return found[0] if len(found) == 1 else found


def are_known(shapes: Any) -> bool:
    """Whether all sizes are known but that of the batch."""
    known: list[bool] = []
    mapped_shapes(lambda shape: known.append(None not in shape[1:]), shapes)
    return all(known)


def any_batch(shapes: Any) -> Any:
    """The shapes for batches of any size."""
    return mapped_shapes(batch_of, shapes)


def placeholders(shapes: Any, dtype: str) -> Any:
    """Symbolic tensors of these shapes, that belong to no graph."""

    def placeholder(shape: Shape) -> SymbolicTensor:
        return SymbolicTensor(shape, dtype, name="x")

    return mapped_shapes(placeholder, shapes)
