"""Which calls of its parts the call of a layer leads to, and what each of them takes and gives."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from minicnn.layers import calling
from minicnn.layers.nesting import parts_of

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


class Call(NamedTuple):
    """A call of a layer; several tensors have a structure of shapes."""

    layer: Layer
    input_shape: Any  # of the first argument
    output_shape: Any


def tried_calls(layer: Layer, input_shape: Any) -> list[Call]:
    """The calls of the parts of a layer, found by sending one input of zeros through it.

    Parts of parts are left out: a call of a part includes them.

    Raises:
        ValueError: a size other than that of the batch is not known.
    """
    if not parts_of(layer):
        return []
    if not calling.are_known(input_shape):
        raise ValueError(
            f"{layer.title}: cannot try which layers it calls for inputs of shape {input_shape}. "
            f"Give all sizes but the batch."
        )
    layer.ensure_built(input_shape)  # before anybody looks, as that may take a trial as well
    notes = _Notes()
    with ExitStack() as hooks:
        for part in parts_of(layer):
            hooks.enter_context(part.register_forward_pre_hook(notes.before))
            hooks.enter_context(part.register_forward_hook(notes.after))
        zeros = calling.placeholders(calling.any_batch(input_shape), layer.dtype)
        calling.shapes_of_results(layer, (zeros,), {})
    return notes.calls


class _Notes:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._depth = 0  # how many calls of parts are going on, one within the other

    def before(self, layer: Layer, inputs: tuple[Any, ...]) -> None:
        self._depth += 1

    def after(self, layer: Layer, inputs: tuple[Any, ...], output: Any) -> None:
        self._depth -= 1
        if not self._depth:
            shapes = calling.any_batch(calling.shapes_of((inputs[0], output)))
            self.calls.append(Call(layer, *shapes))
