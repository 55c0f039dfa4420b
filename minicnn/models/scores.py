"""What compile was told to minimize and to measure, kept up over an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicnn import losses, metrics
from minicnn.autograd import Tensor, no_grad
from minicnn.backend import Array, floatx
from minicnn.layers.names import numbered
from minicnn.layers.shapes import Shape
from minicnn.metrics import Metric
from minicnn.models.batches import Batch


class Scores:
    """A loss and metrics, and their means over the batches so far.

    Args:
        loss: as for losses.get().
        loss_weight: a number that the loss is multiplied by, or None.
        plain: metrics, for which sample weights do not count.
        weighted: metrics, for which they do.

    Raises:
        ValueError: a name is unknown, or metrics are no list.
        TypeError: something is of the wrong kind.
    """

    def __init__(
        self, loss: Any = None, loss_weight: Any = None, plain: Any = None, weighted: Any = None
    ) -> None:
        self.loss = _single_loss(loss)
        self._loss_weight = _single_weight(loss_weight)
        self._plain = _listed("metrics", plain)
        self._weighted = _listed("weighted_metrics", weighted)
        given = [*self._plain, *self._weighted]
        self.metrics = [metrics.get("accuracy" if x == "acc" else x) for x in given]
        self._rename(given)
        self._chosen = False
        self.reset()

    def _rename(self, given: Sequence[Any]) -> None:
        """Report a metric under the name that was typed, and a second one under name_1."""
        names: list[str] = []
        for metric, identifier in zip(self.metrics, given, strict=True):
            name = identifier if isinstance(identifier, str) else metric.name
            names.append(numbered(name, sum(known == name for known in names)))
        self.names = ["loss", *names]

    def choose(self, labels: tuple[int, ...], outputs: Shape) -> None:
        """Choose the accuracy that fits labels and outputs of these shapes."""
        if self._chosen:
            return
        given = [*self._plain, *self._weighted]
        for k, identifier in enumerate(given):
            if isinstance(identifier, str):
                self.metrics[k] = metrics.for_output(identifier, labels, _known(outputs))
                self.metrics[k].name = self.names[k + 1]
        self._chosen = True

    def forget_choice(self) -> None:
        """Choose again, because the model has changed."""
        self._chosen = False

    def reset(self) -> None:
        """Begin a new epoch."""
        self._loss_sum, self._samples = 0.0, 0
        for metric in self.metrics:
            metric.reset_state()

    def of_batch(self, batch: Batch, y_pred: Tensor, penalties: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, with what regularization adds to it."""
        assert self.loss is not None
        loss = self.loss(batch.y, y_pred, batch.weight)
        if self._loss_weight is not None:
            loss = loss * self._loss_weight
        for penalty in penalties:
            loss = loss + penalty
        return loss

    def update(self, loss: float, batch: Batch, outputs: Array) -> None:
        """Take a batch into account."""
        self._loss_sum += loss * len(batch.x)
        self._samples += len(batch.x)
        for k, metric in enumerate(self.metrics):
            weight = batch.weight if k >= len(self._plain) else None
            metric.update_state(batch.y, outputs, sample_weight=weight)

    def results(self) -> dict[str, Any]:
        """The means so far, sorted by name."""
        found: dict[str, Any] = {"loss": self._loss_sum / max(self._samples, 1)}
        for name, metric in zip(self.names[1:], self.metrics, strict=True):
            value = metric.result()
            found |= value if isinstance(value, dict) else {name: _plain(value)}
        return dict(sorted(found.items()))

    def state(self) -> dict[str, Any]:
        """The sums so far; see load_state."""
        metrics = [metric.state() for metric in self.metrics]
        return {"loss": self._loss_sum, "samples": self._samples, "metrics": metrics}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what state() has returned."""
        self._loss_sum, self._samples = state["loss"], state["samples"]
        for metric, saved in zip(self.metrics, state["metrics"], strict=True):
            metric.load_state(saved)

    def check_labels(self, labels: Array, outputs: Shape, who: str) -> None:
        """Find labels that the loss cannot take, before the first step.

        The loss itself looks at a few telling rows: the first, that of the smallest number, that
        of the largest, and one that holds no integer.

        Raises:
            ValueError: the loss cannot take them.
        """
        if self.loss is None or not type(self.loss).__module__.startswith(losses.__name__):
            return  # a loss of the user's own might mind to be called for a test
        if isinstance(self.loss, losses.FunctionLoss) or None in outputs[1:]:
            return
        if len(outputs) > max(labels.ndim, 1) + 1:
            raise ValueError(
                f"{who} [MC003]: the output of the model has {len(outputs)} axes, {outputs}, but "
                f"the labels have only {labels.ndim}, {labels.shape}. Is a Flatten() or "
                f"GlobalAveragePooling2D() missing before the last layers?"
            )
        telling = labels[_telling_rows(labels)]
        if not self._takes(telling, outputs):
            self._try(labels, outputs)  # fails as well, and its message names the whole shape
            self._try(telling, outputs)

    def _takes(self, labels: Array, outputs: Shape) -> bool:
        try:
            self._try(labels, outputs)
        except ValueError:
            return False
        return True

    def _try(self, labels: Array, outputs: Shape) -> None:
        """Call the loss with these labels and the outputs of a model that knows nothing."""
        assert self.loss is not None
        sizes = _known(outputs)[1:]
        fair = np.full(sizes, 1 / sizes[-1], floatx())  # passes for probabilities and for logits
        with no_grad():
            self.loss(labels, Tensor(np.broadcast_to(fair, (len(labels), *sizes))))


def _plain(value: Any) -> Any:
    """A single number as a float, and several as an array."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _known(shape: Shape) -> tuple[int, ...]:
    """The shape with 0 in the place of each None."""
    return tuple(size or 0 for size in shape)


def _telling_rows(labels: Array) -> list[int]:
    numbers = labels.reshape(len(labels), -1)
    smallest = int(numbers.argmin()) // numbers.shape[1]
    largest = int(numbers.argmax()) // numbers.shape[1]
    odd = 0
    if numbers.dtype.kind == "f" and numbers.shape[1] == 1:
        odd = int((numbers[:, 0] != np.floor(numbers[:, 0])).argmax())
    return sorted({0, smallest, largest, odd})


def _single_loss(loss: Any) -> losses.Loss | None:
    if isinstance(loss, list | tuple) and len(loss) == 1:
        loss = loss[0]
    function = losses.get(loss)
    if function is not None and function.reduction == "none":
        raise ValueError(
            f"compile: the loss {function.name!r} has reduction='none', but a single number is "
            f"minimized. Use 'sum_over_batch_size' or 'sum'."
        )
    return function


def _single_weight(weight: Any) -> float | None:
    if isinstance(weight, list | tuple) and len(weight) == 1:
        weight = weight[0]
    if weight is None or (isinstance(weight, int | float) and not isinstance(weight, bool)):
        return weight
    raise TypeError(
        f"compile: loss_weights must be a number, because the model has one output, but is "
        f"{weight!r}."
    )


def _listed(name: str, given: Any) -> list[Any]:
    """Metrics as one flat list: a list, or a dict of lists by the names of outputs."""
    if given is None:
        return []
    if isinstance(given, str | Metric) or not isinstance(given, list | tuple | Mapping):
        raise ValueError(f"compile: {name} must be a list, as [{given!r}], but is {given!r}.")
    found: list[Any] = []
    for entry in given.values() if isinstance(given, Mapping) else given:
        found += entry if isinstance(entry, list | tuple) else [entry]
    return found
