"""Constraints: what weights must be, whatever an update has made of them.

A constraint maps an array of weights to the nearest one that is allowed. Optimizers apply it after
each step, so the loss knows nothing of it; a regularizer, in contrast, is a part of the loss.

MaxNorm, UnitNorm and MinMaxNorm look at lengths. Which weights make a vector together, `axis` says:
0 takes the columns of a dense kernel, one per unit; [0, 1, 2] the filters of a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.arguments import by_name, number, resolve, saved_form
from minicnn.backend import Array

EPSILON = 1e-7  # Keras': it keeps vectors of length 0 from being divided by 0


class Constraint:
    """Maps weights to allowed ones. A subclass writes `__call__`, from array to array."""

    def __call__(self, w: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a constraint like this one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """Make a constraint from what get_config() has returned."""
        return cls(**config)


class NonNeg(Constraint):
    """Negative weights become 0.

    >>> NonNeg()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __call__(self, w: Array) -> Array:
        return np.maximum(w, 0)


class MinMaxNorm(Constraint):
    """Vectors are shortened or stretched until their length is between two bounds.

        w * wanted / (|w| + 1e-7),   wanted = rate * clip(|w|, min_value, max_value)
                                              + (1 - rate) * |w|

    Args:
        min_value: the smallest length.
        max_value: the largest length.
        rate: how much of the way to go in each step; 1 goes all of it.
        axis: along which the vectors lie, one axis or a list.

    Raises:
        ValueError: a bound is negative, or rate not from 0 to 1.
        TypeError: a setting is no number.

    >>> MinMaxNorm(min_value=1, max_value=2)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(4)
    array([[1.2, 0.6],
           [1.6, 0.8]])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | list[int] | tuple[int, ...] = 0,
    ) -> None:
        who = type(self).__name__
        self.min_value = number(f"{who}: min_value", min_value)
        self.max_value = number(f"{who}: max_value", max_value)
        self.rate = number(f"{who}: rate", rate, high=1)
        self.axis = _checked_axis(who, axis)

    def __call__(self, w: Array) -> Array:
        length = np.sqrt(np.square(w).sum(axis=_axes(self.axis), keepdims=True))
        allowed = np.clip(length, self.min_value, self.max_value)
        wanted = self.rate * allowed + (1 - self.rate) * length
        return (w * (wanted / (EPSILON + length))).astype(w.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class MaxNorm(MinMaxNorm):
    """Vectors that are too long are shortened: a companion of dropout.

    Args:
        max_value: the largest length.
        axis: along which the vectors lie, one axis or a list.

    Source: Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html.

    >>> MaxNorm(2)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(4)
    array([[1.2, 0.3],
           [1.6, 0.4]])
    """

    def __init__(self, max_value: float = 2, axis: int | list[int] | tuple[int, ...] = 0) -> None:
        super().__init__(max_value=max_value, axis=axis)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(MinMaxNorm):
    """Vectors get the length 1.

    Args:
        axis: along which the vectors lie, one axis or a list.

    >>> UnitNorm()(np.array([[3.0, 0.3], [4.0, 0.4]])).round(4)
    array([[0.6, 0.6],
           [0.8, 0.8]])
    """

    def __init__(self, axis: int | list[int] | tuple[int, ...] = 0) -> None:
        super().__init__(min_value=1.0, max_value=1.0, axis=axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm  # as in Keras

CONSTRAINTS = by_name(MaxNorm, NonNeg, UnitNorm, MinMaxNorm)


def get(identifier: Any) -> Callable[[Array], Array] | None:
    """Return the constraint that `identifier` stands for; None for None.

    Args:
        identifier: a name, a constraint or its class, a function that maps an array to an allowed
            one, or a saved configuration.

    Raises:
        ValueError: no constraint has this name.
        TypeError: identifier is none of these.

    >>> get("max_norm").max_value
    2.0
    >>> get("maxnorm")
    Traceback (most recent call last):
    ValueError: unknown constraint 'maxnorm'. Did you mean 'MaxNorm'? Known are: MaxNorm, ...
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    return resolve("constraint", Constraint, CONSTRAINTS, identifier)


def serialize(constraint: Callable[[Array], Array] | None) -> Any:
    """Describe a constraint as it stands in files; a plain function by its name."""
    if isinstance(constraint, Constraint):
        return saved_form("constraints", constraint)
    return None if constraint is None else constraint.__name__


def _checked_axis(who: str, axis: Any) -> int | list[int]:
    axes = list(axis) if isinstance(axis, tuple | list) else [axis]
    if any(isinstance(k, bool) or not isinstance(k, int | np.integer) for k in axes):
        raise TypeError(f"{who}: axis must be an integer or a list of them, but is {axis!r}.")
    return axes if isinstance(axis, tuple | list) else int(axis)


def _axes(axis: int | list[int]) -> int | tuple[int, ...]:
    return tuple(axis) if isinstance(axis, list) else axis
