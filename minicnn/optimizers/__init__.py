"""Optimizers: how weights follow their gradients downhill. Formulas and defaults are Keras'.

The arguments that all of them take are described at Optimizer, in optimizer.py. SGD, Adam and
RMSprop update all weights by one call of a kernel; the others are plain NumPy.
"""

from __future__ import annotations

from typing import Any

from minicnn.arguments import resolve, saved_form
from minicnn.optimizers import schedules
from minicnn.optimizers.adagrad import Adadelta, Adagrad
from minicnn.optimizers.adam import Adam, AdamW
from minicnn.optimizers.adamax import Adamax, Nadam
from minicnn.optimizers.ftrl import Ftrl
from minicnn.optimizers.lamb import Lamb
from minicnn.optimizers.lion import Lion
from minicnn.optimizers.lookahead import Lookahead
from minicnn.optimizers.muon import Muon
from minicnn.optimizers.optimizer import Optimizer
from minicnn.optimizers.rmsprop import RMSprop
from minicnn.optimizers.sgd import SGD
from minicnn.suggest import lookup

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Lookahead",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Ftrl, Lion, Lamb, Muon)
}


def get(identifier: Any) -> Optimizer:
    """Return the optimizer that a name, a class, an object or a saved configuration stands for.

    Raises:
        ValueError: no optimizer has this name; upper and lower case are the same.
        TypeError: identifier is none of these.

    >>> get("AdamW").weight_decay
    0.004
    >>> get("adm")
    Traceback (most recent call last):
    ValueError: [MC050] unknown optimizer 'adm'. Did you mean 'adam'? Known are: adadelta, ...
    """
    if isinstance(identifier, dict) and "class_name" in identifier:
        table = OPTIMIZERS | {"lookahead": Lookahead}
        kind = lookup("optimizer", identifier["class_name"].lower(), table)
        return kind.from_config(dict(identifier.get("config") or {}))
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return resolve("optimizer", Optimizer, OPTIMIZERS, identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer, without its state, as it stands in files."""
    return saved_form("optimizers", optimizer)


deserialize = get
