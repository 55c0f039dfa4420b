"""The order in which the threads and blocks of a launch take their turns.

A right kernel gives the same numbers in every order; one that forgets a barrier does not.
"""

import contextlib
import os
from collections.abc import Iterator

from .errors import EmulatorError

ORDERS = ("forward", "reverse", "shuffle")  # their numbers are those of scheduler.h
VARIABLE = "MINICNN_EMULATOR_ORDER"


def _from_environment() -> tuple[str, int]:
    text = os.environ.get(VARIABLE, "forward")
    name, _, seed = text.partition(":")
    if name not in ORDERS or not (seed or "0").isdigit():
        raise EmulatorError(
            f"{VARIABLE}: wants one of {', '.join(ORDERS)} or shuffle:SEED, but got {text!r}."
        )
    return name, int(seed or "0")


_order, _seed = _from_environment()


def current() -> tuple[int, int]:
    """The number of the order and the seed of the shuffling, as the compiled kernels want them."""
    return ORDERS.index(_order), _seed


@contextlib.contextmanager
def thread_order(order: str, seed: int = 0) -> Iterator[None]:
    """Let all launches inside this `with` take their threads "forward", in "reverse", "shuffle"d.

    Raises:
        ValueError: the order is none of these.
    """
    global _order, _seed
    if order not in ORDERS:
        raise ValueError(f"thread_order: wants one of {', '.join(ORDERS)}, but got {order!r}.")
    before = _order, _seed
    _order, _seed = order, seed
    try:
        yield
    finally:
        _order, _seed = before
