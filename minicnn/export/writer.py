"""Writer: puts an ONNX graph together, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.layers.shapes import Shape

IMAGES_FIRST, IMAGES_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """A tensor in the graph: its name, shape and dtype."""

    name: str
    shape: Shape
    dtype: str = "float32"


def library() -> Any:
    """The package onnx, imported only when a model is exported.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "export: needs the package onnx. Install it: pip install 'minicnn[onnx]'."
        ) from error
    return onnx


class Writer:
    """A graph that grows: `input` and `add` give Values, which later nodes take.

        writer = Writer()
        x = writer.input("x", (None, 3), "float32")
        y = writer.add("Relu", x, shape=x.shape)

    Not run as a test, as the other examples are, because it needs the package onnx.
    """

    def __init__(self) -> None:
        self._onnx = library()
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []
        self._names: dict[int, Value] = {}  # of weights that are written already
        self._weights: list[Any] = []  # keeps them alive, and so their ids
        self._turned: dict[str, Value] = {}  # by the names of what was turned

    def input(self, name: str, shape: Shape, dtype: str) -> Value:
        """An input of the graph."""
        return Value(name, (None, *shape[1:]), dtype)

    def output(self, value: Value) -> Value:
        """An output of the graph; it always has a node of its own, as ONNX wants it."""
        return self.add("Identity", value, shape=value.shape)

    def add(self, op: str, *inputs: Value, shape: Shape, **attributes: Any) -> Value:
        """A node, and what comes out of it."""
        name = f"{op.lower()}_{len(self._nodes)}"
        given = [value.name for value in inputs]
        self._nodes.append(self._onnx.helper.make_node(op, given, [name], name=name, **attributes))
        return Value(name, shape, inputs[0].dtype)

    def constant(self, array: Any, dtype: Any = None) -> Value:
        """An array that stands in the file."""
        array = np.ascontiguousarray(array, dtype)
        name = f"constant_{len(self._arrays)}"
        self._arrays.append(self._onnx.numpy_helper.from_array(array, name))
        return Value(name, array.shape, array.dtype.name)

    def integers(self, *numbers: int) -> Value:
        """A row of integers, as the shapes and axes that nodes are told."""
        return self.constant(np.array(numbers, np.int64))

    def weight(self, weight: Any, array: Array) -> Value:
        """A weight, in the form `array`; written once, though a layer may be called twice."""
        if id(weight) not in self._names:
            self._names[id(weight)] = self.constant(array)
            self._weights.append(weight)
        return self._names[id(weight)]

    def images_first(self, x: Value) -> Value:
        """(N, H, W, C) as (N, C, H, W), in which ONNX wants images."""
        if x.name in self._turned:
            return self._turned[x.name]
        N, H, W, C = x.shape
        return self.add("Transpose", x, shape=(N, C, H, W), perm=IMAGES_FIRST)

    def images_last(self, y: Value) -> Value:
        """(N, C, H, W) as (N, H, W, C); whoever turns it back, gets y."""
        N, C, H, W = y.shape
        x = self.add("Transpose", y, shape=(N, H, W, C), perm=IMAGES_LAST)
        self._turned[x.name] = y
        return x

    def as_bytes(
        self,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        opset: int,
        ir_version: int,
    ) -> bytes:
        """The content of the file, after onnx has checked it."""
        helper = self._onnx.helper
        ends = [[self._declared(value) for value in values] for values in (inputs, outputs)]
        graph = helper.make_graph(self._nodes, name, *ends, initializer=self._arrays)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
            producer_name="minicnn",
        )
        self._onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def _declared(self, value: Value) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        sizes = ["batch", *value.shape[1:]]
        return self._onnx.helper.make_tensor_value_info(value.name, kind, sizes)
