"""Regularizers: penalties for large weights, which are added to the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import by_name, number, resolve, saved_form
from minicnn.autograd import Tensor
from minicnn.backend import constant, filled

TINY = 1e-12  # Keras': the smallest square of a length that is divided by


class Regularizer:
    """Makes a penalty from a weight. A subclass writes `__call__`, from tensor to one number."""

    def __call__(self, w: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a regularizer like this one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """Make a regularizer from what get_config() has returned."""
        return cls(**config)


class L1L2(Regularizer):
    """Penalize large weights, by their size and by their square.

        penalty = l1 * sum of |w| + l2 * sum of w^2

    The gradient pulls every weight towards 0: the first part by l1, however small the weight is, so
    that many become 0; the second by 2 * l2 * w, so that the large ones shrink most.

    Args:
        l1: the factor of the first part, at least 0.
        l2: the factor of the second part, at least 0.

    Raises:
        ValueError: a factor is negative.
        TypeError: a factor is no number.

    >>> L1L2(l1=0.5, l2=2.0)(Tensor([1.0, -2.0]))
    Tensor(11.5)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number(f"{type(self).__name__}: l1", l1)
        self.l2 = number(f"{type(self).__name__}: l2", l2)

    def __call__(self, w: Tensor) -> Tensor:
        penalty = Tensor(filled((), 0, like=w.data), device=w.device)
        if self.l1:
            penalty = penalty + ops.sum(ops.abs(w)) * self.l1
        if self.l2:
            penalty = penalty + ops.sum(ops.square(w)) * self.l2
        return penalty

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a regularizer like this one."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """Penalize large weights by their size: l1 * sum of |w|.

    Args:
        l1: the factor, at least 0.

    >>> L1(0.5)(Tensor([1.0, -2.0]))
    Tensor(1.5)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """Penalize large weights by their square: l2 * sum of w^2, without a factor of 1/2.

    Args:
        l2: the factor, at least 0.

    >>> L2(0.5)(Tensor([1.0, -2.0]))
    Tensor(2.5)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Penalize rows (or columns) of a matrix that point into similar directions.

        penalty = factor * mean over all pairs of different rows r, s of  |cosine of r and s|

    Args:
        factor: at least 0.
        mode: "rows" or "columns".

    Raises:
        ValueError: factor is negative or mode unknown; later: the weight is no matrix.
        TypeError: factor is no number.

    >>> OrthogonalRegularizer(0.5)(Tensor([[1.0, 0.0], [3.0, 4.0]])).item()  # cosine 0.6
    0.30000001192092896
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = number("OrthogonalRegularizer: factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"OrthogonalRegularizer: mode must be 'rows' or 'columns', but is {mode!r}."
            )
        self.mode = mode

    def __call__(self, w: Tensor) -> Tensor:
        if w.ndim != 2 or 1 in w.shape:
            raise ValueError(
                f"OrthogonalRegularizer: wants a matrix of several rows and columns, but the "
                f"weight has shape {w.shape}."
            )
        rows = w if self.mode == "rows" else ops.transpose(w)
        lengths = ops.sqrt(ops.maximum(ops.sum(ops.square(rows), 1, keepdims=True), TINY))
        directions = rows / lengths
        count = len(rows.data)
        others = Tensor(constant(1 - np.eye(count, dtype=w.dtype), w.data), device=w.device)
        cosines = ops.abs(directions @ ops.transpose(directions)) * others
        return ops.sum(cosines) * (self.factor / (count * (count - 1)))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2 = L1, L2, L1L2  # Keras' other names for the classes
orthogonal_regularizer = OrthogonalRegularizer

REGULARIZERS: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1l2": L1L2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    **by_name(OrthogonalRegularizer),
}


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """Return the regularizer that `identifier` stands for; None for None.

    Args:
        identifier: a name, a regularizer or its class, a function that makes a single number of a
            tensor, or a saved configuration.

    Raises:
        ValueError: no regularizer has this name.
        TypeError: identifier is none of these.

    >>> get("l2").l2
    0.01
    >>> get("l1_l2")
    Traceback (most recent call last):
    ValueError: [MC050] unknown regularizer 'l1_l2'. Did you mean 'L1L2'? Known are: L1, L1L2, L2...
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    return resolve("regularizer", Regularizer, REGULARIZERS, identifier)


def serialize(regularizer: Callable[[Tensor], Tensor] | None) -> Any:
    """Describe a regularizer as it stands in files; a plain function by its name."""
    if isinstance(regularizer, Regularizer):
        return saved_form("regularizers", regularizer)
    return None if regularizer is None else regularizer.__name__
