"""The configuration of a functional model: its layers, and what each of them was called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minicnn.layers import Layer
from minicnn.layers.node import Node
from minicnn.layers.structure import leaves, mapped
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.graph import Graph
from minicnn.models.serialization import deserialize_keras_object, serialize_keras_object


def functional_config(graph: Graph) -> dict[str, Any]:
    """What Keras writes about the graph of a model: layers, input_layers and output_layers."""
    return {
        "layers": [_layer_config(layer, graph) for layer in graph.operations],
        "input_layers": mapped(lambda x: _end(x, graph), graph.input_structure),
        "output_layers": mapped(lambda x: _end(x, graph), graph.output_structure),
    }


def _layer_config(layer: Layer, graph: Graph) -> dict[str, Any]:
    calls = [node for node in graph.calls_of(layer) if not node.is_input]
    nodes = [_node_config(node, graph) for node in calls]
    return {**serialize_keras_object(layer), "name": layer.name, "inbound_nodes": nodes}


def _node_config(node: Node, graph: Graph) -> dict[str, Any]:
    def described(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        config = {"shape": leaf.shape, "dtype": leaf.dtype, "keras_history": _place(leaf, graph)}
        return {"class_name": "__keras_tensor__", "config": config}

    given = mapped(described, {"args": list(node.arguments), "kwargs": node.keywords})
    saved: dict[str, Any] = serialize_keras_object(given)
    return saved


def _place(tensor: SymbolicTensor, graph: Graph) -> list[Any]:
    """The name of the layer that gives the tensor, which of its calls, and which result."""
    layer = tensor.node.layer
    return [layer.name, graph.calls_of(layer).index(tensor.node), tensor.place]


def _end(tensor: SymbolicTensor, graph: Graph) -> list[Any]:
    """The same for an input or output of the model; Keras counts calls of models from 1 there."""
    name, call, place = _place(tensor, graph)
    return [name, call + _is_functional(tensor.node.layer), place]


def _is_functional(layer: Layer) -> bool:
    return getattr(layer, "graph", None) is not None


def functional_parts(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """The inputs and outputs of a model with such a configuration, with new layers between them.

    Raises:
        ValueError: the configuration is broken.
    """
    made: dict[str, Layer] = {}
    waiting: list[tuple[Layer, list[Any]]] = []
    for entry in config["layers"]:
        made[entry["name"]] = deserialize_keras_object(entry, custom_objects)
        waiting.append((made[entry["name"]], list(entry["inbound_nodes"])))
    _make_calls(waiting, made)

    def found(place: Sequence[Any]) -> SymbolicTensor:
        name, call, result = place
        return _tensor([name, call - _is_functional(made[name]), result], made)

    ends = (config["input_layers"], config["output_layers"])
    try:
        return _mapped_places(found, ends[0]), _mapped_places(found, ends[1])
    except (KeyError, IndexError) as error:
        raise ValueError(f"Model: an input or output is missing in the config: {error}.") from error


def _make_calls(waiting: list[tuple[Layer, list[Any]]], made: Mapping[str, Layer]) -> None:
    """Call each layer with the results of others, as soon as these are there."""
    while any(calls for _, calls in waiting):
        before = sum(len(calls) for _, calls in waiting)
        for layer, calls in waiting:
            while calls and (given := _given(calls[0], made)) is not None:
                calls.pop(0)
                arguments, keywords = given
                layer(*arguments, **keywords)
        if sum(len(calls) for _, calls in waiting) == before:
            names = ", ".join(layer.name for layer, calls in waiting if calls)
            raise ValueError(
                f"Model: the config has a graph with a cycle or a gap: there is no way to compute "
                f"what these layers are called with: {names}."
            )


def _given(
    call: Mapping[str, Any], made: Mapping[str, Layer]
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments of a call; None if some are not there yet."""
    try:
        arguments = [_revived(entry, made) for entry in call["args"]]
        keywords = {name: _revived(entry, made) for name, entry in call["kwargs"].items()}
    except (KeyError, IndexError):
        return None
    keywords.pop("mask", None)  # Keras' masks of sequences, which there are none of here
    return arguments, keywords


def _revived(entry: Any, made: Mapping[str, Layer]) -> Any:
    if isinstance(entry, list):
        return [_revived(part, made) for part in entry]
    if isinstance(entry, dict) and entry.get("class_name") == "__keras_tensor__":
        return _tensor(entry["config"]["keras_history"], made)
    if isinstance(entry, dict) and "class_name" not in entry:
        return {key: _revived(part, made) for key, part in entry.items()}
    return deserialize_keras_object(entry)


def _tensor(place: Sequence[Any], made: Mapping[str, Layer]) -> SymbolicTensor:
    name, call, result = place
    if call < 0:
        raise IndexError(call)
    tensor: SymbolicTensor = leaves(made[name].nodes[call].outputs)[result]
    return tensor


def _mapped_places(found: Callable[[Sequence[Any]], SymbolicTensor], entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: _mapped_places(found, part) for key, part in entry.items()}
    if len(entry) == 3 and isinstance(entry[0], str):
        return found(entry)
    return [_mapped_places(found, part) for part in entry]
