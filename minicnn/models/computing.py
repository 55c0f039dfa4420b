"""What the steps of a Plan compute: each from the results so far, a list, and `training`.

They are objects and no functions, because copy.deepcopy copies an object with the layers it holds,
and would let the function of a copied model go on with the layers of the original.
"""

from __future__ import annotations

from typing import Any, Protocol

from minicnn.layers.fusion import call_end_of_block
from minicnn.layers.layer import Layer
from minicnn.layers.node import Node
from minicnn.layers.pipeline import Pipeline
from minicnn.layers.structure import mapped
from minicnn.layers.symbolic import SymbolicTensor

Results = list[Any]


class Compute(Protocol):
    """What all of them are."""

    def __call__(self, results: Results, training: bool | None) -> Any: ...


class Through:
    """Send the result with number `reads` through layers one behind the other."""

    def __init__(self, pipeline: Pipeline, reads: int) -> None:
        self._reads = reads
        self._pipeline = pipeline
        self._alone = pipeline.layers[0] if len(pipeline.layers) == 1 else None

    def __call__(self, results: Results, training: bool | None) -> Any:
        if self._alone is not None:
            return self._alone(results[self._reads], training=training)
        return self._pipeline(results[self._reads], training)


class Then:
    """Compute something, and send it through the layers behind."""

    def __init__(self, compute: Compute, pipeline: Pipeline) -> None:
        self._compute, self._pipeline = compute, pipeline

    def __call__(self, results: Results, training: bool | None) -> Any:
        return self._pipeline(self._compute(results, training), training)


class EndOfBlock:
    """Do the calls at the end of a residual block: normalization, sum and perhaps ReLU in one.

    Args:
        layers: they do these calls.
        source: the number of what is normalized.
        summands: the numbers of what is added up; None stands for what is normalized.
    """

    def __init__(self, layers: list[Layer], source: int, summands: list[int | None]) -> None:
        self._layers, self._source, self._summands = layers, source, summands

    @property
    def reads(self) -> list[int]:
        """The numbers of all results that it needs."""
        return [self._source, *(number for number in self._summands if number is not None)]

    def __call__(self, results: Results, training: bool | None) -> Any:
        others = [None if number is None else results[number] for number in self._summands]
        return call_end_of_block(self._layers, results[self._source], others, bool(training))


class MergingCall:
    """Call a layer with a list of results, and nothing else."""

    def __init__(self, layer: Layer, reads: list[int]) -> None:
        self._layer, self._reads = layer, reads

    def __call__(self, results: Results, training: bool | None) -> Any:
        return self._layer.called(training, {}, [results[number] for number in self._reads])


class AnyCall:
    """Do a call, with results in the places of the symbolic tensors in its arguments."""

    def __init__(self, node: Node, numbers: dict[SymbolicTensor, int]) -> None:
        self._node, self._numbers = node, numbers

    def __call__(self, results: Results, training: bool | None) -> Any:
        def filled(leaf: Any) -> Any:
            return results[self._numbers[leaf]] if isinstance(leaf, SymbolicTensor) else leaf

        node = self._node
        arguments, keywords = mapped(filled, (node.arguments, node.keywords))
        return node.layer(*arguments, **{"training": training, **keywords})
