"""Hooks: functions of the user's that are called when a layer is, and observers of all layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from minicnn.checkpointing import checkpoint

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer

Hook: TypeAlias = Callable[..., Any]


class CallObserver:
    """Sees every call of every layer; see observe_calls."""

    def before_call(self, *layers: Layer) -> None:
        """A layer is about to compute its output; or several, which are computed together."""

    def after_call(self, *layers: Layer) -> None:
        """It has computed its output."""


observers: list[CallObserver] = []


@contextmanager
def observe_calls(observer: CallObserver) -> Iterator[None]:
    """Open a block in which `observer` is told of every call of a layer."""
    observers.append(observer)
    try:
        yield
    finally:
        observers.remove(observer)


@contextmanager
def announced(*layers: Layer) -> Iterator[None]:
    """Tell the observers that these layers are computed within the block."""
    for observer in observers:
        observer.before_call(*layers)
    try:
        yield
    finally:
        for observer in observers:
            observer.after_call(*layers)


class Handle:
    """Takes a hook away again: by remove(), or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Hook], number: int, forget: Callable[[], None]) -> None:
        self._hooks, self._number, self._forget = hooks, number, forget

    def remove(self) -> None:
        """Take the hook away; it does no harm to do that twice."""
        self._hooks.pop(self._number, None)
        self._forget()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """What happens around a call of one layer."""

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}  # in the order in which they were registered
        self.after: dict[int, Hook] = {}
        self.recompute = False
        self.numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.recompute)


def call_with_hooks(layer: Hookable, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """What the layer makes of its inputs, with all that is to happen before and after."""
    hooks = layer.hooks or Hooks()
    for hook in list(hooks.before.values()):
        hook(layer, inputs)
    with announced(layer):  # type: ignore[arg-type]  # every Hookable is a Layer
        if hooks.recompute:
            output = checkpoint(layer.call, *inputs, **keywords)
        else:
            output = layer.call(*inputs, **keywords)
    for hook in list(hooks.after.values()):
        changed = hook(layer, inputs, output)
        output = output if changed is None else changed
    return output


class Hookable:
    """What a layer has for those who want to see its calls, or change them."""

    call: Callable[..., Any]
    hooks: Hooks | None = None  # None while there are none, which costs a call no time

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], object]) -> Handle:
        """Let hook(layer, inputs) be called before each call of the layer, as in PyTorch.

        Args:
            hook: inputs is a tuple of the tensors, or structures of tensors, that `call` is given.

        Returns:
            A handle: handle.remove() takes the hook away, and so does the end of a `with` block.
        """
        return self._registered(self._made_hooks().before, hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> Handle:
        """Let hook(layer, inputs, output) be called after each call of the layer, as in PyTorch.

        A layer with hooks is computed on its own, and not together with its neighbors for speed.

        Args:
            hook: what it returns takes the place of the output, unless it is None.

        Returns:
            A handle: handle.remove() takes the hook away, and so does the end of a `with` block.

        >>> import numpy as np
        >>> from minicnn import layers
        >>> layer = layers.ReLU(name="relu")
        >>> def show(layer, inputs, output):
        ...     print(layer.name, inputs[0].shape, "->", output.numpy())
        >>> with layer.register_forward_hook(show):
        ...     y = layer(np.array([[-1.0, 2.0]]))
        relu (1, 2) -> [[0. 2.]]
        """
        return self._registered(self._made_hooks().after, hook)

    @property
    def recompute(self) -> bool:
        """Whether calls remember only their inputs, and are done anew for the gradient.

        Set it to True to train with less memory, in more time; see minicnn.checkpoint.
        """
        return self.hooks is not None and self.hooks.recompute

    @recompute.setter
    def recompute(self, value: bool) -> None:
        self._made_hooks().recompute = value
        self._forget_idle_hooks()

    def _made_hooks(self) -> Hooks:
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks

    def _registered(self, hooks: dict[int, Hook], hook: Hook) -> Handle:
        assert self.hooks is not None
        number = next(self.hooks.numbers)
        hooks[number] = hook
        return Handle(hooks, number, self._forget_idle_hooks)

    def _forget_idle_hooks(self) -> None:
        if not self.hooks:
            self.hooks = None
