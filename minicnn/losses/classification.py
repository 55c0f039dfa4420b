"""Losses for classes: the crossentropies, with their settings."""

from __future__ import annotations

from typing import Any

from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    crossentropy,
    sparse_categorical_crossentropy,
)
from minicnn.losses.loss import Loss


class SparseCategoricalCrossentropy(Loss):
    """The surprise about the true class, given by its number; see sparse_categorical_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the softmax.
        ignore_class: a label that stands for "not known", as -1 or 255: what has it counts neither
            in the loss nor in a mean. None if there is none.
        axis: along which the classes lie.
        **common: name and reduction; see Loss.

    >>> SparseCategoricalCrossentropy(from_logits=True)([0], Tensor([[0.0, 0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )

    def counted(self, y_true: Array) -> Array | None:
        if self.ignore_class is None:
            return None
        return y_true != self.ignore_class

    def get_config(self) -> dict[str, Any]:
        own = {"from_logits": self.from_logits, "ignore_class": self.ignore_class}
        axis = {} if self.axis == -1 else {"axis": self.axis}  # Keras does not save it
        return super().get_config() | own | axis


class Smoothed(Loss):
    """A loss whose labels can be smoothed.

    Args:
        from_logits: whether the outputs are logits.
        label_smoothing: from 0 to 1, how far the labels move towards "no idea".
        axis: along which the classes lie.
        **common: name and reduction; see Loss.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.from_logits = from_logits
        self.label_smoothing = number(
            f"{type(self).__name__}: label_smoothing", label_smoothing, high=1
        )
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        own = ("from_logits", "label_smoothing", "axis")
        return super().get_config() | {name: getattr(self, name) for name in own}


class CategoricalCrossentropy(Smoothed):
    """The surprise about the true class, given as one-hot rows; see categorical_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the softmax.
        label_smoothing: from 0 to 1, the part of the certainty that is spread over all classes.
        axis: along which the classes lie.
        **common: name and reduction; see Loss.

    >>> CategoricalCrossentropy(from_logits=True)([[1.0, 0.0]], Tensor([[0.0, 0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class BinaryCrossentropy(Smoothed):
    """The surprise about yes-or-no answers; see binary_crossentropy.

    Args:
        from_logits: whether the outputs are logits, the numbers before the sigmoid.
        label_smoothing: from 0 to 1, how far the labels move towards 1/2.
        axis: along which the mean is taken.
        **common: name and reduction; see Loss.

    >>> BinaryCrossentropy(from_logits=True)([[1.0]], Tensor([[0.0]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class Crossentropy(Loss):
    """Binary, sparse or categorical crossentropy, whichever fits the shapes; see crossentropy.

    >>> Crossentropy()([0], Tensor([[0.5, 0.5]]))  # log 2
    Tensor(0.69314...)
    """

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return crossentropy(y_true, y_pred)
