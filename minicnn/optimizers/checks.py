"""What an optimizer is given, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from minicnn.variable import Variable


def check_variables(kind: str, variables: Sequence[Any]) -> None:
    """See whether an optimizer can be built for these variables.

    Args:
        kind: the optimizer, for messages.
        variables: what it was given.

    Raises:
        TypeError: one of them is not a Variable.
        ValueError: there are none, or one stands there twice.

    >>> check_variables("SGD", [])
    Traceback (most recent call last):
    ValueError: SGD.build: got no variables. Is every layer frozen?
    """
    for variable in variables:
        if not isinstance(variable, Variable):
            raise TypeError(
                f"{kind}.build: wants Variables, but got {type(variable).__name__}: make it "
                f"with minicnn.Variable(data)."
            )
    if not variables:
        raise ValueError(f"{kind}.build: got no variables. Is every layer frozen?")
    if len(set(variables)) < len(variables):
        raise ValueError(f"{kind}.build: a variable is in the list twice.")


def check_gradients(
    who: str, grads: Sequence[Any], variables: Sequence[Variable], known: Collection[Variable]
) -> None:
    """See whether gradients fit their variables, and the optimizer knows these.

    Args:
        who: for messages: "SGD.apply".
        grads: what the optimizer was given.
        variables: what they are gradients of.
        known: the variables that the optimizer was built for.

    Raises:
        TypeError: a gradient is no array.
        ValueError: numbers or shapes differ, or a variable is not known.

    >>> check_gradients("SGD.apply", [], [], [])
    Traceback (most recent call last):
    ValueError: SGD.apply: which variables? Say apply(grads, variables) the first time.
    """
    if not known:
        raise ValueError(f"{who}: which variables? Say apply(grads, variables) the first time.")
    if len(grads) != len(variables):
        raise ValueError(f"{who}: got {len(grads)} gradients for {len(variables)} variables.")
    if len(set(variables)) < len(variables):
        raise ValueError(f"{who}: a variable is in the list twice. Add its gradients up.")
    known = set(known)
    for gradient, variable in zip(grads, variables, strict=True):
        if variable not in known:
            raise ValueError(
                f"{who}: {variable!r} is new to this optimizer. Call build(variables) with all "
                f"variables first, or make a new optimizer."
            )
        if not hasattr(gradient, "shape"):
            raise TypeError(
                f"{who}: the gradient of {variable.path} must be a tensor or an array, but is "
                f"{type(gradient).__name__}."
            )
        if gradient.shape != variable.shape:
            raise ValueError(
                f"{who}: the gradient of {variable.path} has shape {gradient.shape}, but the "
                f"variable has {variable.shape}. Are both lists in the same order?"
            )


def count(name: str, value: Any, at_least: int) -> int | None:
    """Return an argument that is a number of steps, or None for None.

    Raises:
        ValueError: it is no whole number, or too small.

    >>> count("SGD: ema_overwrite_frequency", 0, at_least=1)
    Traceback (most recent call last):
    ValueError: SGD: ema_overwrite_frequency must be a whole number of at least 1, or None, but ...
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is None or (whole and value >= at_least):
        return None if value is None else int(value)
    raise ValueError(
        f"{name} must be a whole number of at least {at_least}, or None, but is {value!r}."
    )
