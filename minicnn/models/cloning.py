"""clone_model, and models as JSON: what is saved of a model but its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from minicnn.layers import Input, InputLayer, Layer
from minicnn.layers.structure import leaves, mapped, packed
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.graph import Graph
from minicnn.models.model import Model
from minicnn.models.sequential import Sequential
from minicnn.models.serialization import deserialize_keras_object


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with new weights, from what model.to_json(), here or in Keras, has returned.

    Args:
        json_string: the text.
        custom_objects: classes and functions of the user's own, by name.

    Raises:
        ValueError: the text is no JSON, or names a class that is not known.
        TypeError: an argument of a layer is wrong.

    >>> from minicnn.layers import Dense
    >>> model = Sequential([Input((4,)), Dense(3)])
    >>> model_from_json(model.to_json()).output_shape
    (None, 3)
    """
    return deserialize_keras_object(json.loads(json_string), custom_objects)


def _remade(layer: Layer) -> Layer:
    copy: Layer = type(layer).from_config(layer.get_config())
    return copy


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """Make a model of the same layers, with new weights.

    Args:
        model: a Sequential or functional model.
        input_tensors: symbolic tensors to begin with; None makes new ones.
        clone_function: makes the new layer from the old one; by default from its config.
        call_function: calls the new layer, call_function(layer, *arguments, **keywords), and so can
            put something before or behind it; for functional models.
        recursive: whether models within the model are cloned in this way, too.

    Raises:
        ValueError: the model is neither.

    >>> from minicnn.layers import Dense
    >>> model = Sequential([Input((4,)), Dense(3)])
    >>> clone_model(model).count_params(), clone_model(model).layers[0] is model.layers[0]
    (15, False)
    """
    make = clone_function or _remade

    def cloned(layer: Layer) -> Layer:
        if recursive and isinstance(layer, Model) and _can_be_cloned(layer):
            inner: Layer = clone_model(layer, None, clone_function, call_function, True)
            return inner
        return make(layer)

    if isinstance(model, Sequential):
        return _cloned_chain(model, input_tensors, cloned)
    if model.graph is None:
        raise ValueError(
            f"clone_model: {model.title} is neither a Sequential nor made of inputs and outputs. "
            f"Use its config: type(model).from_config(model.get_config())."
        )
    inputs, outputs = _replayed(model.graph, input_tensors, cloned, call_function)
    return type(model)(inputs=inputs, outputs=outputs, name=model.name)


def _can_be_cloned(model: Model) -> bool:
    return isinstance(model, Sequential) or model.graph is not None


def _cloned_chain(
    model: Sequential, input_tensors: Any, cloned: Callable[[Layer], Layer]
) -> Sequential:
    layers: list[Any] = [cloned(layer) for layer in model.layers]
    if input_tensors is not None:
        layers = [*leaves(input_tensors), *layers]
    elif model.built:
        layers.insert(0, _remade(model.input.node.layer))
    return Sequential(layers, name=model.name, trainable=model.trainable)


def _replayed(
    graph: Graph,
    input_tensors: Any,
    cloned: Callable[[Layer], Layer],
    call_function: Callable[..., Any] | None,
) -> tuple[Any, Any]:
    """Inputs and outputs of the same graph, of new layers."""
    copies: dict[SymbolicTensor, Any] = {}
    given = leaves(input_tensors) if input_tensors is not None else [None] * len(graph.inputs)
    for old, new in zip(graph.inputs, given, strict=True):
        name = old.node.layer.name
        copies[old] = Input(batch_shape=old.shape, name=name) if new is None else new
    made = {x: cloned(x) for x in graph.operations if not isinstance(x, InputLayer)}

    def copied(leaf: Any) -> Any:
        return copies[leaf] if isinstance(leaf, SymbolicTensor) else leaf

    for node in graph.nodes:
        if not node.is_input:
            arguments, keywords = mapped(copied, (node.arguments, node.keywords))
            layer = made[node.layer]
            call = layer if call_function is None else call_function
            first = () if call_function is None else (layer,)
            results = call(*first, *arguments, **keywords)
            copies.update(zip(leaves(node.outputs), leaves(results), strict=True))
    inputs = packed(graph.input_structure, [copies[x] for x in graph.inputs])
    return inputs, packed(graph.output_structure, [copies[x] for x in graph.outputs])
