"""What x + y and the like make of symbolic tensors: small layers, which take part in the graph.

They are called as Keras calls them, and stand in files as there. A model does not count them among
its layers, as they are no work of the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers.layer import Layer


class Operator(Layer):
    """A function of tensors and numbers that was called with a symbolic tensor.

    Args:
        name: see Layer.
    """

    function: Callable[..., Tensor]

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.call_arguments = ["x", "y"]  # a second one is never `training`

    def as_input(self, x: Any) -> Tensor:
        """A tensor as it is: an operator has no dtype of its own, in Keras neither."""
        is_floating = isinstance(x, Tensor) and x.dtype.kind == "f"
        return x if is_floating else super().as_input(x)

    def call(self, *operands: Any) -> Tensor:
        return type(self).function(*operands)

    def get_config(self) -> dict[str, Any]:
        """Only the name."""
        return {"name": self.name}

    def get_further_config(self) -> dict[str, Any]:
        """Nothing: there is nothing to build."""
        return {}


class Add(Operator):
    """x + y."""

    function = staticmethod(ops.add)


class Subtract(Operator):
    """x - y."""

    function = staticmethod(ops.subtract)


class Multiply(Operator):
    """x * y."""

    function = staticmethod(ops.multiply)


class TrueDivide(Operator):
    """x / y."""

    function = staticmethod(ops.divide)


class Power(Operator):
    """x ** y."""

    function = staticmethod(ops.power)


class Matmul(Operator):
    """x @ y."""

    function = staticmethod(ops.matmul)


class Negative(Operator):
    """-x."""

    function = staticmethod(ops.negative)


class Absolute(Operator):
    """abs(x)."""

    function = staticmethod(ops.abs)


class GetItem(Operator):
    """x[index]."""

    def call(self, x: Tensor, index: Any) -> Tensor:
        return x[tuple(index) if isinstance(index, list) else index]  # files have lists only


class Reshape(Operator):
    """x.reshape(shape); the shape has a batch axis, which can be -1.

    Args:
        newshape: the shape.
        name: see Layer.
    """

    def __init__(self, newshape: Any, name: str | None = None) -> None:
        super().__init__(name)
        self.newshape = tuple(-1 if size is None else size for size in newshape)

    def call(self, x: Tensor) -> Tensor:
        return x.reshape(self.newshape)

    def get_config(self) -> dict[str, Any]:
        """Name and shape."""
        return {**super().get_config(), "newshape": self.newshape}


OPERATORS = {
    operator.__name__: operator
    for operator in (Add, Subtract, Multiply, TrueDivide, Power, Matmul, Negative, Absolute)
} | {"GetItem": GetItem, "Reshape": Reshape}
