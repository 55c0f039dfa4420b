"""Plan: how a functional model computes its outputs, step by step.

Where the graph does not branch, the layers make up a Pipeline, as those of a Sequential do, and are
computed together where that is faster. A result is dropped after its last use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minicnn.autograd import Tensor
from minicnn.layers.calling import placeholders, shapes_of, shapes_of_results
from minicnn.layers.calls import Call
from minicnn.layers.node import Node
from minicnn.layers.pipeline import Pipeline
from minicnn.layers.shapes import Shape, flat_shapes
from minicnn.layers.structure import leaves, mapped, packed
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.graph import Graph


class Step(NamedTuple):
    """Compute some results from others; results are known by their numbers."""

    compute: Callable[[list[Any], bool | None], Any]
    makes: list[int]
    drops: list[int]  # what no later step needs


class Plan:
    """The steps from the inputs of a graph to its outputs.

    Args:
        graph: its layers are built.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._numbers: dict[SymbolicTensor, int] = {}
        for tensor in [*graph.inputs, *(t for node in graph.nodes for t in leaves(node.outputs))]:
            self._numbers.setdefault(tensor, len(self._numbers))
        self._steps = self._without_waste([self._step(nodes) for nodes in _stretches(graph)])
        self._wanted = [self._numbers[tensor] for tensor in graph.outputs]

    def __call__(self, inputs: Sequence[Tensor], training: bool | None) -> Any:
        """The outputs for inputs in the order of graph.inputs, in the structure of the outputs."""
        results: list[Any] = [None] * len(self._numbers)
        results[: len(inputs)] = inputs
        for compute, makes, drops in self._steps:
            made = compute(results, training)
            if len(makes) == 1:
                results[makes[0]] = made if isinstance(made, Tensor) else leaves(made)[0]
            else:
                for number, tensor in zip(makes, leaves(made), strict=True):
                    results[number] = tensor
            for number in drops:
                results[number] = None
        outputs = self._graph.output_structure
        if len(self._wanted) == 1 and not isinstance(outputs, dict):
            return results[self._wanted[0]]  # Keras, too, takes it out of a list of one
        return packed(outputs, [results[number] for number in self._wanted])

    def _step(self, nodes: list[Node]) -> tuple[Step, list[int]]:
        """The step that does these calls, and the numbers of what it reads."""
        reads = [self._numbers[tensor] for tensor in nodes[0].inputs]
        makes = [self._numbers[tensor] for tensor in leaves(nodes[-1].outputs)]
        compute = self._call_of(nodes[0])
        if _is_plain(nodes[0]):
            compute = _through(Pipeline([node.layer for node in nodes]), reads[0])
        return Step(compute, makes, []), reads

    def _call_of(self, node: Node) -> Callable[[list[Any], bool | None], Any]:
        """What fills results in where the arguments of a call have symbolic tensors."""
        numbers = self._numbers
        layer, given = node.layer, (node.arguments, node.keywords)

        def compute(results: list[Any], training: bool | None) -> Any:
            def filled(leaf: Any) -> Any:
                return results[numbers[leaf]] if isinstance(leaf, SymbolicTensor) else leaf

            arguments, keywords = mapped(filled, given)
            return layer(*arguments, **{"training": training, **keywords})

        def compute_merged(results: list[Any], training: bool | None) -> Any:
            return layer.called(training, {}, [results[number] for number in reads])

        reads = [numbers[tensor] for tensor in node.inputs]
        one_list = not node.keywords and list(node.arguments) == [node.inputs]
        return compute_merged if one_list and self._is_of_one_dtype(node) else compute

    def _is_of_one_dtype(self, node: Node) -> bool:
        return all(tensor.dtype == node.layer.dtype for tensor in node.inputs)

    def _without_waste(self, steps: Sequence[tuple[Step, list[int]]]) -> list[Step]:
        """The steps, each told what to drop: what it reads or makes, and no later one needs."""
        needed = {self._numbers[tensor] for tensor in self._graph.outputs}
        told: list[Step] = []
        for step, reads in reversed(steps):
            drops = {*reads, *step.makes} - needed
            needed.update(drops)
            told.insert(0, step._replace(drops=sorted(drops)))
        return told

    def shapes(self, given: Sequence[Shape]) -> Any:
        """The structure of the shapes of the outputs, for inputs of these shapes."""
        found = self._all_shapes(given)
        return mapped(lambda tensor: found[tensor], self._graph.output_structure)

    def calls(self, given: Sequence[Shape]) -> list[Call]:
        """The calls of all layers, for inputs of these shapes; an input gives what it takes."""
        found = self._all_shapes(given)

        def shape_of(leaf: Any) -> Any:
            return found[leaf] if isinstance(leaf, SymbolicTensor) else ()

        calls = []
        for node in self._graph.nodes:
            output_shape = mapped(shape_of, node.outputs)
            takes = output_shape if node.is_input else mapped(shape_of, node.arguments[0])
            calls.append(Call(node.layer, takes, output_shape))
        return calls

    def _all_shapes(self, given: Sequence[Shape]) -> dict[SymbolicTensor, Shape]:
        found: dict[SymbolicTensor, Shape] = dict(zip(self._graph.inputs, given, strict=True))
        for node in self._graph.nodes:
            if not node.is_input:
                results = _shapes_from(node, found)
                found.update(zip(leaves(node.outputs), flat_shapes(results), strict=True))
        return found


def _shapes_from(node: Node, found: dict[SymbolicTensor, Shape]) -> Any:
    def at_hand(leaf: Any) -> Any:
        known = isinstance(leaf, SymbolicTensor)
        return placeholders(found[leaf], leaf.dtype) if known else leaf

    arguments, keywords = mapped(at_hand, (node.arguments, node.keywords))
    if len(arguments) == 1 and not keywords:
        return node.layer.compute_output_shape(shapes_of(arguments[0]))
    return shapes_of_results(node.layer, arguments, keywords)


def _through(pipeline: Pipeline, reads: int) -> Callable[[list[Any], bool | None], Any]:
    if len(pipeline.layers) == 1:
        (layer,) = pipeline.layers
        return lambda results, training: layer(results[reads], training=training)
    return lambda results, training: pipeline(results[reads], training)


def _is_plain(node: Node) -> bool:
    """Whether one tensor goes in, and one comes out, and nothing else is said."""
    alone = not node.keywords and node.arguments == tuple(node.inputs)
    return alone and len(node.inputs) == 1 and isinstance(node.outputs, SymbolicTensor)


def _stretches(graph: Graph) -> list[list[Node]]:
    """The calls, grouped: plain ones of which nobody but the next reads come together."""
    readers = Counter(tensor for node in graph.nodes for tensor in node.inputs)
    readers.update(graph.outputs)
    reader_of = {tensor: node for node in graph.nodes for tensor in node.inputs}
    done: set[Node] = set()
    stretches: list[list[Node]] = []
    for node in graph.nodes:
        if node.is_input or node in done:
            continue
        stretch = [node]
        while _is_plain(stretch[-1]) and readers[stretch[-1].outputs] == 1:
            following = reader_of.get(stretch[-1].outputs)
            if following is None or not _is_plain(following):
                break
            stretch.append(following)
        done.update(stretch)
        stretches.append(stretch)
    return stretches
