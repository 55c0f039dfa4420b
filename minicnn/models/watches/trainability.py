"""MC051 and MC055: what has changed between two calls of fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from minicnn.notices import warn_once, warn_user
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.steps import Steps

_trained: WeakKeyDictionary[Any, set[Variable]] = WeakKeyDictionary()  # by the last fit of a model


def note_changed_trainability(model: Steps) -> None:
    """Say that this fit trains other weights than the last one did, and remember which."""
    now = set(model.trainable_weights)
    before = _trained.get(model, now)
    _trained[model] = now
    if now == before:
        return
    changes = [
        f"{word} {_listed(weights)}"
        for word, weights in (("now also", now - before), ("no longer", before - now))
        if weights
    ]
    warn_user(
        f"fit [MC051]: note: trainable has changed since the last fit. This one trains "
        f"{' and '.join(changes)}."
    )


def note_reset_of_optimizer(model: Steps, optimizer: Any) -> None:
    """Say that compile has forgotten the state of an optimizer that has made steps.

    Not where other weights are to be trained than before, as in fine-tuning: there it is meant.
    """
    former = model.optimizer
    now = set(model.trainable_weights)
    before = _trained.pop(model, now)
    if former is None or former is optimizer or not former.iterations or before != now:
        return
    warn_once(
        model,
        "compile",
        "MC055",
        f"note: the state of the optimizer was reset (step {former.iterations} to "
        f"{optimizer.iterations}). To go on as before, give compile the optimizer that the model "
        f"has: optimizer=model.optimizer.",
    )


def _listed(weights: set[Variable], most: int = 4) -> str:
    names = sorted(weight.path for weight in weights)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
