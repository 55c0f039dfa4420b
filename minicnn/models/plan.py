"""Plan: how a functional model computes its outputs, step by step.

Where the graph does not branch, the layers make up a Pipeline, as those of a Sequential do, and are
computed together where that is faster. A result is dropped after its last use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from minicnn.autograd import Tensor, is_observed
from minicnn.layers.beginning import Beginning
from minicnn.layers.calling import placeholders, shapes_of, shapes_of_results
from minicnn.layers.calls import Call
from minicnn.layers.fusion import is_end_of_block, is_relu
from minicnn.layers.linking import Use
from minicnn.layers.node import Node
from minicnn.layers.pipeline import Pipeline
from minicnn.layers.shapes import Shape, flat_shapes
from minicnn.layers.structure import leaves, mapped, packed
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.computing import AnyCall, Compute, EndOfBlock, MergingCall, Then, Through
from minicnn.models.graph import Graph


class Step(NamedTuple):
    """Compute some results from others; results are known by their numbers."""

    compute: Compute
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
        self._wanted = [self._numbers[tensor] for tensor in graph.outputs]
        self._calls = [node for node in graph.nodes if not node.is_input]
        self._steps = self._steps_of(self._calls)
        self._uses, self._given = _uses(self._calls, graph)
        self._layers = [node.layer for node in self._calls]
        self._beginning: Beginning | None = None  # as it was when inference last used it
        self._rest: list[Step] = []  # the steps behind it

    def __call__(self, inputs: Sequence[Tensor], training: bool | None) -> Any:
        """The outputs for inputs in the order of graph.inputs, in the structure of the outputs."""
        results: list[Any] = [None] * len(self._numbers)
        results[: len(inputs)] = inputs
        steps = self._steps
        if not training and len(inputs) == 1 and not is_observed():
            beginning = self._beginning_for(inputs[0])
            if beginning:
                last = self._calls[beginning.count - 1]
                results[self._numbers[last.outputs]] = beginning(inputs[0])
                steps = self._rest
        for compute, makes, drops in steps:
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

    def _beginning_for(self, x: Tensor) -> Beginning:
        if self._beginning is None or not self._beginning.holds(self._layers, x):
            self._beginning = Beginning(self._uses, x, self._given)
            self._rest = self._steps_of(self._calls[self._beginning.count :])
        return self._beginning

    def _steps_of(self, calls: Sequence[Node]) -> list[Step]:
        """The steps that do these calls, which come one after the other."""
        stretches = _stretches(calls, self._graph.outputs)
        return self._without_waste([self._step(nodes) for nodes in stretches])

    def _step(self, nodes: list[Node]) -> tuple[Step, list[int]]:
        """The step that does these calls, and the numbers of what it reads."""
        makes = [self._numbers[tensor] for tensor in leaves(nodes[-1].outputs)]
        if _end_a_block(nodes):
            count = 3 if len(nodes) > 2 and is_relu(nodes[2].layer) else 2
            end = self._end_of_block(nodes[:count])
            compute: Compute = end
            reads = end.reads
        elif _is_plain(nodes[0]):
            reads = [self._numbers[nodes[0].inputs[0]]]
            return Step(Through(_pipeline(nodes), reads[0]), makes, []), reads
        else:
            count, reads = 1, [self._numbers[tensor] for tensor in nodes[0].inputs]
            compute = self._call_of(nodes[0])
        rest = _pipeline(nodes[count:])
        return Step(Then(compute, rest) if rest.layers else compute, makes, []), reads

    def _end_of_block(self, nodes: Sequence[Node]) -> EndOfBlock:
        """What does the calls at the end of a residual block."""
        layers, (norm, add) = [node.layer for node in nodes], nodes[:2]
        source = self._numbers[norm.inputs[0]]
        summands = [None if x is norm.outputs else self._numbers[x] for x in add.inputs]
        return EndOfBlock(layers, source, summands)

    def _call_of(self, node: Node) -> Compute:
        """What does a call of a layer, whatever its arguments are."""
        if _takes_one_list(node) and self._is_of_one_dtype(node):
            return MergingCall(node.layer, [self._numbers[tensor] for tensor in node.inputs])
        return AnyCall(node, self._numbers)

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


def _pipeline(nodes: Sequence[Node]) -> Pipeline:
    return Pipeline([node.layer for node in nodes])


def _is_plain(node: Node) -> bool:
    """Whether one tensor goes in, and one comes out, and nothing else is said."""
    alone = not node.keywords and node.arguments == tuple(node.inputs)
    return alone and len(node.inputs) == 1 and isinstance(node.outputs, SymbolicTensor)


def _takes_one_list(node: Node) -> bool:
    """Whether a list of tensors goes in, and nothing else is said."""
    return not node.keywords and list(node.arguments) == [node.inputs]


def _uses(calls: Sequence[Node], graph: Graph) -> tuple[list[Use], list[int]]:
    """The calls as a Beginning wants them, and the numbers that the outputs have there."""
    numbers = {graph.inputs[0]: 0}
    for number, call in enumerate(calls, start=1):
        if isinstance(call.outputs, SymbolicTensor):
            numbers[call.outputs] = number
    uses = []
    for call in calls:
        reads = tuple(numbers[tensor] for tensor in call.inputs if tensor in numbers)
        usual = _is_plain(call) or _takes_one_list(call)
        special = not usual or len(reads) < len(call.inputs) or call.outputs not in numbers
        uses.append(Use(call.layer, reads, special))
    return uses, [numbers[tensor] for tensor in graph.outputs if tensor in numbers]


def _stretches(calls: Sequence[Node], outputs: Sequence[SymbolicTensor]) -> list[list[Node]]:
    """The calls, grouped: what only one call reads, and nothing else, comes together with it."""
    readers = Counter(tensor for node in calls for tensor in node.inputs)
    readers.update(outputs)
    reader_of = {tensor: node for node in calls for tensor in node.inputs}
    done: set[Node] = set()
    stretches: list[list[Node]] = []
    for node in calls:
        if node in done:
            continue
        stretch = [node]
        while isinstance(stretch[-1].outputs, SymbolicTensor):
            following = reader_of.get(stretch[-1].outputs)
            alone = readers[stretch[-1].outputs] == 1
            if following is None or not alone or not _is_plain(following):
                break
            stretch.append(following)
        done.update(stretch)
        stretches.append(stretch)
    return _with_ends_of_blocks(stretches, readers)


def _with_ends_of_blocks(
    stretches: Sequence[list[Node]], readers: Counter[SymbolicTensor]
) -> list[list[Node]]:
    """The stretches, but a normalization that only an Add reads belongs to that of the Add."""
    ends = {stretch[-1].outputs: stretch for stretch in stretches if _is_plain(stretch[-1])}
    for stretch in stretches:
        for tensor in stretch[0].inputs:
            before = ends.get(tensor)
            if before and readers[tensor] == 1 and _end_a_block([before[-1], stretch[0]]):
                stretch.insert(0, before.pop())
                break
    return [stretch for stretch in stretches if stretch]


def _end_a_block(nodes: Sequence[Node]) -> bool:
    """Whether a normalization is followed by an Add."""
    if len(nodes) < 2 or not (_is_plain(nodes[0]) and _takes_one_list(nodes[1])):
        return False
    return is_end_of_block(nodes[0].layer, nodes[1].layer)
