"""The arguments of layers, as they stand in configurations: Keras' own, and those nobody wrote."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from minicnn.layers.structure import leaves

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer

PLAIN = (bool, int, float, str, type(None))
IDLE = {  # what Keras writes and minicnn has not, with the values that switch it off
    "quantization_config": None,
    "sparse": False,
    "ragged": False,
    "optional": False,
    "autocast": True,
}


def without_idle_keys(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what Keras writes though it is switched off.

    >>> without_idle_keys({"units": 3, "quantization_config": None})
    {'units': 3}
    """
    return {key: x for key, x in config.items() if key not in IDLE or x != IDLE[key]}


def from_arguments(layer: Layer, made_by: functools.partial[Any]) -> dict[str, Any]:
    """The configuration of a layer that defines none: the arguments that it was made with.

    Raises:
        NotImplementedError: one of them is more than a number, a word, or a list or dict of these.
    """
    signature = inspect.signature(type(layer).__init__)
    given = signature.bind(layer, *made_by.args, **made_by.keywords).arguments
    config: dict[str, Any] = {}
    for name, value in list(given.items())[1:]:  # without self
        kind = signature.parameters[name].kind
        config |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    for name, value in config.items():
        if not all(isinstance(leaf, PLAIN) for leaf in leaves(value)):
            raise NotImplementedError(
                f"{layer.title}: define get_config(self), which returns the arguments that make "
                f"such a layer again: {name} is no number, word, or list or dict of these."
            )
    takes = signature.parameters
    if "name" in takes or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()):
        config["name"] = layer.name
    return config
