"""What users hand to constructors: numbers in their range, and objects by name."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np

from minicnn.registry import get_registered_name, mentioned
from minicnn.suggest import lookup

T = TypeVar("T")


def number(
    name: str, value: Any, low: float = 0.0, high: float = math.inf, below: float = math.inf
) -> float:
    """Return `value` as a float, if it is a finite number in its range.

    Args:
        name: whose number it is, for the message: "Adam: beta_1".
        value: what the user gave.
        low: the smallest allowed value.
        high: the largest allowed value.
        below: a bound that is itself too large.

    Raises:
        TypeError: value is no number; strings and truth values are none.
        ValueError: value is outside of the range, infinite or not a number (NaN).

    >>> number("Adam: learning_rate", 1)
    1.0
    >>> number("Dropout: rate", 1.5, high=1)
    Traceback (most recent call last):
    ValueError: Dropout: rate must be from 0 to 1, but is 1.5.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, but is {value!r} ({type(value).__name__}).")
    if low <= value <= high and value < below and math.isfinite(value):
        return float(value)
    if math.isfinite(below):
        wanted = f"from {low:g} to below {below:g}"
    elif math.isfinite(high):
        wanted = f"from {low:g} to {high:g}"
    else:
        wanted = f"finite and at least {low:g}" if math.isfinite(low) else "finite"
    raise ValueError(f"{name} must be {wanted}, but is {value}.")


def optional_number(name: str, value: Any, **limits: float) -> float | None:
    """Return None for None, else number(name, value, **limits)."""
    return None if value is None else number(name, value, **limits)


def resolve(kind: str, base: type[T], table: Mapping[str, Callable[..., T]], identifier: Any) -> T:
    """Turn what a user gave for an object into the object.

    Args:
        kind: what is wanted, for messages: "optimizer".
        base: the class of such objects.
        table: what makes an object without arguments, by name.
        identifier: an object; its class; its name; or {"class_name": ..., "config": {...}}, as it
            stands in files, which may say that there is None of what we do not know at all.

    Raises:
        ValueError: the table has no such name.
        TypeError: identifier is something else.
    """
    if isinstance(identifier, base):
        return identifier
    own: Any = mentioned(identifier) if isinstance(identifier, str | dict) else None
    if own is not None:
        identifier = own if isinstance(identifier, str) else own(**(identifier["config"] or {}))
        return cast(T, identifier() if isinstance(identifier, type) else identifier)
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    if isinstance(identifier, str):
        return lookup(kind, identifier, table)()
    if isinstance(identifier, dict) and "class_name" in identifier:
        make, config = lookup(kind, identifier["class_name"], table), identifier.get("config") or {}
        known = inspect.signature(make).parameters
        given = {key: value for key, value in config.items() if key in known or value is not None}
        return make(**given)
    raise TypeError(
        f"{kind}: wants a name or an object of class {base.__name__}, but got {identifier!r} "
        f"({type(identifier).__name__})."
    )


def saved_form(family: str, thing: Any) -> dict[str, Any]:
    """Describe an object as it stands in Keras' files; resolve() reads it.

    Args:
        family: the module of the object: "initializers".
        thing: what has a get_config().
    """
    cls = type(thing)
    own = not cls.__module__.startswith("minicnn.")
    return {
        "module": cls.__module__ if own else f"keras.{family}",
        "class_name": cls.__name__,
        "config": thing.get_config(),
        "registered_name": get_registered_name(cls) if own else None,
    }


def by_name(*classes: type[T]) -> dict[str, type[T]]:
    """Each class under its own name and in snake case: HeNormal and he_normal.

    >>> sorted(by_name(int, float))
    ['float', 'int']
    """
    table = {cls.__name__: cls for cls in classes}
    return table | {snake_case(name): cls for name, cls in table.items()}


def snake_case(name: str) -> str:
    """Return the name of a class as a name for an object, as Keras forms it.

    >>> snake_case("SparseTopKCategoricalAccuracy"), snake_case("RMSprop"), snake_case("SGD")
    ('sparse_top_k_categorical_accuracy', 'rm_sprop', 'sgd')
    >>> snake_case("AdamW"), snake_case("L1L2"), snake_case("MaxPooling2D")
    ('adam_w', 'l1l2', 'max_pooling2d')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)  # before a capital with small letters
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()  # after small letters
