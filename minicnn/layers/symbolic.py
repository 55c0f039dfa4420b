"""Symbolic tensors: they stand for tensors while a model is put together, before there is data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from minicnn.layers.names import automatic_name
from minicnn.layers.shapes import Shape

if TYPE_CHECKING:
    from minicnn.layers.node import Node


class SymbolicTensor:
    """What a layer will give, of which shape and dtype are known and the numbers are not.

    Input(shape) makes the first one; a layer that is called with symbolic tensors gives others, and
    remembers the call: so a Model can be made of the first and the last. Arithmetic works as with
    tensors: x + y, 2 * x, x / y, x ** 2, x @ y, -x, abs(x), x[:, 0].

    Args:
        shape: with the batch axis, None where the size is not known: (None, 32, 32, 3).
        dtype: of the numbers, as a name.
        name: for messages; None counts: "keras_tensor", "keras_tensor_1", ...

    Differs from Keras: there, its name is KerasTensor.

    >>> from minicnn import layers
    >>> x = layers.Input((8,), name="x")
    >>> x
    <SymbolicTensor shape=(None, 8), dtype=float32, name=x>
    >>> layers.Dense(3)(x * 2).shape
    (None, 3)
    """

    node: Node  # the call that gives it, and which of the results it is
    place: int
    __array_ufunc__ = None  # so that `array * tensor` calls __rmul__

    def __init__(self, shape: Shape, dtype: str = "float32", name: str | None = None) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.name = name or automatic_name("KerasTensor")

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def reshape(self, *shape: Any) -> Any:
        """The same numbers in another shape, given with the batch axis, for which -1 can stand."""
        from minicnn.layers.operators import Reshape

        in_one = len(shape) == 1 and isinstance(shape[0], tuple | list)
        return Reshape(shape[0] if in_one else shape)(self)

    def _operated(self, name: str, *operands: Any) -> Any:
        from minicnn.layers import operators  # here, because that file needs this one

        return getattr(operators, name)()(*operands)

    def __add__(self, other: Any) -> Any:
        return self._operated("Add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._operated("Add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._operated("Subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._operated("Subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._operated("Multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._operated("Multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._operated("TrueDivide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operated("TrueDivide", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._operated("Power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._operated("Power", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._operated("Matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._operated("Matmul", other, self)

    def __neg__(self) -> Any:
        return self._operated("Negative", self)

    def __abs__(self) -> Any:
        return self._operated("Absolute", self)

    def __getitem__(self, index: Any) -> Any:
        return self._operated("GetItem", self, index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise ValueError(
            f"{self!r} is symbolic: it has a shape, but no numbers. Functions of ops and NumPy "
            f"want numbers, so put them into a layer: its call gets tensors."
        )

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is symbolic: there is no telling yet whether it is true.")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} is symbolic, so one cannot go through its rows.")
