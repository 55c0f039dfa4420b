"""Hooks: functions of the user's that are called when a layer is, and observers of all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minicnn.autograd import Tensor
from minicnn.checkpointing import checkpoint
from minicnn.hooking import Handle, Hook, register
from minicnn.layers.structure import leaves, mapped
from minicnn.ops.shape import Reshape

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


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


class Hooks:
    """What happens around a call of one layer."""

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}  # in the order in which they were registered
        self.after: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}
        self.recompute = False

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.backward or self.recompute)


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
    if hooks.backward:
        given = set(leaves(inputs))
        output = mapped(lambda y: _listening(layer, hooks.backward, y, given), output)
    return output


def _listening(layer: Hookable, hooks: dict[int, Hook], y: Any, given: set[Any]) -> Any:
    """An output of the layer, whose gradient will be shown to the hooks as soon as it is known.

    A layer may hand on what it was given; then y gets a name of its own, because the gradient for
    what was given adds up all that was made of it elsewhere.
    """
    if not isinstance(y, Tensor) or not y.requires_grad:
        return y
    logits = y.logits
    if y in given:
        y = Reshape(y.shape)(y)
        y.logits = logits
    listener = _Listener(layer, hooks)
    y.register_hook(listener.at_output)
    if logits is not None and logits.requires_grad:
        logits.register_hook(listener.at_logits)
    return y


class _Listener:
    """Shows the gradient for one output to the hooks of its layer.

    A cross-entropy reads the logits in the place of the probabilities, for which there is no
    gradient then. Otherwise the logits come later than the output, and are nobody's business.
    """

    def __init__(self, layer: Hookable, hooks: dict[int, Hook]) -> None:
        self._layer, self._hooks = layer, hooks
        self._was_shown = False

    def at_output(self, dy: Tensor) -> Tensor:
        self._was_shown = True
        return self._shown(dy)

    def at_logits(self, dy: Tensor) -> Tensor:
        was_shown, self._was_shown = self._was_shown, False
        return dy if was_shown else self._shown(dy)

    def _shown(self, dy: Tensor) -> Tensor:
        for hook in list(self._hooks.values()):
            changed = hook(self._layer, dy)
            dy = dy if changed is None else changed
        return dy


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

    def register_backward_hook(self, hook: Callable[[Any, Tensor], Tensor | None]) -> Handle:
        """Let hook(layer, dy) be called when the gradient for an output of the layer is known.

        It is called in each backward pass, once for each output of each call that was made while
        the hook was there, and before the gradient goes on into the layer. Where a loss reads the
        numbers before a softmax or sigmoid, dy is the gradient for these, as in Model.gradients.

        Args:
            hook: what it returns takes the place of dy, unless it is None; see
                Tensor.register_hook for what it may do and return.

        Returns:
            A handle: handle.remove() takes the hook away, and so does the end of a `with` block.

        Differs from PyTorch: the hook gets the gradient for one output, where
        register_full_backward_hook gets those for all inputs and all outputs.

        >>> import numpy as np
        >>> from minicnn import layers
        >>> layer = layers.ReLU(name="relu")
        >>> def show(layer, dy):
        ...     print(layer.name, dy.numpy())
        >>> x = Tensor([[-1.0, 2.0]], requires_grad=True)
        >>> with layer.register_backward_hook(show):
        ...     (layer(x) * 3).sum().backward()
        relu [[3. 3.]]
        """
        return self._registered(self._made_hooks().backward, hook)

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
        return register(hooks, hook, self._forget_idle_hooks)

    def _forget_idle_hooks(self) -> None:
        if not self.hooks:
            self.hooks = None
