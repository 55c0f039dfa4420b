"""Automatic names: "conv2d", "conv2d_1", ... as Keras gives them."""

from collections import Counter

from minicnn.arguments import snake_case

_given: Counter[str] = Counter()


def automatic_name(class_name: str) -> str:
    """Make the next name for an object of a class, counted through the whole program.

    >>> reset_names()
    >>> automatic_name("Conv2D"), automatic_name("Conv2D"), automatic_name("Dense")
    ('conv2d', 'conv2d_1', 'dense')
    """
    name = snake_case(class_name)
    _given[name] += 1
    return numbered(name, _given[name] - 1)


def numbered(name: str, k: int) -> str:
    """Make the name of number k of several things that share a name; number 0 keeps it.

    >>> numbered("dense", 0), numbered("dense", 1)
    ('dense', 'dense_1')
    """
    return f"{name}_{k}" if k else name


def reset_names() -> None:
    """Begin to count from zero again; a part of `utils.clear_session`."""
    _given.clear()
