"""Random numbers: one seed decides all of them.

Whoever needs randomness (an initializer, a dropout layer, the shuffling of `fit`) asks once for a
stream of its own. The streams come from one root in the order in which they are asked for, so that
one call of set_seed makes a whole program repeat, and no consumer disturbs another's numbers.
"""

from typing import Any

import numpy as np

_root = np.random.SeedSequence()


def set_seed(seed: int) -> None:
    """Start all randomness of minicnn anew, from `seed`.

    Raises:
        TypeError: seed is not an integer.
        ValueError: seed is negative.

    >>> set_seed(1); a = new_generator().random()
    >>> set_seed(1); a == new_generator().random()
    True
    """
    global _root
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"set_seed: seed must be an integer, but is {seed!r}.")
    if seed < 0:
        raise ValueError(f"set_seed: seed must be at least 0, but is {seed}.")
    _root = np.random.SeedSequence(int(seed))


def state() -> dict[str, Any]:
    """What decides all streams that will be asked for; see load_state."""
    entropy: Any = _root.entropy
    return {"entropy": entropy, "given": _root.n_children_spawned}


def load_state(state: dict[str, Any]) -> None:
    """Go on from what state() has returned.

    >>> before = state(); a = new_seed()
    >>> load_state(before); a == new_seed()
    True
    """
    global _root
    _root = np.random.SeedSequence(state["entropy"], n_children_spawned=state["given"])


def new_seed() -> int:
    """Draw the next seed of the root: a whole number below 2^63."""
    return int(_root.spawn(1)[0].generate_state(1, np.uint64)[0] >> np.uint64(1))


def new_generator(seed: int | None = None) -> np.random.Generator:
    """Make a stream of random numbers: the root's next one, or the one that `seed` names."""
    return np.random.default_rng(new_seed() if seed is None else seed)
