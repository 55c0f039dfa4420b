"""Classes and functions of the user's own, by the names under which files may mention them.

Nothing that is read runs code. So a file only holds names, and what they stand for must have been
made known before: by register_keras_serializable, in a custom_object_scope, or as custom_objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T")

_known: dict[str, Any] = {}  # by registered name
_names: dict[Any, str] = {}
_in_scope: list[Mapping[str, Any]] = []  # of custom_object_scope, the innermost last


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorate a class or function of your own: files that mention it can be read.

    Args:
        package: a word that keeps names of different projects apart.
        name: by default that of the class or function.

    Returns:
        The decorator, which returns the class or function as it is.

    Raises:
        ValueError: the class has no get_config, so it could not be saved.

    >>> @register_keras_serializable("mine")
    ... def halve(x):
    ...     return x / 2
    >>> get_registered_name(halve)
    'mine>halve'
    """

    def register(thing: T) -> T:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"register_keras_serializable: {thing.__name__} has no get_config, which tells how "
                f"to make such an object again."
            )
        registered = f"{package}>{name or getattr(thing, '__name__', '')}"
        _known[registered], _names[thing] = thing, registered
        return thing

    return register


def get_registered_name(thing: Any) -> str:
    """The name under which a class or function is registered; else its own name."""
    return _names.get(thing, thing.__name__)


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function of this name; None if there is none.

    Args:
        name: as get_registered_name gives it, or a key of custom_objects.
        custom_objects: more names, beside those that are registered.
    """
    for names in (*reversed(_in_scope), _known, custom_objects or {}):
        if name in names:
            return names[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """All that is registered, by name; what is added to this dict is known, too."""
    return _known


@contextmanager
def custom_object_scope(*custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Open a block in which these classes and functions are known, too.

    Args:
        *custom_objects: dicts of them, by name.

    >>> with custom_object_scope({"Mine": int}):
    ...     get_registered_object("Mine")
    <class 'int'>
    """
    _in_scope.extend(custom_objects)
    try:
        yield
    finally:
        del _in_scope[len(_in_scope) - len(custom_objects) :]


def saved_function(function: Any) -> dict[str, Any]:
    """Describe a function of the user's own as it stands in Keras' files: by its names.

    Raises:
        ValueError: it is a lambda, which has no name.
    """
    name = getattr(function, "__name__", "<lambda>")
    if name == "<lambda>" or not isinstance(function, FunctionType):
        raise ValueError(
            f"{function!r} cannot be saved, as files hold no code. Define a function with a name, "
            f"and decorate it with @register_keras_serializable()."
        )
    return {
        "module": function.__module__,
        "class_name": "function",
        "config": name,
        "registered_name": get_registered_name(function),
    }


def mentioned(config: Any) -> Any:
    """The class or function of the user's own that a saved configuration names; None if none."""
    if isinstance(config, str):
        return get_registered_object(config)
    names: list[Any] = [config.get("registered_name"), config.get("class_name")]
    if config.get("class_name") == "function":
        names[1] = config.get("config")
    found = (get_registered_object(name) for name in names if isinstance(name, str))
    return next((thing for thing in found if thing is not None), None)
