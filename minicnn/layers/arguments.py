"""Checks of what a user passes to the constructor of a layer.

Each takes `who`, the layer's class, and `name`, the argument's, for its message, and returns the
value in the one form that the layer keeps.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import constraints
from minicnn.layers.shapes import Pair, Shape
from minicnn.suggest import did_you_mean

DTYPES = ("float32", "float64")
MIXED = "mixed_bfloat16"  # a dtype policy; see backend.set_dtype_policy


def whole_number(who: str, name: str, value: Any, at_least: int = 1) -> int:
    """Check an integer of Python or NumPy that is `at_least` this large.

    >>> whole_number("Dense", "units", 0)
    Traceback (most recent call last):
    ValueError: Dense: units must be an integer of at least 1, but is 0.
    """
    number = _integer(value)
    if number is None or number < at_least:
        error = TypeError if number is None else ValueError
        raise error(f"{who}: {name} must be an integer of at least {at_least}, but is {value!r}.")
    return number


def axis(who: str, value: Any) -> int:
    """Check the number of an axis, which may count from the end: -1 is the last."""
    number = _integer(value)
    if number is None:
        raise TypeError(f"{who}: axis must be an integer, but is {value!r}.")
    return number


def pair(who: str, name: str, value: Any, at_least: int = 1) -> Pair:
    """Check two integers, for rows and columns; one integer stands for both.

    >>> pair("Conv2D", "kernel_size", 3), pair("Conv2D", "kernel_size", [3, 5])
    ((3, 3), (3, 5))
    """
    if _integer(value) is not None:
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(
            f"{who}: {name} must be an integer or a pair of integers, (rows, columns), "
            f"but is {value!r}."
        )
    rows, columns = (whole_number(who, name, entry, at_least) for entry in value)
    return rows, columns


def border(who: str, name: str, value: Any) -> tuple[Pair, Pair]:
    """Check the pixels to add around an image, and write them as ((top, bottom), (left, right)).

    >>> border("ZeroPadding2D", "padding", (1, 2))
    ((1, 1), (2, 2))
    """
    if _integer(value) is not None:
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(
            f"{who}: {name} must be an integer, a pair (rows, columns) or "
            f"((top, bottom), (left, right)), but is {value!r}."
        )
    rows, columns = (pair(who, name, entry, at_least=0) for entry in value)
    return rows, columns


def one_of(who: str, name: str, value: Any, known: tuple[str, ...]) -> str:
    """Check a word, in capital or small letters.

    >>> one_of("Conv2D", "padding", "SAME", ("valid", "same"))
    'same'
    """
    word = value.lower() if isinstance(value, str) else value
    if word not in known:
        hint = did_you_mean(word, known) if isinstance(word, str) else ""
        choice = " or ".join(map(repr, known))
        raise ValueError(f"{who}: {name} must be {choice}, but is {value!r}.{hint}")
    return str(word)


def channels_last(who: str, value: Any) -> str:
    """Check `data_format`: images are (batch, height, width, channels) and nothing else."""
    known = ("channels_last", "channels_first")
    if value is not None and one_of(who, "data_format", value, known) == "channels_first":
        raise ValueError(
            f"{who}: data_format='channels_first' is not supported: images are (batch, height, "
            f"width, channels) here. Convert them once: np.transpose(x, (0, 2, 3, 1))."
        )
    return "channels_last"


def truth_value(who: str, name: str, value: Any) -> bool:
    """Check True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{who}: {name} must be True or False, but is {value!r}.")
    return bool(value)


def shape(who: str, name: str, value: Any) -> Shape:
    """Check a tuple of sizes, None where any size will do; one integer stands for (integer,)."""
    if _integer(value) is not None:
        value = (value,)
    if not isinstance(value, tuple | list):
        raise TypeError(
            f"{who}: {name} must be a tuple of integers or None, as (32, 32, 3), but is {value!r}."
        )
    return tuple(None if size is None else whole_number(who, name, size) for size in value)


def floating_point(who: str, value: Any) -> str:
    """Check a dtype and return its name; Keras' files have it as the config of a DTypePolicy.

    >>> floating_point("Dense", np.float64)
    'float64'
    """
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("name")
    try:
        name = np.dtype(value).name
    except TypeError:
        name = str(value)
    if name not in DTYPES:
        raise ValueError(f"{who}: dtype must be one of {', '.join(DTYPES)}, but is {value!r}.")
    return name


def dtype_policy(who: str, value: Any) -> str:
    """Check a dtype or the name of a policy, and return that name.

    >>> dtype_policy("Dense", "mixed_bfloat16"), dtype_policy("Dense", np.float32)
    ('mixed_bfloat16', 'float32')
    """
    name = (value.get("config") or {}).get("name") if isinstance(value, dict) else value
    try:
        return name if name == MIXED else floating_point(who, value)
    except ValueError:
        known = ", ".join((*DTYPES, MIXED))
        raise ValueError(f"{who}: dtype must be one of {known}, but is {value!r}.") from None


def layer_name(who: str, value: Any) -> str:
    """Check a name: paths like "conv2d/kernel" are made of them."""
    if not isinstance(value, str):
        raise TypeError(f"{who}: name must be a string, but is {value!r}.")
    if not value or "/" in value:
        raise ValueError(f"{who}: name must be a word without '/', but is {value!r}.")
    return value


def constraint(who: str, name: str, value: Any) -> Callable[..., Any] | None:
    """Find what is applied to a weight after each update: a function from array to array."""
    if value is None or callable(value) or isinstance(value, str | dict):
        return constraints.get(value)
    raise TypeError(
        f"{who}: {name} must be the name of a constraint, as 'max_norm', a function that maps an "
        f"array to an allowed one, as lambda w: np.maximum(w, 0), or None, but is {value!r}."
    )


def _integer(value: Any) -> int | None:
    """The number that `value` is, or None if it is no integer. True is none, here."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
