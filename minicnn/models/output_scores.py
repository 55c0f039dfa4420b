"""Scores of models with several outputs: a loss, a weight and metrics for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minicnn.autograd import Tensor
from minicnn.layers.shapes import flat_shapes
from minicnn.layers.structure import are_alike, is_nested, leaves
from minicnn.losses import Loss
from minicnn.metrics import Metric
from minicnn.models.batches import Batch
from minicnn.models.scores import LossMean, Scores, results_of
from minicnn.suggest import did_you_mean


class OutputScores:
    """What Scores is for one output, for several: the loss is the weighted sum of their losses.

    Reported are the whole loss, the loss of each output without its weight, "a_loss", and the
    metrics of each, "a_accuracy".

    Args:
        names: of the outputs; the keys, if they come in a dict.
        structure: the form in which the model gives them, with anything for leaves.
        loss: one for all, or a list or dict of them; None for an output that is not trained on.
        loss_weights: numbers that the losses are multiplied by, in a list or dict.
        plain: metrics for which sample weights do not count, in a list with an entry for each
            output, or in a dict.
        weighted: the same, for which they do.

    Raises:
        ValueError: names are unknown, or numbers of things do not fit to the number of outputs.
        TypeError: something is of the wrong kind.
    """

    def __init__(
        self,
        names: Sequence[str],
        structure: Any,
        loss: Any = None,
        loss_weights: Any = None,
        plain: Any = None,
        weighted: Any = None,
    ) -> None:
        self.output_names = list(names)
        self._structure = structure
        losses = self._by_output("loss", loss) if _has_one_for_each(loss) else [loss] * len(names)
        weights = self._weights(loss_weights)
        plains, weighteds = (
            self._by_output(name, given) if given else [None] * len(names)
            for name, given in {"metrics": plain, "weighted_metrics": weighted}.items()
        )
        given = zip(losses, weights, map(_as_list, plains), map(_as_list, weighteds), strict=True)
        self.parts = [Scores(one, None, metrics, more) for one, _, metrics, more in given]
        self._weight_of = dict(zip(self.parts, weights, strict=True))
        self.loss_mean = LossMean()
        self.part_losses: list[Tensor] = []  # of the last batch
        self.loss = [part.loss for part in self.parts] if self._trained else None
        self.kind_of_labels: Any = None  # of the last batch that was checked on its own

    @property
    def _trained(self) -> list[Scores]:
        return [part for part in self.parts if part.loss is not None]

    def _by_output(self, what: str, given: Any) -> list[Any]:
        """The entries of a list or dict, in the order of the outputs."""
        if isinstance(given, dict):
            for name in given:
                if name not in self.output_names:
                    hint = did_you_mean(str(name), self.output_names)
                    raise ValueError(
                        f"compile: {what} has an entry {name!r}, but the outputs are "
                        f"{', '.join(self.output_names)}.{hint}"
                    )
            missing = [name for name in self.output_names if name not in given]
            if missing and what == "loss" and not isinstance(self._structure, dict):
                raise ValueError(
                    f"compile: loss has no entry for the output {missing[0]!r}. Say None if it is "
                    f"not to be trained on."
                )
            return [given.get(name) for name in self.output_names]
        if isinstance(given, list | tuple) and len(given) == len(self.output_names):
            return list(given)
        raise ValueError(
            f"compile: {what} must have an entry for each of the {len(self.output_names)} outputs, "
            f"{', '.join(self.output_names)}, in a list or dict, but is {given!r}."
        )

    def _weights(self, given: Any) -> list[float | None]:
        if given is None:
            return [None] * len(self.output_names)
        weights = self._by_output("loss_weights", given)
        for weight in weights:
            if not isinstance(weight, int | float | None) or isinstance(weight, bool):
                raise TypeError(f"compile: loss_weights must be numbers, but has {weight!r}.")
        return weights

    @property
    def names(self) -> list[str]:
        """What is reported: the loss, that of each output, then the metrics of each output."""
        named = list(zip(self.output_names, self.parts, strict=True))
        losses = [f"{name}_loss" for name, part in named if part in self._reported_losses]
        return ["loss", *losses, *(f"{name}_{x}" for name, part in named for x in part.names[1:])]

    @property
    def _reported_losses(self) -> list[Scores]:
        return self._trained if len(self._trained) > 1 else []

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of all outputs."""
        return [metric for part in self.parts for metric in part.metrics]

    @property
    def losses(self) -> list[Loss]:
        """The losses of the outputs that have one."""
        return [loss for part in self.parts for loss in part.losses]

    @property
    def trackers(self) -> list[Metric]:
        """Everything that keeps a mean, in the order of `names`."""
        losses = [part.loss_mean for part in self._reported_losses]
        return [self.loss_mean, *losses, *self.metrics]

    def choose(self, labels: Any, outputs: Any) -> None:
        """Choose the accuracies that fit these labels, and outputs of these shapes."""
        shapes = flat_shapes(outputs)
        for part, y, shape in zip(self.parts, self._spread(labels), shapes, strict=True):
            if y is not None:
                part.choose(y, shape)

    def check_labels(self, labels: Any, outputs: Any, who: str) -> None:
        """Find labels that a loss cannot take, before the first step.

        Raises:
            ValueError: the loss cannot take them.
        """
        shapes = flat_shapes(outputs)
        found = zip(self.output_names, self.parts, self._spread(labels), shapes, strict=True)
        for name, part, y, shape in found:
            if y is not None:
                part.check_labels(y, shape, f"{who}, output {name!r}")

    def forget_choice(self) -> None:
        """Choose again, because the model has changed."""
        self.kind_of_labels = None
        for part in self.parts:
            part.forget_choice()

    def reset(self) -> None:
        """Begin a new epoch."""
        self.loss_mean.reset_state()
        for part in self.parts:
            part.reset()

    def of_batch(self, batch: Batch, y_pred: Any, penalties: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, with what regularization adds to it."""
        total: Tensor | None = None
        self.part_losses = []
        for part, alone, output in zip(self.parts, self._alone(batch), leaves(y_pred), strict=True):
            if part.loss is None:
                continue
            loss = part.of_batch(alone, output, ())
            self.part_losses.append(loss.detach())
            weight = self._weight_of[part]
            loss = loss if weight is None else loss * weight
            total = loss if total is None else total + loss
        assert total is not None
        for penalty in penalties:
            total = total + penalty
        return total

    def update(self, loss: float, batch: Batch, outputs: Any) -> None:
        """Take a batch into account, of which of_batch has just computed the loss."""
        self.loss_mean.update_state(loss, batch.rows)
        for part, value in zip(self._trained, self.part_losses, strict=True):
            part.loss_mean.update_state(value, batch.rows)
        self.update_metrics(batch, outputs)

    def update_metrics(self, batch: Batch, outputs: Any) -> None:
        """Take a batch into account in the metrics, but not in the means of the losses."""
        found = zip(self.parts, self._alone(batch), leaves(outputs), strict=True)
        for part, alone, output in found:
            part.update_metrics(alone, output)

    def results(self) -> dict[str, Any]:
        """The means so far, sorted by name."""
        return results_of(self.names, self.trackers)

    def _alone(self, batch: Batch) -> list[Batch]:
        """The batch, once for each output, with only its labels and weights."""
        weights = [batch.weight] * len(self.parts)
        if is_nested(batch.weight):
            weights = self._spread(batch.weight)
        labels = self._spread(batch.y)
        return [Batch(batch.x, y, w) for y, w in zip(labels, weights, strict=True)]

    def _spread(self, labels: Any) -> list[Any]:
        """Labels or weights, in the order of the outputs; None where an output has none."""
        if are_alike(labels, self._structure):
            return leaves(labels)
        if isinstance(labels, Mapping) and set(labels) <= set(self.output_names):
            return [labels.get(name) for name in self.output_names]
        found = leaves(labels)
        if len(found) == len(self.parts) and not isinstance(labels, Mapping):
            return found
        if len(found) == len(self._trained):  # none for those that are not trained on
            rest = iter(found)
            return [None if part.loss is None else next(rest) for part in self.parts]
        raise ValueError(
            f"y has labels for {len(found)} outputs, but the model has {len(self.parts)}: "
            f"{', '.join(self.output_names)}. Give them in a list or dict."
        )


def _has_one_for_each(loss: Any) -> bool:
    saved = isinstance(loss, dict) and "class_name" in loss
    return is_nested(loss) and not saved


def _as_list(given: Any) -> Any:
    return given if given is None or isinstance(given, list | tuple) else [given]
