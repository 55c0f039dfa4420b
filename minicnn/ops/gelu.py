"""The smooth relatives of relu: gelu, silu and softplus."""

import math

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels
from minicnn.ops.arithmetic import exp
from minicnn.ops.sigmoid import sigmoid, tanh


class CumulateNormal(Op):
    """y = P(Z < x) for a standard normal Z;   dx = dy * e^(-x^2 / 2) / sqrt(2 pi)."""

    def forward(self, x: Array) -> Array:
        return kernels.normal_cdf.forward(x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return dy * (exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))


class Soften(Op):
    """y = log(1 + e^x);   dx = dy * sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))  # e^-|x| cannot overflow

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.inputs
        return dy * sigmoid(x)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """Multiply x by the probability that a normal random number is smaller than x.

        y = x * P(Z < x)                                                for Z normal, 0 +- 1
        y ~ x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2         approximate

    A smooth relu: the probability is nearly 0 for very negative x and nearly 1 for large x. The
    product rule gives the gradient, where the slope of the probability is the normal density:

        dx = dy * (P(Z < x) + x * e^(-x^2 / 2) / sqrt(2 pi))

    Args:
        x: any shape.
        approximate: whether to take the formula with tanh, as some published networks do.

    Returns:
        A tensor of the shape of x.

    Kernels: kernels/normal_cdf.py.
    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.

    >>> gelu(Tensor([-1.0, 0.0, 1.0])).numpy().round(4)
    array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """
    if approximate:
        return x * (tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1) * 0.5
    return x * CumulateNormal()(x)


def silu(x: Tensor) -> Tensor:
    """Multiply x by its own sigmoid; also known as swish.

        y = x * sigmoid(x)

    A smooth relu, with a shallow valley on the left of 0. The product rule gives the gradient:

        dx = dy * s * (1 + x * (1 - s))         where s = sigmoid(x)

    Args:
        x: any shape.

    Returns:
        A tensor of the shape of x.

    Source: Elfwing, Uchibe and Doya 2017, arXiv:1702.03118.

    >>> silu(Tensor([-1.0, 0.0, 1.0])).numpy().round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    return x * sigmoid(x)


def softplus(x: Tensor) -> Tensor:
    """Round the corner of relu off.

        y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)

    The second form cannot overflow. The slope is the sigmoid:

        dx = dy * sigmoid(x)

    Args:
        x: any shape.

    Returns:
        A tensor of the shape of x.

    >>> softplus(Tensor([-1000.0, 0.0, 1.0])).numpy().round(4)
    array([0.    , 0.6931, 1.3133], dtype=float32)
    """
    return Soften()(x)
