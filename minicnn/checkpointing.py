"""checkpoint: remember the inputs of a function only, and compute the rest anew for the gradient.

What a function did is kept as a tape: which op, with which settings, read which tensors. Backward
plays the tape again, so the function itself runs once: a Dropout drops the same numbers, and the
running averages of a BatchNormalization move once.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from minicnn.autograd import (
    Op,
    Tensor,
    Watcher,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    watch,
)
from minicnn.backend import Array
from minicnn.hooking import Hook


def checkpoint(f: Callable[..., Any], *xs: Any, **keywords: Any) -> Any:
    """Compute f(*xs, **keywords), and forget all but its inputs until a gradient is wanted.

        y = f(x)        dx = the gradient of f at x, after computing f(x) once more

    Results and gradients are the same bit by bit; only where a tensor is used inside f and outside,
    or f returns several, may a gradient be added up in another order. The memory is that of the
    inputs and outputs, beside which only one checkpointed function at a time needs its intermediate
    results; the time is that of one more forward pass. What f reads from outside, as the weights of
    its layers, gets its gradient like what it is given.

    Args:
        f: a function of tensors, or a layer; it may draw random numbers.
        *xs: its arguments; tensors among them are inputs.
        **keywords: further arguments, as training=True for a layer.

    Returns:
        What f returns: a tensor, or a tuple or list of them. Each of several outputs costs a
        forward pass of its own in the backward pass.

    Raises:
        TypeError: f returns something else.
        RuntimeError: f keeps a tensor with a gradient without returning it, as add_loss does: its
            gradient would be lost.

    Source: Chen et al. 2016, arXiv:1604.06174.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> y = checkpoint(lambda x: (x * x * x).sum(), x)
    >>> y.backward()
    >>> x.grad
    Tensor([ 3. 12.])
    """
    if not is_grad_enabled():
        return f(*xs, **keywords)
    tape = _Tape()
    results = _forgetful_results(tape.run(f, xs, keywords), tape)
    tape.check_that_nothing_is_kept()
    return results


def _forgetful_results(y: Any, tape: _Tape) -> Any:
    if not isinstance(y, tuple | list):
        return _forgetful(y, tape)
    return type(y)([_forgetful(output, tape) for output in y])


def _forgetful(output: Tensor, tape: _Tape) -> Tensor:
    """A tensor of the same numbers that remembers how to compute them, and no result on the way."""
    if not isinstance(output, Tensor):
        raise TypeError(
            f"checkpoint: the function must return a tensor, or a tuple or list of them, but has "
            f"returned {type(output).__name__}."
        )
    if not output.requires_grad or tape.is_from_outside(output):
        return tape.original(output)
    steps = tape.steps_to(output)
    reads = sorted({k for step in steps for k in step.reads if k >= 0})
    recompute = Recompute(steps, reads, [output.data], tape.hooks())
    result = recompute(*(tape.outside[k] for k in reads))
    if output.logits is not None:
        result.logits = _forgetful(output.logits, tape)
    return result


class _Step(NamedTuple):
    """One op of a tape; tensors are known by their numbers."""

    op: Op  # as it was before it computed anything: its settings
    reads: list[int]
    makes: int


class Recompute(Op):
    """x -> y by some steps that nobody remembers;   dx = that of these steps, computed anew."""

    def __init__(
        self,
        steps: list[_Step],
        reads: list[int],
        known: list[Array],
        hooks: dict[int, dict[int, Hook]],
    ) -> None:
        self.steps, self.reads, self.known, self.hooks = steps, reads, known, hooks

    def forward(self, *arrays: Array) -> Array:
        if self.known:
            return self.known.pop()  # the function has run already
        with no_grad():
            return self._replayed([Tensor(array) for array in arrays]).data

    def backward(self, dy: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [k for k, x in enumerate(self.inputs) if x.requires_grad]

        def gradients(dy: Tensor, *xs: Tensor) -> list[Tensor]:
            create_graph = is_grad_enabled()
            with enable_grad():
                y = self._replayed(xs)
            return grad(y, [xs[k] for k in wanted], dy, create_graph)

        if is_grad_enabled():
            found = checkpoint(gradients, dy, *self.inputs)
        else:
            found = gradients(dy, *(Tensor(x.data, x.requires_grad) for x in self.inputs))
        dxs: list[Tensor | None] = [None] * len(self.inputs)
        for k, dx in zip(wanted, found, strict=True):
            dxs[k] = dx
        return tuple(dxs)

    def _replayed(self, inputs: Any) -> Tensor:
        """The output, computed by new ops of the same settings."""
        tensors = dict(zip(self.reads, inputs, strict=True))
        for op, reads, makes in self.steps:
            tensors[makes] = copy.copy(op)(*(tensors[k] for k in reads))
            tensors[makes].hooks = self.hooks.get(makes)
        return tensors[self.steps[-1].makes]


class _Tape(Watcher):
    """Notes what a function does: its ops, and the tensors that they read from outside."""

    def __init__(self) -> None:
        self.outside: list[Tensor] = []
        self._steps: dict[int, _Step] = {}  # by the number of the tensor that a step makes
        self._numbers: weakref.WeakKeyDictionary[Tensor, int] = weakref.WeakKeyDictionary()
        self._stand_ins: dict[Tensor, Tensor] = {}  # what the function got, and for what
        self._before: list[Op] = []  # ops under way, as they were before

    def run(self, f: Callable[..., Any], xs: Any, keywords: dict[str, Any]) -> Any:
        """What f returns, while the tape runs."""
        with watch(self):
            return f(*map(self._given, xs), **keywords)

    def _given(self, x: Any) -> Any:
        """What the function gets for x: a tensor of the same numbers that has no history."""
        if not isinstance(x, Tensor) or x.op is None:
            return x
        stand_in = Tensor(x.data, x.requires_grad)
        stand_in.logits = x.logits
        x.hooks = stand_in.hooks = x.hooks or {}  # one dict: the function may register some on x
        self._stand_ins[stand_in] = x
        return stand_in

    def before_forward(self, op: Op, inputs: tuple[Tensor, ...]) -> None:
        self._before.append(copy.copy(op))

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        reads = [self._number(x) for x in inputs]
        makes = self._numbers[output] = -1 - len(self._steps)
        self._steps[makes] = _Step(self._before.pop(), reads, makes)

    def _number(self, x: Tensor) -> int:
        """From 0 up for tensors from outside, from -1 down for results."""
        if x not in self._numbers:
            self._numbers[x] = len(self.outside)
            self.outside.append(self.original(x))
        return self._numbers[x]

    def original(self, x: Tensor) -> Tensor:
        """What x stands for; usually itself."""
        return self._stand_ins.get(x, x)

    def is_from_outside(self, x: Tensor) -> bool:
        """Whether no op of the function has made x."""
        return self._numbers.get(x, 0) >= 0

    def steps_to(self, output: Tensor) -> list[_Step]:
        """The steps without which this result cannot be computed, in order."""
        needed = {self._numbers[output]}
        steps = []
        for step in reversed(self._steps.values()):
            if step.makes in needed:
                needed.update(step.reads)
                steps.append(step)
        return steps[::-1]

    def hooks(self) -> dict[int, dict[int, Hook]]:
        """The hooks that the function has registered on its results, by their numbers."""
        return {k: x.hooks for x, k in self._numbers.items() if k < 0 and x.hooks}

    def check_that_nothing_is_kept(self) -> None:
        """Raise an error if a result lives on, though nobody returned it."""
        if any(number < 0 and x.requires_grad for x, number in self._numbers.items()):
            raise RuntimeError(
                "checkpoint: the function keeps a tensor that it computed, in add_loss, an "
                "activity_regularizer or an attribute, and the gradient by way of it would be "
                "lost. Let it return the tensor, or keep tensor.detach()."
            )
