"""What all losses share: sample weights, and the reduction to a single number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import snake_case
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.pairing import fitting_weights, numbers, outputs
from minicnn.suggest import did_you_mean

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", "mean_with_sample_weight")
MEANS = ("sum_over_batch_size", "mean")

Function = Callable[[Any, Any], Tensor]


class Loss:
    """What all losses share: sample weights and the reduction to a single number.

        loss = (sum over n of weight[n] * l[n]) / N

    A subclass writes `call`, which gives l: one number per row.

    Args:
        name: by default the class name in snake case.
        reduction: "sum_over_batch_size" or "mean", the formula above; "mean_with_sample_weight",
            divided by the sum of the weights instead of N; "sum", without N; "none" or None, all
            weight[n] * l[n].

    Raises:
        ValueError: the reduction is none of these.

    >>> from minicnn.losses import MeanSquaredError
    >>> MeanSquaredError()([[1.0], [2.0]], Tensor([[1.0], [5.0]]), sample_weight=[1.0, 2.0])
    Tensor(9.0)
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size"
    ) -> None:
        kind = type(self).__name__
        reduction = "none" if reduction is None else reduction
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{kind}: reduction must be one of {', '.join(REDUCTIONS)}, but is {reduction!r}."
                f"{did_you_mean(str(reduction), REDUCTIONS)}"
            )
        self.name = name or snake_case(kind)
        self.reduction = reduction

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        """The loss of each row, (N,)."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(y_true, y_pred).")

    def counted(self, y_true: Array) -> Array | None:
        """Which of the losses count, as truth values of their shape; None if all of them do."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            y_true: labels.
            y_pred: outputs.
            sample_weight: one weight per row, (N,), or None.

        Returns:
            A single number, or one per row if the reduction is "none".
        """
        labels = numbers(self.name, y_true)
        losses = self.call(labels, outputs(self.name, y_pred))
        weights = self._weights(self.counted(labels), sample_weight, losses.shape)
        if weights is not None:
            losses = losses * weights.astype(losses.dtype)
        if self.reduction == "none":
            return losses
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            total = float(np.broadcast_to(weights, losses.shape).sum(dtype=np.float64))
            return ops.sum(losses) / total if total else ops.sum(losses) * 0.0
        return ops.sum(losses) if self.reduction == "sum" else ops.mean(losses)

    def _weights(
        self, counted: Array | None, sample_weight: Any, shape: tuple[int, ...]
    ) -> Array | None:
        """The factor of each loss; those that do not count are left out of a mean, too."""
        if sample_weight is not None:
            sample_weight = fitting_weights(self.name, sample_weight, shape)
        if counted is None:
            return sample_weight
        counted = counted.reshape(shape).astype(np.float64)
        if self.reduction in MEANS and counted.any():
            counted *= counted.size / counted.sum()
        return counted if sample_weight is None else counted * sample_weight

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a loss like this one."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Make a loss from what get_config() has returned."""
        return cls(**config)


class FunctionLoss(Loss):
    """A loss made of a plain function of labels and outputs.

    Args:
        function: gives one number per row, or a single one.
        name: by default the function's.
        reduction: as Loss.

    >>> from minicnn.losses import mean_absolute_error
    >>> FunctionLoss(mean_absolute_error)([[1.0]], Tensor([[3.0]]))
    Tensor(2.0)
    """

    def __init__(
        self,
        function: Function,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(name or getattr(function, "__name__", None), reduction)
        self.function = function

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)
