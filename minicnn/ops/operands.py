"""What two operands share before an elementwise op sees them: one dtype and one shape."""

from typing import Any

import numpy as np

from minicnn.autograd import Operand, Tensor
from minicnn.backend import repeated
from minicnn.ops.reduce import broadcast_to
from minicnn.ops.shape import cast

NUMBERS = (int, float, np.number)


def alike(who: str, x: Operand, y: Operand) -> tuple[Tensor, Tensor]:
    """Make two tensors of one dtype and one shape out of two operands.

    A number takes the dtype of the tensor beside it, and so do integers and truth values beside
    floating point; otherwise the wider type wins. Shapes follow NumPy's rules of broadcasting.

    Args:
        who: the function that asks, for the error message.
        x: a tensor, an array or a number.
        y: likewise.

    Raises:
        ValueError: the shapes do not fit.

    >>> x, y = alike("add", Tensor([[1.0], [2.0]]), 3)
    >>> y.shape, y.dtype
    ((2, 1), dtype('float32'))
    """
    x, y = of_one_dtype(x, y)
    if x.data.shape != y.data.shape:
        shape = common_shape(who, x.shape, y.shape)
        x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    return x, y


def of_one_dtype(x: Operand, y: Operand) -> tuple[Tensor, Tensor]:
    """Make two tensors of one dtype out of two operands; see alike().

    >>> x, y = of_one_dtype(Tensor([1.0, 2.0]), np.array([1, 2, 3]))
    >>> y.dtype
    dtype('float32')
    """
    if not isinstance(x, Tensor):
        x = _tensor(x, beside=y)
    if not isinstance(y, Tensor):
        y = _tensor(y, beside=x)
    if x.data.dtype != y.data.dtype:
        dtype = _common_dtype(x.data.dtype, y.data.dtype)
        x, y = _of_dtype(x, dtype), _of_dtype(y, dtype)
    return x, y


def common_shape(who: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Find the shape that all `shapes` can be broadcast to.

    Raises:
        ValueError: there is none.

    >>> common_shape("add", (2, 1), (3,))
    (2, 3)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"{who}: the shapes {' and '.join(map(str, shapes))} do not fit together. Counted from "
            f"the last axis, sizes must be equal or 1."
        ) from None


def _tensor(x: Any, beside: Operand) -> Tensor:
    """`x` as a tensor on the device of that beside it; a number gets its dtype and shape, too."""
    if not isinstance(beside, Tensor):
        return Tensor(x)
    if not isinstance(x, NUMBERS):
        return Tensor(x, device=beside.device)
    dtype = beside.data.dtype
    if dtype.kind != "f":  # a fraction beside integers makes floating point, an integer does not
        dtype = np.result_type(dtype, x.item() if isinstance(x, np.number) else x)
    # a number has no gradient, so it is repeated without an op that could carry one back
    return Tensor(repeated(x, beside.data.shape, dtype, beside.data), device=beside.device)


def _common_dtype(x: np.dtype[Any], y: np.dtype[Any]) -> np.dtype[Any]:
    if (x.kind == "f") != (y.kind == "f"):
        return x if x.kind == "f" else y
    return np.result_type(x, y)


def _of_dtype(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """`x` as `dtype`; integers have no gradient to be kept, so they need no op."""
    return cast(x, dtype) if dtype.kind == "f" else Tensor(x.data.astype(dtype), device=x.device)
