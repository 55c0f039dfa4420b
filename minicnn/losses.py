"""Losses: one number that says how wrong the outputs are. Formulas and defaults are Keras'.

A function, as mean_squared_error, gives one number per row. A class, as MeanSquaredError, holds the
settings and makes a single number of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicnn import ops
from minicnn.arguments import by_name, number, resolve, saved_form, snake_case
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    crossentropy,
    sparse_categorical_crossentropy,
)
from minicnn.pairing import fitting_weights, numbers, outputs, paired
from minicnn.suggest import did_you_mean

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none")

Function = Callable[[Any, Any], Tensor]


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Average the squared differences in each row: mean over k of (y_pred[n,k] - y_true[n,k])^2.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_squared_error([[1.0, 2.0]], Tensor([[1.0, 5.0]]))
    Tensor([4.5])
    """
    truth, y_pred = paired("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_pred - truth), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Average the absolute differences in each row: mean over k of |y_pred[n,k] - y_true[n,k]|.

    Args:
        y_true: the right numbers, (N, K); (N,) also fits outputs of shape (N, 1).
        y_pred: the outputs, (N, K).

    Returns:
        One number per row, (N,).

    Raises:
        ValueError: the shapes differ.

    >>> mean_absolute_error([[1.0, 2.0]], Tensor([[1.0, 5.0]]))
    Tensor([1.5])
    """
    truth, y_pred = paired("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_pred - truth), axis=-1)


class Loss:
    """What all losses share: sample weights and the reduction to a single number.

        loss = (sum over n of weight[n] * l[n]) / N

    A subclass writes `call`, which gives l: one number per row.

    Args:
        name: by default the class name in snake case.
        reduction: "sum_over_batch_size" or "mean", the formula above; "sum", without N; "none" or
            None, all weight[n] * l[n].

    Raises:
        ValueError: the reduction is none of these.

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

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            y_true: labels.
            y_pred: outputs.
            sample_weight: one weight per row, (N,), or None.

        Returns:
            A single number, or one per row if the reduction is "none".
        """
        losses = self.call(numbers(self.name, y_true), outputs(self.name, y_pred))
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, losses.shape)
            losses = losses * weights.astype(losses.dtype)
        if self.reduction == "none":
            return losses
        return ops.sum(losses) if self.reduction == "sum" else ops.mean(losses)

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


class MeanSquaredError(Loss):
    """The mean of (y_pred - y_true)^2; see mean_squared_error.

    >>> MeanSquaredError()([[0.0]], Tensor([[3.0]]))
    Tensor(9.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean of |y_pred - y_true|; see mean_absolute_error.

    >>> MeanAbsoluteError()([[0.0]], Tensor([[3.0]]))
    Tensor(3.0)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return mean_absolute_error(y_true, y_pred)


class SparseCategoricalCrossentropy(Loss):
    """The surprise about the true class, given by its number; see sparse_categorical_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the softmax.
        **common: name and reduction; see Loss.

    >>> SparseCategoricalCrossentropy(from_logits=True)([0], Tensor([[0.0, 0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def __init__(self, from_logits: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.from_logits = from_logits

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"from_logits": self.from_logits}


class _Smoothed(Loss):
    """A loss whose labels can be smoothed."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        kind = type(self).__name__
        if axis != -1:
            raise ValueError(f"{kind}: axis must be -1, the last one, but is {axis!r}.")
        self.from_logits = from_logits
        self.label_smoothing = number(f"{kind}: label_smoothing", label_smoothing, high=1)

    def get_config(self) -> dict[str, Any]:
        own = {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}
        return super().get_config() | own


class CategoricalCrossentropy(_Smoothed):
    """The surprise about the true class, given as one-hot rows; see categorical_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the softmax.
        label_smoothing: from 0 to 1, the part of the certainty that is spread over all classes.
        axis: -1.
        **common: name and reduction; see Loss.

    >>> CategoricalCrossentropy(from_logits=True)([[1.0, 0.0]], Tensor([[0.0, 0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)


class BinaryCrossentropy(_Smoothed):
    """The surprise about yes-or-no answers; see binary_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the sigmoid.
        label_smoothing: from 0 to 1, how far the labels move towards 1/2.
        axis: -1.
        **common: name and reduction; see Loss.

    >>> BinaryCrossentropy(from_logits=True)([[1.0]], Tensor([[0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)


class Crossentropy(Loss):
    """Binary, sparse or categorical crossentropy, whichever fits the shapes; see crossentropy.

    >>> Crossentropy()([0], Tensor([[0.5, 0.5]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return crossentropy(y_true, y_pred)


mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
bce = BCE = binary_crossentropy

LOSSES: dict[str, type[Loss]] = {
    **by_name(MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy),
    **by_name(CategoricalCrossentropy, SparseCategoricalCrossentropy),
    **{name: MeanSquaredError for name in ("mse", "MSE")},
    **{name: MeanAbsoluteError for name in ("mae", "MAE")},
    **{name: BinaryCrossentropy for name in ("bce", "BCE")},
    **{name: Crossentropy for name in ("crossentropy", "ce")},
}


def get(identifier: Any) -> Loss | None:
    """Return the loss that `identifier` stands for; None for None.

    Unlike in Keras, a name gives a Loss too, and not a function.

    Args:
        identifier: a name of a function or class, a loss, a function of labels and outputs, or a
            saved configuration.

    Raises:
        ValueError: no loss has this name.
        TypeError: identifier is none of these.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("sparse_categorical_crossentrpy")
    Traceback (most recent call last):
    ValueError: unknown loss 'sparse_categorical_crossentrpy'. Did you mean 'sparse_categorical_...
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(identifier)
    return resolve("loss", Loss, LOSSES, identifier)


def serialize(loss: Loss | None) -> Any:
    """Describe a loss as it stands in files; one made of a function by the function's name."""
    if loss is None:
        return None
    return loss.name if isinstance(loss, FunctionLoss) else saved_form("losses", loss)
