"""What compile was told to minimize and to measure, kept up over an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicnn import losses, metrics
from minicnn.autograd import Tensor, no_grad
from minicnn.backend import Array, floatx
from minicnn.layers.names import numbered
from minicnn.layers.shapes import Shape, flat_shapes
from minicnn.layers.structure import is_nested
from minicnn.metrics import Metric
from minicnn.models.batches import Batch


class LossMean(Metric):
    """The mean of the losses of batches, each counted as often as the batch has samples.

    Args:
        name: under which it is reported.
    """

    def __init__(self, name: str = "loss") -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        """Begin anew."""
        self._sum, self._samples = 0.0, 0

    def update_state(self, values: Any, sample_weight: int = 1) -> None:  # type: ignore[override]
        """Take the loss of a batch into account, which counts `sample_weight` times."""
        self._sum += float(values) * sample_weight
        self._samples += sample_weight

    def result(self) -> float:
        """The mean so far."""
        return self._sum / max(self._samples, 1)


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
        self.loss_weight = _single_weight(loss_weight)
        self._plain = _listed("metrics", plain)
        self._weighted = _listed("weighted_metrics", weighted)
        given = [*self._plain, *self._weighted]
        self.metrics = [metrics.get("accuracy" if x == "acc" else x) for x in given]
        self.loss_mean = LossMean()
        self.part_losses: list[Tensor] = []  # of the last batch; one output has no parts
        self._rename(given)
        self._chosen = False
        self.kind_of_labels: Any = None  # of the last batch that was checked on its own
        self.reset()

    def _rename(self, given: Sequence[Any]) -> None:
        """Report a metric under the name that was typed, and a second one under name_1."""
        names: list[str] = []
        typed: list[str] = []
        for k, (metric, identifier) in enumerate(zip(self.metrics, given, strict=True)):
            name = identifier if isinstance(identifier, str) else metric.name
            if k >= len(self._plain) and name in typed[: len(self._plain)]:
                name = f"weighted_{name}"
            names.append(numbered(name, typed.count(name)))
            typed.append(name)
        self.names = ["loss", *names]

    def choose(self, labels: Any, outputs: Any) -> None:
        """Choose the accuracy that fits these labels, and outputs of this shape."""
        if self._chosen:
            return
        shape, outputs = sole(labels).shape, sole_shape(outputs)
        given = [*self._plain, *self._weighted]
        for k, identifier in enumerate(given):
            if isinstance(identifier, str):
                self.metrics[k] = metrics.for_output(identifier, shape, _known(outputs))
                self.metrics[k].name = self.names[k + 1]
        self._chosen = True

    def forget_choice(self) -> None:
        """Choose again, because the model has changed."""
        self._chosen, self.kind_of_labels = False, None

    def reset(self) -> None:
        """Begin a new epoch."""
        for metric in self.trackers:
            metric.reset_state()

    @property
    def losses(self) -> list[losses.Loss]:
        """The loss, if there is one."""
        return [] if self.loss is None else [self.loss]

    @property
    def trackers(self) -> list[Metric]:
        """Everything that keeps a mean, in the order of `names`."""
        return [self.loss_mean, *self.metrics]

    def of_batch(self, batch: Batch, y_pred: Any, penalties: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, with what regularization adds to it."""
        assert self.loss is not None
        loss = self.loss(sole(batch.y), sole(y_pred), sole(batch.weight))
        if self.loss_weight is not None:
            loss = loss * self.loss_weight
        for penalty in penalties:
            loss = loss + penalty
        return loss

    def update(self, loss: float, batch: Batch, outputs: Any) -> None:
        """Take a batch into account."""
        self.loss_mean.update_state(loss, batch.rows)
        self.update_metrics(batch, outputs)

    def update_metrics(self, batch: Batch, outputs: Any) -> None:
        """Take a batch into account in the metrics, but not in the mean of the loss."""
        labels, outputs = sole(batch.y), sole(outputs)
        for k, metric in enumerate(self.metrics):
            weight = sole(batch.weight) if k >= len(self._plain) else None
            metric.update_state(labels, outputs, sample_weight=weight)

    def results(self) -> dict[str, Any]:
        """The means so far, sorted by name."""
        return results_of(self.names, self.trackers)

    def check_labels(self, labels: Any, outputs: Any, who: str) -> None:
        """Find labels that the loss cannot take, before the first step.

        The loss itself looks at a few telling rows: the first, that of the smallest number, that
        of the largest, and one that holds no integer.

        Raises:
            ValueError: the loss cannot take them.
        """
        labels, outputs = sole(labels), sole_shape(outputs)
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
            self.loss(labels, Tensor(np.broadcast_to(fair, (len(labels), *sizes)), device="cpu"))


def results_of(names: Sequence[str], trackers: Sequence[Metric]) -> dict[str, Any]:
    """The means so far, sorted by name; a metric may have several, or an array of them."""
    found: dict[str, Any] = {}
    for name, metric in zip(names, trackers, strict=True):
        value = metric.result()
        if not isinstance(value, dict):
            value = {name: float(value) if np.ndim(value) == 0 else np.asarray(value)}
        found |= value
    return dict(sorted(found.items()))


def sole(value: Any) -> Any:
    """The only leaf, where a model of one output has it in a list or dict; else the value itself.

    >>> sole({"scores": 3}), sole(3)
    (3, 3)
    """
    if is_nested(value) and len(value) == 1:
        return sole(next(iter(value.values())) if isinstance(value, dict) else value[0])
    return value


def sole_shape(shapes: Any) -> Shape:
    """The only shape of a structure of shapes."""
    return flat_shapes(shapes)[0]


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
    loss = sole(loss)
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
