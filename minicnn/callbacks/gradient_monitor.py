"""GradientMonitor: how large gradients and updates are, and which units are dead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import activations
from minicnn.backend import Array
from minicnn.callbacks.callback import Callback, Logs
from minicnn.layers import Layer, ReLU
from minicnn.layers.arguments import whole_number
from minicnn.layers.nesting import parts_of

if TYPE_CHECKING:
    from minicnn.visualize import Picture


class GradientMonitor(Callback):
    """Measures, at some steps of each epoch, whether the weights learn at a sensible pace.

    It adds to the logs, and so to the History and the printed line, means over these steps of

        gradient_norm   |g|, the norm of all gradients together
        update_ratio    |w' - w| / |w|, how far a step moves the weights; about 0.001 is usual; the
                        mean of one norm divided by the mean of the other, as a bias begins at 0
        dead_units      the share of the units with relu whose output was 0 for all inputs

    `monitor.history` has the first two for each weight on its own, as lists of one number per
    epoch: monitor.history["dense/kernel"]["update_ratio"]. And for each layer with relu the share
    of its units that are dead: monitor.history["conv2d"]["dead_units"].

    Args:
        every: measures at every so manyth step, beginning with the first of an epoch. The steps
            compute the same, but take longer.

    Raises:
        ValueError: every is not above 0.

    >>> from minicnn import Sequential, layers
    >>> model = Sequential([layers.Input((3,)), layers.Dense(1, name="last")], name="net")
    >>> model.compile("sgd", "mse")
    >>> monitor = GradientMonitor()
    >>> history = model.fit(
    ...     np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0, callbacks=[monitor]
    ... )
    >>> sorted(history.history), len(monitor.history["net/last/kernel"]["update_ratio"])
    (['gradient_norm', 'loss', 'update_ratio'], 2)
    """

    adds_to_logs = ("gradient_norm", "update_ratio", "dead_units")

    def __init__(self, every: int = 10) -> None:
        super().__init__()
        self.every = whole_number("GradientMonitor", "every", every)
        self.history: dict[str, dict[str, list[float]]] = {}
        self._sums: dict[
            str, Array
        ] = {}  # of three norms, over the steps of an epoch; "": of all weights
        self._steps = 0
        self._alive: dict[Layer, Array] = {}  # which units of a layer have answered at all
        self._hooks: list[Any] = []

    def state(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state(self, state: dict[str, Any]) -> None:
        self.history = state["history"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._sums, self._steps, self._alive = {}, 0, {}

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if batch % self.every or self.model.optimizer is None:
            return
        for layer in _layers_with_relu(self.model):
            self._hooks.append(layer.register_forward_hook(self._note_units))
        vars(self.model.optimizer)["apply"] = self._apply_and_measure

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        vars(self.model.optimizer).pop("apply", None)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found: dict[tuple[str, str], float] = {}
        for name, (gradient, change, weight) in self._sums.items():
            found[name, "gradient_norm"] = gradient / self._steps
            found[name, "update_ratio"] = change / weight if weight else 0.0
        for layer, alive in self._alive.items():
            found[layer.name, "dead_units"] = 1 - float(alive.mean())
        for (name, what), value in found.items():
            if name:
                self.history.setdefault(name, {}).setdefault(what, []).append(value)
            elif logs is not None:
                logs[what] = value
        if self._alive and logs is not None:
            logs["dead_units"] = 1 - float(np.concatenate(list(self._alive.values())).mean())

    def plot(self, path: Any = None) -> Picture:
        """Draw gradient norms and update ratios of all weights over the epochs.

        Args:
            path: where to save a PNG.

        Returns:
            The picture.

        Raises:
            ValueError: no epoch was completed.
            OSError: the file cannot be written.
        """
        from minicnn.visualize.monitored import monitored  # here, as fit needs no pictures

        return monitored(self.history, path)

    def _apply_and_measure(self, gradients: Any, variables: Any) -> None:
        """What takes the place of the optimizer's apply during a step that is measured."""
        optimizer = self.model.optimizer
        del vars(optimizer)["apply"]
        before = [variable.numpy() for variable in variables]
        optimizer.apply(gradients, variables)
        self._steps += 1
        scale = optimizer.loss_scale_factor or 1.0  # by which the loss was multiplied before
        gradients = [np.asarray(gradient) / scale for gradient in gradients]
        changes = [v.numpy() - old for v, old in zip(variables, before, strict=True)]
        self._note("", gradients, changes, before)
        for v, g, change, old in zip(variables, gradients, changes, before, strict=True):
            self._note(v.path, [g], [change], [old])

    def _note(self, name: str, *groups: list[Array]) -> None:
        """Add the norms of gradients, changes and weights to the sums of this name."""
        self._sums[name] = self._sums.get(name, np.zeros(3)) + [_norm(group) for group in groups]

    def _note_units(self, layer: Layer, inputs: tuple[Any, ...], output: Any) -> None:
        answers = output.numpy()
        alive = (answers > 0).any(axis=tuple(range(answers.ndim - 1)))
        self._alive[layer] = self._alive.get(layer, False) | alive


def _norm(arrays: list[Array]) -> float:
    return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays))


def _layers_with_relu(layer: Layer) -> Iterator[Layer]:
    for part in parts_of(layer):
        relu = getattr(part, "activation", None) is activations.relu
        if relu or type(part) is ReLU:
            yield part
        yield from _layers_with_relu(part)
