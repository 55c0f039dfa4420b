"""The S-shaped activations: sigmoid and tanh."""

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels

COMPILED = (np.float32, np.float64)  # NumPy does the rest


class Sigmoid(Op):
    """y = 1 / (1 + e^-x);   dx = SigmoidGradient(dy, y)."""

    def forward(self, x: Array) -> Array:
        kernel = kernels.sigmoid.sigmoid
        return kernel(x) if x.dtype in COMPILED else kernel.reference(x)

    def backward(self, dy: Tensor) -> Tensor:
        return SigmoidGradient()(dy, self.output)


class SigmoidGradient(Op):
    """dx = dy * y * (1 - y);   ddy = SigmoidGradient(ddx, y),   for y: ddx * dy * (1 - 2y)."""

    def forward(self, dy: Array, y: Array) -> Array:
        kernel = kernels.sigmoid.sigmoid_grad
        return kernel(dy, y) if dy.dtype in COMPILED else kernel.reference(dy, y)

    def backward(self, ddx: Tensor) -> tuple[Tensor, Tensor]:
        dy, y = self.inputs
        return SigmoidGradient()(ddx, y), ddx * dy * (1 - 2 * y)


class Tanh(Op):
    """y = (e^x - e^-x) / (e^x + e^-x);   dx = TanhGradient(dy, y)."""

    def forward(self, x: Array) -> Array:
        kernel = kernels.sigmoid.tanh
        return kernel(x) if x.dtype in COMPILED else kernel.reference(x)

    def backward(self, dy: Tensor) -> Tensor:
        return TanhGradient()(dy, self.output)


class TanhGradient(Op):
    """dx = dy * (1 - y^2);   ddy = TanhGradient(ddx, y),   for y: -2 * ddx * dy * y."""

    def forward(self, dy: Array, y: Array) -> Array:
        kernel = kernels.sigmoid.tanh_grad
        return kernel(dy, y) if dy.dtype in COMPILED else kernel.reference(dy, y)

    def backward(self, ddx: Tensor) -> tuple[Tensor, Tensor]:
        dy, y = self.inputs
        return TanhGradient()(ddx, y), ddx * dy * y * -2


def sigmoid(x: Tensor) -> Tensor:
    """Squeeze all numbers into the range from 0 to 1.

        y = 1 / (1 + e^-x) = e^x / (e^x + 1)

    The first form overflows for very negative x, the second for very large x; each is used on its
    good side. The slope can be told from y alone:

        dx = dy * y * (1 - y)

    It vanishes for y near 0 or 1: there the sigmoid hardly learns. A loss works on the scores
    before the sigmoid instead, which the result remembers as `.logits`.

    Args:
        x: any shape.

    Returns:
        A tensor of the shape of x.

    Kernels: kernels/sigmoid.py.

    >>> sigmoid(Tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0.  0.5 1. ])
    """
    y = Sigmoid()(x)
    y.logits = x
    return y


def tanh(x: Tensor) -> Tensor:
    """Squeeze all numbers into the range from -1 to 1: the hyperbolic tangent.

        y = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1

    The slope is 1 at 0 and vanishes on both sides:

        dx = dy * (1 - y^2)

    Args:
        x: any shape.

    Returns:
        A tensor of the shape of x.

    Kernels: kernels/sigmoid.py.

    >>> tanh(Tensor([0.0, 1.0])).numpy().round(4)
    array([0.    , 0.7616], dtype=float32)
    """
    return Tanh()(x)
