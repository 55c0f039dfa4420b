"""Node: one call of a layer with symbolic tensors. Nodes and tensors are the graph of a model.

Each tensor knows the node that gives it, tensor.node, and which of its results it is, tensor.place;
each layer knows its calls, layer.nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicnn.layers.structure import leaves
from minicnn.layers.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from minicnn.layers.layer import Layer


class Node:
    """One symbolic call of a layer.

    Args:
        layer: what is called; it remembers the node.
        arguments: the positional arguments of the call, with symbolic tensors among them.
        keywords: its other arguments.
        outputs: a structure of new symbolic tensors, which stand for what the call returns.
    """

    def __init__(
        self, layer: Layer, arguments: tuple[Any, ...], keywords: dict[str, Any], outputs: Any
    ) -> None:
        self.layer = layer
        self.arguments = arguments
        self.keywords = keywords
        self.outputs = outputs
        self.inputs = symbolic_tensors((arguments, keywords))
        self.number = len(layer.nodes)
        layer.nodes.append(self)
        for place, tensor in enumerate(leaves(outputs)):
            tensor.node, tensor.place = self, place

    @property
    def is_input(self) -> bool:
        """Whether this is no real call, but what Input has made."""
        return not self.inputs

    def __repr__(self) -> str:
        return f"<Node {self.number} of {self.layer.name}>"


def symbolic_tensors(structure: Any) -> list[SymbolicTensor]:
    """All symbolic tensors among the leaves of a structure, in order."""
    return [leaf for leaf in leaves(structure) if isinstance(leaf, SymbolicTensor)]
