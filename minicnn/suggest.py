"""Names that users type: looked up in a table, with a hint when they are misspelt."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'relu'?" for the known name nearest to `word`, or "" if none is near.

    >>> did_you_mean("rleu", ["relu", "tanh"])
    " Did you mean 'relu'?"
    """
    known = list(known)
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return `table[name]`.

    Args:
        kind: what the table holds, for the message: "activation", "loss".
        name: what the user typed.
        table: all known names.

    Raises:
        ValueError: the table has no such name; the message lists all, and the nearest first.

    >>> lookup("activation", "rleu", {"relu": 1, "tanh": 2})
    Traceback (most recent call last):
    ValueError: [MC050] unknown activation 'rleu'. Did you mean 'relu'? Known are: relu, tanh.
    """
    if name in table:
        return table[name]
    hint, names = did_you_mean(name, table), ", ".join(sorted(table))
    raise ValueError(f"[MC050] unknown {kind} {name!r}.{hint} Known are: {names}.")
