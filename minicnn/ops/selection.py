"""Choose between numbers: what is chosen receives the gradient, the other gets 0."""

from typing import Any

import numpy as np

from minicnn.autograd import Op, Operand, Tensor
from minicnn.backend import Array, array_module, beside, kernels
from minicnn.ops import operands
from minicnn.ops.reduce import broadcast_to


class Keep(Op):
    """y = x where `condition` holds, else 0;   dx = dy where it holds, else 0."""

    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, x: Array) -> Array:
        return np.where(self.condition, x, x.dtype.type(0))

    def backward(self, dy: Tensor) -> Tensor:
        return Keep(self.condition)(dy)


class Choose(Op):
    """z = x where `condition` holds, else y;   dx = dz where it holds, dy = dz elsewhere."""

    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, x: Array, y: Array) -> Array:
        return np.where(self.condition, x, y)

    def backward(self, dz: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return _shared(dz, self.condition, *self.inputs)


class TakeLarger(Op):
    """z = the larger of x and y;   dx = dz where it is x, dy = dz where it is y."""

    def forward(self, x: Array, y: Array) -> Array:
        return np.maximum(x, y)

    def backward(self, dz: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, y = self.inputs
        return _shared(dz, (x.data >= y.data) | np.isnan(x.data), x, y)


class TakeSmaller(Op):
    """z = the smaller of x and y;   dx = dz where it is x, dy = dz where it is y."""

    def forward(self, x: Array, y: Array) -> Array:
        return np.minimum(x, y)

    def backward(self, dz: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, y = self.inputs
        return _shared(dz, (x.data <= y.data) | np.isnan(x.data), x, y)


class Clip(Op):
    """y = x, but at least `low` and at most `high`;   dx = dy where low <= x <= high, else 0."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        return np.clip(x, self.low, self.high)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return Keep((x.data >= self.low) & (x.data <= self.high))(dy)


def where(condition: Any, x: Operand, y: Operand) -> Tensor:
    """Take x where `condition` holds, and y elsewhere.

        z = x  where condition, else y

    Only what was taken shows in z:

        dx = dz  where condition, else 0
        dy = 0   where condition, else dz

    Args:
        condition: an array of truth values, as `a > b` gives it. It has no gradient.
        x: a tensor or a number; its shape can be broadcast with the others.
        y: likewise.

    Returns:
        A tensor of the common shape.

    Raises:
        TypeError: the condition does not consist of truth values.
        ValueError: the shapes do not fit.

    >>> x = Tensor([1.0, -2.0])
    >>> where(x > 0, x, 10 * x)
    Tensor([  1. -20.])
    """
    condition = condition.data if isinstance(condition, Tensor) else condition
    condition = condition if kernels.is_gpu_array(condition) else np.asarray(condition)
    if condition.dtype != bool:
        raise TypeError(
            f"where: the condition must consist of truth values, but is {condition.dtype}. "
            f"Write a comparison, as x > 0."
        )
    x, y = operands.alike("where", x, y)
    shape = operands.common_shape("where", condition.shape, x.shape)
    condition = beside(condition, x.data)
    # a copy that nobody else can change
    condition = array_module(condition).broadcast_to(condition, shape).copy()
    return Choose(condition)(broadcast_to(x, shape), broadcast_to(y, shape))


def maximum(x: Operand, y: Operand) -> Tensor:
    """Take the larger of x and y, number by number.

        z = max(x, y)

    The larger one receives dz, the other 0. Where both are equal there is a kink, and x, the first
    operand, receives all. NaN counts as larger than everything.

    Args:
        x: any shape.
        y: a shape that can be broadcast with that of x.

    Returns:
        A tensor of the common shape.

    Raises:
        ValueError: the shapes do not fit.

    >>> maximum(Tensor([1.0, 5.0]), 3)
    Tensor([3. 5.])
    """
    return TakeLarger()(*operands.alike("maximum", x, y))


def minimum(x: Operand, y: Operand) -> Tensor:
    """Take the smaller of x and y, number by number.

        z = min(x, y)

    The smaller one receives dz, the other 0. Where both are equal there is a kink, and x, the first
    operand, receives all. NaN counts as smaller than everything.

    Args:
        x: any shape.
        y: a shape that can be broadcast with that of x.

    Returns:
        A tensor of the common shape.

    Raises:
        ValueError: the shapes do not fit.

    >>> minimum(Tensor([1.0, 5.0]), 3)
    Tensor([1. 3.])
    """
    return TakeSmaller()(*operands.alike("minimum", x, y))


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """Push x into the range from `low` to `high`.

        y = min(max(x, low), high)

    Between the bounds y moves with x, beyond them it stands still. On a bound there is a kink, and
    the gradient passes:

        dx = dy  where low <= x <= high, else 0

    Args:
        x: any shape.
        low: the smallest y; -inf for no bound.
        high: the largest y; inf for no bound.

    Returns:
        A tensor of the shape of x; NaN stays NaN.

    Raises:
        ValueError: low is above high.

    >>> clip(Tensor([-2.0, 0.5, 3.0]), 0, 1)
    Tensor([0.  0.5 1. ])
    """
    if not low <= high:
        raise ValueError(f"clip: low must not be above high, but they are {low} and {high}.")
    return Clip(low, high)(x)


def _shared(dz: Tensor, first: Array, x: Tensor, y: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """`dz` for x where `first` holds, and for y elsewhere."""
    dx = Keep(first)(dz) if x.requires_grad else None
    dy = Keep(~first)(dz) if y.requires_grad else None
    return dx, dy
