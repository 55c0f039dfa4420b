"""A model as an ONNX file, which ONNX Runtime and many other programs can compute.

Only what inference needs is written: layers that do something while a model learns, and nothing
else, are left out. Images stay (N, H, W, C) from the first input to the last output.
"""

from __future__ import annotations

import os
from typing import Any

from minicnn.export.converters import CONVERTERS
from minicnn.export.writer import Value, Writer
from minicnn.files import write_file
from minicnn.layers import Layer
from minicnn.layers.structure import leaves, mapped
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models import Model, Sequential
from minicnn.models.arranging import arranged

OPSET, IR_VERSION = 22, 10  # of ONNX 1.17, October 2024


def export_onnx(model: Model, filepath: str | os.PathLike[str]) -> None:
    """Write a model as an ONNX file, for inference. The batch can have any size.

    Args:
        model: a built Sequential, or one that is made of inputs and outputs.
        filepath: ends in ".onnx".

    Raises:
        ImportError: the package onnx is not installed.
        ValueError: the path has another ending, or the model is not built or a subclass with a
            `call` of its own.
        NotImplementedError: ONNX has nothing like one of the layers.
        OSError: the file cannot be written.
    """
    path = os.fspath(filepath)
    if not path.endswith(".onnx"):
        raise ValueError(f"export: the file name must end in '.onnx', but is {path!r}.")
    if not model.built or (model.graph is None and not isinstance(model, Sequential)):
        raise ValueError(
            f"export: {model.title} cannot be exported, as it is not made of symbolic inputs and "
            f"outputs, or not built yet. Begin it with Input(shape)."
        )
    writer = Writer()
    inputs = [writer.input(tensor.name, tensor.shape, tensor.dtype) for tensor in model.inputs]
    outputs = [writer.output(value) for value in leaves(_of_model(writer, model, inputs))]
    write_file(path, writer.as_bytes(model.name, inputs, outputs, OPSET, IR_VERSION))


def _of_layer(writer: Writer, layer: Layer, given: tuple[Any, ...]) -> Any:
    """The values that a layer makes of others."""
    if isinstance(layer, Sequential) or getattr(layer, "graph", None) is not None:
        model: Any = layer
        graph = model.graph
        values = [given[0]] if graph is None else arranged(given[0], graph, model.title)
        return _of_model(writer, model, values)
    for cls in type(layer).__mro__:
        if cls in CONVERTERS:
            found: Value = CONVERTERS[cls](writer, layer, *given)
            return found
    raise NotImplementedError(
        f"export: {layer.title} cannot be written as ONNX, which has nothing like it. Export a "
        f"model without it, and compute it outside."
    )


def _of_model(writer: Writer, model: Any, values: list[Value]) -> Any:
    """The structure of the values of the outputs."""
    if isinstance(model, Sequential):
        (x,) = values
        for layer in model.layers:
            x = _of_layer(writer, layer, (x,))
        return x
    graph = model.graph
    known: dict[SymbolicTensor, Value] = dict(zip(graph.inputs, values, strict=True))

    def filled(leaf: Any) -> Any:
        return known[leaf] if isinstance(leaf, SymbolicTensor) else leaf

    for node in graph.nodes:
        if not node.is_input:
            results = _of_layer(writer, node.layer, mapped(filled, node.arguments))
            known.update(zip(leaves(node.outputs), leaves(results), strict=True))
    return mapped(filled, graph.output_structure)
