"""MC042: layers that learn nothing, because all their gradients are zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.anomaly import running_layer
from minicnn.autograd import Op, Tensor, Watcher, no_grad, watch
from minicnn.layers import Layer
from minicnn.layers.nesting import parts_of
from minicnn.models.batches import Batch
from minicnn.models.progress import ProgbarLogger
from minicnn.notices import warn_once
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.loop import Loop

STEPS = 10


class ZeroGradients:
    """Counts, in the first steps of a fit, how often all gradients of a layer are zero.

    Args:
        loop: the loop of the fit.
        variables: the weights that it trains.
    """

    def __init__(self, loop: Loop, variables: list[Variable]) -> None:
        self._loop = loop
        self._variables = variables
        self._steps = 0
        self._alive: set[Variable] = set()  # those that have had a gradient

    @property
    def is_looking(self) -> bool:
        """Whether the first steps are not over."""
        return self._steps < STEPS

    def look(self, gradients: list[Tensor], batch: Batch) -> None:
        """Take a step into account, and speak after the last one."""
        self._steps += 1
        for variable, gradient in zip(self._variables, gradients, strict=True):
            if variable not in self._alive and gradient.data.any():
                self._alive.add(variable)
        if self._steps == STEPS and len(self._alive) < len(self._variables):
            self._speak(batch)

    def _speak(self, batch: Batch) -> None:
        trained = set(self._variables)
        dead = [
            layer
            for layer in _all_layers(self._loop.model)
            if trained & set(layer.own_weights) and not self._alive & set(layer.own_weights)
        ]
        if not dead:
            return
        names = ", ".join(repr(layer.name) for layer in dead)
        for callback in self._loop.callbacks.callbacks:
            if isinstance(callback, ProgbarLogger):
                callback.leave()
        warn_once(
            self._loop.model,
            "fit",
            "MC042",
            f"{names} got zero gradients in {STEPS} of {STEPS} steps, so nothing is learned there: "
            f"{self._cause(dead, batch)}",
        )

    def _cause(self, dead: list[Layer], batch: Batch) -> str:
        outputs = _Outputs()
        with no_grad(), watch(outputs):
            self._loop.model(batch.x)
        silent = [name for name, share in outputs.zeros.items() if share == 1]
        if silent:
            return (
                f"all outputs of {silent[0]!r} are 0 for this batch. Behind a ReLU, that is for "
                f"good: lower the learning rate, scale the inputs, or use 'leaky_relu'; and see "
                f"that no kernel is all zeros."
            )
        if any(not np.any(w.numpy()) for layer in dead for w in layer.own_weights if w.ndim > 1):
            return "a kernel is all zeros. Use another initializer, as 'glorot_uniform'."
        return "the loss does not depend on them. Is their output used?"


class _Outputs(Watcher):
    """The share of zeros in the output of each layer that has weights, by its name."""

    def __init__(self) -> None:
        self.zeros: dict[str, float] = {}

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layer = running_layer()
        if layer is not None and layer.own_weights:
            data: Any = output.data
            self.zeros[layer.name] = float((data == 0).mean())


def _all_layers(layer: Layer) -> list[Layer]:
    """The layer, its parts, and their parts, each once."""
    found = {layer: None}
    for part in parts_of(layer):
        found.update(dict.fromkeys(_all_layers(part)))
    return list(found)
