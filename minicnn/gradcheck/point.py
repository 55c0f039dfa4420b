"""A function at one point: what it makes of its inputs there, and what gradients it claims."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minicnn import random
from minicnn.autograd import Tensor, grad
from minicnn.backend import Array

Function = Callable[..., Any]


def random_signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of both signs and different sizes, none of them near 0."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


class Run:
    """One run of a function: the tensors that went in, and those that came out."""

    def __init__(self, leaves: list[Tensor], outputs: list[Tensor]) -> None:
        self.leaves, self.outputs = leaves, outputs

    def values(self) -> Array:
        """All outputs as one vector."""
        return flat([y.data for y in self.outputs])

    def gradients(self, upstream: Sequence[Array]) -> list[Array]:
        """What the backwards make of `upstream`, one array for each output."""
        totals = [np.zeros(x.shape) for x in self.leaves]
        for y, g in zip(self.outputs, upstream, strict=True):
            if y.requires_grad:
                for total, dx in zip(totals, grad(y, self.leaves, Tensor(g)), strict=True):
                    total += dx.data
        return totals


class Point:
    """A function together with the inputs that it is looked at with.

    Args:
        function: of as many arguments as there are inputs; makes a tensor or a tuple of tensors.
        inputs: floating point ones become float64 and are given to it as tensors, others as is.
        wrt: numbers or names of the inputs to differentiate by, or one of them; None: all floating
            point ones.
        names: what the inputs are called; None: as the function calls them.
        patterns: inputs that must be more than a tensor, as weights with a regularizer: copies of
            these, with other numbers, are given to the function.

    Raises:
        ValueError: wrt names an input that does not exist, or one that has no gradient; or there is
            not one name for each input.
    """

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Any],
        wrt: int | str | Sequence[int | str] | None = None,
        names: Sequence[str] | None = None,
        patterns: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.function = function
        self.patterns = patterns or {}
        self.inputs = [_as_float64(x) for x in inputs]
        self.names = self._names(names)
        self.wrt = self._numbers(wrt)
        self._random_state = random.state()

    def _names(self, names: Sequence[str] | None) -> list[str]:
        if names is None:
            return _names(self.function, len(self.inputs))
        if len(names) != len(self.inputs):
            raise ValueError(
                f"gradcheck: got {len(names)} names for {len(self.inputs)} inputs: {list(names)}. "
                f"Give one for each, or None."
            )
        return list(names)

    def _numbers(self, wrt: int | str | Sequence[int | str] | None) -> list[int]:
        floating = [i for i, x in enumerate(self.inputs) if _is_floating(x)]
        if wrt is None:
            return floating
        named = {name: i for i, name in enumerate(self.names)}
        negative = {i - len(self.inputs): i for i in range(len(self.inputs))}
        wanted = [wrt] if isinstance(wrt, int | str) else wrt
        numbers = [(named | negative).get(k, k) for k in wanted]
        for number in numbers:
            if number not in floating:
                raise ValueError(
                    f"gradcheck: wrt has {number!r}, but the inputs with a gradient are "
                    f"{', '.join(f'{i} ({self.names[i]})' for i in floating) or 'none'}."
                )
        return list(dict.fromkeys(numbers))  # type: ignore[arg-type]

    def array(self, i: int) -> Array:
        """Input number i."""
        array: Array = self.inputs[i]
        return array

    def run(self, changed: Mapping[int, Array] | None = None, uses: int = 1) -> Run:
        """Let the function run, with some of its inputs changed; always with the same seed.

        Args:
            changed: arrays to put in the place of inputs.
            uses: how often the same tensors go through the function; each time adds its outputs.
        """
        leaves = {i: self._leaf(i, (changed or {}).get(i, self.inputs[i])) for i in self.wrt}
        given = [
            leaves[i] if i in leaves else Tensor(x) if _is_floating(x) else x
            for i, x in enumerate(self.inputs)
        ]
        outputs = [y for _ in range(uses) for y in self._outputs(given)]
        return Run(list(leaves.values()), outputs)

    def _leaf(self, i: int, array: Array) -> Tensor:
        leaf = copy.copy(self.patterns[i]) if i in self.patterns else Tensor(array)
        leaf.data, leaf.requires_grad = array, True
        return leaf

    def _outputs(self, given: Sequence[Any]) -> list[Tensor]:
        before = random.state()
        random.load_state(self._random_state)
        try:
            return outputs_of(self.function(*given))
        finally:
            random.load_state(before)

    def values(self, changed: Mapping[int, Array] | None = None) -> Array:
        """All outputs as one vector; see run."""
        return self.run(changed).values()


def outputs_of(result: Any) -> list[Tensor]:
    """The tensors that a function has returned; other things beside them do not count.

    Raises:
        TypeError: there is none.
    """
    found = result if isinstance(result, tuple | list) else [result]
    tensors = [y for y in found if isinstance(y, Tensor) and y.dtype.kind == "f"]
    if not tensors:
        raise TypeError(
            f"gradcheck: the function must return a tensor or a tuple of tensors, but it returned "
            f"{type(result).__name__}."
        )
    return tensors


def flat(arrays: Sequence[Array]) -> Array:
    """All numbers of some arrays as one vector of float64."""
    return np.concatenate([np.ravel(a).astype(np.float64) for a in arrays])


def _is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def _as_float64(x: Any) -> Any:
    if isinstance(x, Tensor) and x.dtype.kind == "f":
        x = x.numpy()
    if isinstance(x, float) or (isinstance(x, list | np.ndarray | np.floating)):
        array = np.asarray(x)
        return array.astype(np.float64) if array.dtype.kind == "f" else x
    return x


def _names(function: Function, count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # built in functions do not tell
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in plain][:count]
    return names + [f"input {i}" for i in range(len(names), count)]
