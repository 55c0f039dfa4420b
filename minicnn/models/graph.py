"""The graph of a functional model: which layers lie between its inputs and its outputs, in order.

The order is that of Keras, because it decides about names in files and the order of weights: a
layer comes the earlier, the more layers lie between it and the outputs, on the longest way; among
equals, the one that is met first on the way back from the outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minicnn.layers import InputLayer, Layer
from minicnn.layers.node import Node
from minicnn.layers.structure import leaves, mapped
from minicnn.layers.symbolic import SymbolicTensor


class Graph:
    """The calls that lead from some symbolic tensors to others.

    Args:
        inputs: a structure of symbolic tensors. One that no Input has made begins a new graph, as
            if an Input had made it.
        outputs: a structure of symbolic tensors that were computed from these.

    Raises:
        TypeError: they are no symbolic tensors.
        ValueError: an output cannot be computed from the inputs, or two layers have one name.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        _check_symbolic("inputs", inputs)
        _check_symbolic("outputs", outputs)
        if any(not tensor.node.is_input for tensor in leaves(inputs)):
            inputs, outputs = _begun_at(inputs, outputs)
        self.input_structure = inputs
        self.output_structure = outputs
        self.inputs: list[SymbolicTensor] = leaves(inputs)
        self.outputs: list[SymbolicTensor] = leaves(outputs)
        backward = _from_outputs(self.outputs, set(self.inputs))
        of_nodes, of_layers = _depths(backward, self.inputs)
        met = {layer: k for k, layer in enumerate(_layers_as_met(backward, self.inputs))}
        self.operations = sorted(met, key=lambda layer: (-of_layers[layer], met[layer]))
        self.nodes = sorted(of_nodes, key=lambda node: -of_nodes[node])
        self._depths = [of_nodes[node] for node in self.nodes]
        self._members = set(self.nodes)
        self._check_connections()
        _check_names(self.operations)

    def _check_connections(self) -> None:
        known = set(self.inputs)
        for node in self.nodes:
            if node.is_input:
                continue
            for tensor in node.inputs:
                if tensor not in known:
                    raise ValueError(
                        f"Model: the graph is disconnected: {tensor}, which {node.layer.title} "
                        f"needs, cannot be computed from the inputs. Add the Input that it was "
                        f"made from to them."
                    )
            known.update(leaves(node.outputs))
        for k, tensor in enumerate(self.outputs):
            if tensor not in known:
                raise ValueError(
                    f"Model: output {k}, {tensor}, is not connected to the inputs. Compute it "
                    f"from them, or add the Input that it was made from to them."
                )

    def calls_of(self, layer: Layer) -> list[Node]:
        """The calls of a layer that belong to this graph, in order."""
        return [node for node in layer.nodes if node in self._members]

    def is_a_chain(self) -> bool:
        """Whether each layer is called once, with what the layer before it gives."""
        alone = len(set(self._depths)) == len(self.nodes) == len(self.operations)
        return alone and all(len(node.inputs) <= 1 for node in self.nodes)


def _check_symbolic(name: str, structure: Any) -> None:
    for tensor in leaves(structure):
        if not isinstance(tensor, SymbolicTensor):
            kind = f"{tensor!r} ({type(tensor).__name__})"
            raise TypeError(
                f"Model: {name} must be symbolic tensors, as Input(shape) and layers called with "
                f"them give, but got {kind}."
            )


class _Backward:
    """What is met on the way from the outputs back to the inputs."""

    def __init__(self) -> None:
        self.finished: dict[Node, None] = {}  # each call after those that it reads from
        self.met: dict[Layer, None] = {}


def _from_outputs(outputs: Sequence[SymbolicTensor], inputs: set[SymbolicTensor]) -> _Backward:
    """Depth first; a loop and not a recursion, because a deep network would exceed its limit."""
    found = _Backward()
    todo: dict[Node, Iterator[SymbolicTensor]] = {}  # begun, each with what it still has to read
    for output in outputs:
        _begin(output, inputs, todo, found)
        while todo:
            node = next(reversed(todo))
            tensor = next(todo[node], None)
            if tensor is not None:
                _begin(tensor, inputs, todo, found)
            else:
                del todo[node]
                found.finished[node] = None
    return found


def _begin(
    tensor: SymbolicTensor,
    inputs: set[SymbolicTensor],
    todo: dict[Node, Iterator[SymbolicTensor]],
    found: _Backward,
) -> None:
    node = tensor.node
    if node in found.finished or (tensor in inputs and not node.is_input):
        return
    if node in todo:
        raise ValueError(f"Model: {node.layer.title} is part of a cycle: it needs its own output.")
    found.met.setdefault(node.layer)
    todo[node] = iter(node.inputs)


def _depths(
    backward: _Backward, inputs: Sequence[SymbolicTensor]
) -> tuple[dict[Node, int], dict[Layer, int]]:
    """How many calls lie between each call, or layer, and the outputs, on the longest way."""
    of_nodes: dict[Node, int] = {}
    of_layers: dict[Layer, int] = {}
    for node in reversed(backward.finished):
        depth = max(of_nodes.get(node, 0), of_layers.get(node.layer, 0))
        of_layers[node.layer] = of_nodes[node] = depth
        for tensor in node.inputs:
            if tensor.node in backward.finished:
                of_nodes[tensor.node] = max(of_nodes.get(tensor.node, 0), depth + 1)
    for tensor in inputs:
        if tensor.node.is_input and tensor.node not in of_nodes:  # no output needs it
            of_layers[tensor.node.layer] = of_nodes[tensor.node] = 0
    return of_nodes, of_layers


def _layers_as_met(backward: _Backward, inputs: Sequence[SymbolicTensor]) -> list[Layer]:
    """In the order of the way back from the outputs; before them inputs that no output needs."""
    layers = [tensor.node.layer for tensor in inputs if tensor.node.is_input]
    unused = [layer for layer in layers if layer not in backward.met]
    return list(dict.fromkeys([*unused, *backward.met]))


def _check_names(operations: Sequence[Layer]) -> None:
    names = [layer.name for layer in operations]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Model: the name {name!r} is used {names.count(name)} times, but each layer needs "
                f"a name of its own. Give one of them another: name='...'."
            )


def _begun_at(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Copy the calls between `inputs`, of which some lie amid a graph, and `outputs`."""
    copies: dict[SymbolicTensor, SymbolicTensor] = {}
    for tensor in leaves(inputs):
        copies[tensor] = tensor
        if not tensor.node.is_input:
            layer = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
            copies[tensor] = layer.output

    def copied(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        if leaf not in copies:
            copies[leaf] = SymbolicTensor(leaf.shape, leaf.dtype, leaf.name)
        return copies[leaf]

    for node in _from_outputs(leaves(outputs), set(leaves(inputs))).finished:
        if not node.is_input:
            Node(node.layer, *mapped(copied, (node.arguments, node.keywords, node.outputs)))
    return mapped(copied, inputs), mapped(copied, outputs)
