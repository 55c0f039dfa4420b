"""What is given to a functional model, brought into the order of its inputs."""

from __future__ import annotations

from typing import Any

from minicnn.layers.structure import are_alike, is_nested, leaves
from minicnn.models.batches import holds_arrays, is_stream
from minicnn.models.checks import as_array
from minicnn.models.graph import Graph


def arranged(given: Any, graph: Graph, title: str) -> list[Any]:
    """The tensors, in the order of graph.inputs.

    They may come in the structure of the inputs; in a dict by the names of the inputs; and a single
    one with a list around it or without.

    Raises:
        ValueError: they come in another structure, or their number is wrong.
    """
    wanted = graph.input_structure
    if not is_nested(given) and len(graph.inputs) == 1:
        return [given]
    if are_alike(given, wanted):
        return leaves(given)
    names = [tensor.name for tensor in graph.inputs]
    if isinstance(given, dict) and not isinstance(wanted, dict) and given.keys() >= set(names):
        return [given[name] for name in names]
    if isinstance(given, list | tuple) and len(given) == len(graph.inputs) == 1:
        return leaves(given)
    raise ValueError(
        f"{title}: wants {_described(wanted)}, but got {_described(given)}. Give the inputs "
        f"in that form, or in a dict by their names: {', '.join(names)}."
    )


def one_array(name: str, given: Any) -> Any:
    """What was given for a single array: in a list or dict of one, or as a list of its rows.

    What yields batches, and all that is no list of arrays, stays as it is.
    """
    if not holds_arrays(given) or is_stream(given):
        return given
    if len(given) == 1:
        return leaves(given)[0]
    return given if isinstance(given, dict) else as_array(name, given)


def _described(structure: Any) -> str:
    """The form of a structure, with names or shapes in the place of tensors."""
    if isinstance(structure, dict):
        entries = [f"{key!r}: {_described(entry)}" for key, entry in structure.items()]
        return f"{{{', '.join(entries)}}}"
    if isinstance(structure, list | tuple):
        return f"[{', '.join(map(_described, structure))}]"
    shape = getattr(structure, "shape", None)
    return f"an array of shape {shape}" if shape is not None else type(structure).__name__
