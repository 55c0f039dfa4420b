"""layer_norm and group_norm: rows are given mean 0 and spread 1. A family of three ops."""

import math
from collections.abc import Sequence

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, filled, kernels
from minicnn.ops.axes import normal_axes
from minicnn.ops.reduce import sum as sum_of
from minicnn.ops.reduce import variance
from minicnn.ops.shape import reshape, transpose
from minicnn.ops.window import check_numbers


class NormalizeRows(Op):
    """y = xhat * gamma + beta;   dgamma, dbeta = Sums(dy, x),   dx = InputGradient(dy, x, gamma).

    xhat = (x - mean) * rate, where mean and rate = 1 / sqrt(variance + epsilon) are those of a row.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        return kernels.layer_norm.forward(x, gamma, beta, self.epsilon)

    def backward(self, dy: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x, gamma, beta = self.inputs
        op = InputGradient(self.epsilon)
        dx = op(dy, x, gamma)
        if not (gamma.requires_grad or beta.requires_grad):
            return dx, None, None
        sums = Sums(self.epsilon, op.sums)(dy, x)
        return dx, sums[1], sums[0]


class Sums(Op):
    """y = the sum of dy and that of dy * xhat over all rows, (2, C).

    With ds for y:   ddy = NormalizeRows(x, ds[1], ds[0]),   dx = InputGradient(dy, x, ds[1]).
    """

    def __init__(self, epsilon: float, known: Array) -> None:
        self.epsilon, self.known = epsilon, known  # the kernel makes them together with dx

    def forward(self, dy: Array, x: Array) -> Array:
        return self.known.astype(x.dtype)

    def backward(self, ds: Tensor) -> tuple[Tensor, Tensor]:
        dy, x = self.inputs
        ddy = NormalizeRows(self.epsilon)(x, ds[1], ds[0])
        return ddy, InputGradient(self.epsilon)(dy, x, ds[1])


class InputGradient(Op):
    """dx = rate * P(dy * gamma),   P(g) = g - mean of g - xhat * mean of g * xhat,   row by row.

    P takes away from g what would only move or stretch the whole row: normalization undoes that.
    It is symmetric, so with u for dx and v for InputGradient(u, x, 1) = rate * P(u):

        ddy = v * gamma,   dgamma = sum over all rows of v * dy,

    and x counts in the rate, and as xhat in the two means of which P is made.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def forward(self, dy: Array, x: Array, gamma: Array) -> Array:
        dx, self.sums = kernels.layer_norm.backward(dy, x, gamma, self.epsilon)
        return dx

    def backward(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dy, x, gamma = self.inputs
        one = Tensor(np.ones_like(gamma.data), device=gamma.device)
        zero = Tensor(np.zeros_like(gamma.data), device=gamma.device)
        v = InputGradient(self.epsilon)(u, x, one)
        xhat = NormalizeRows(self.epsilon)(x, one, zero)
        rate = (variance(x, 1, keepdims=True) + self.epsilon) ** -0.5
        dx, g = self.output, dy * gamma
        stretched = xhat * sum_of(u * dx, 1, keepdims=True)
        turned = v * sum_of(g * xhat, 1, keepdims=True) + dx * sum_of(u * xhat, 1, keepdims=True)
        return v * gamma, (stretched + turned) * (rate * (-1 / x.shape[1])), sum_of(v * dy, 0)


def layer_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    """Give the numbers of each input the mean 0 and the spread 1, then stretch and move them.

        y[r,c] = xhat[r,c] * gamma[c] + beta[c],   xhat[r,c] = (x[r,c] - mean[r]) * rate[r]

        where  mean[r] = (sum over c of x[r,c]) / C
               rate[r] = 1 / sqrt((sum over c of (x[r,c] - mean[r])^2) / C + epsilon)

    c counts the numbers along `axis`, r all that is left: in contrast to batch_norm, no input looks
    at another one. To add one number to a row of x, or to stretch it, changes nothing (but for
    epsilon); so what would do that is taken away from the gradient. With g = dy * gamma,

        dx[r,c]   = rate[r] * (g[r,c] - mean of g[r] - xhat[r,c] * mean of g[r] * xhat[r])
        dgamma[c] = sum over r of dy[r,c] * xhat[r,c]
        dbeta[c]  = sum over r of dy[r,c]

    Args:
        x: at least two axes.
        gamma: a factor for each number along `axis`; as many axes as there are in `axis`.
        beta: what is added; the same shape.
        axis: along which mean and spread are taken: one axis or several.
        epsilon: keeps the root away from zero, where all numbers of a row are equal.

    Returns:
        A tensor of the shape of x.

    Raises:
        ValueError: x has no such axis or no numbers along it, or gamma and beta do not fit.
        TypeError: x, gamma and beta are not all float32 or all float64.

    Kernels: kernels/layer_norm.py.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.

    >>> one, zero = Tensor([1.0, 1.0]), Tensor([0.0, 0.0])
    >>> layer_norm(Tensor([[1.0, 3.0], [7.0, 5.0]]), one, zero, epsilon=0)
    Tensor([[-1.  1.]
     [ 1. -1.]])
    """
    check_numbers("layer_norm", x)
    axes = normal_axes("layer_norm", axis, x.ndim)
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    sizes = tuple(x.shape[k] for k in axes)
    if not rest or 0 in sizes:
        raise ValueError(
            f"layer_norm: wants numbers along axes {axes} and another axis beside them, but x has "
            f"shape {x.shape}."
        )
    _check("layer_norm", x, sizes, gamma=gamma, beta=beta)
    return _along(x, rest + axes, len(axes), epsilon, reshape(gamma, -1), reshape(beta, -1))


def group_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, groups: int, epsilon: float = 1e-3
) -> Tensor:
    """Give each group of channels of each input the mean 0 and the spread 1.

        y[n,h,w,c] = (x[n,h,w,c] - mean[n,g]) / sqrt(variance[n,g] + epsilon) * gamma[c] + beta[c]

    Mean and variance are those of all pixels and of all channels of the group g that c belongs to.
    With one group that is a layer_norm of whole images, with a group per channel it is called
    instance normalization. The gradients are those of layer_norm, group by group.

    Args:
        x: (N, ..., C).
        gamma: a factor for each channel, (C,).
        beta: what is added to each channel, (C,).
        groups: into how many blocks of neighbours the channels are cut.
        epsilon: keeps the root away from zero.

    Returns:
        A tensor of the shape of x.

    Raises:
        ValueError: the channels cannot be divided into so many groups, or gamma and beta do not
            fit.
        TypeError: x, gamma and beta are not all float32 or all float64.

    Kernels: kernels/layer_norm.py.
    Source: Wu and He 2018, arXiv:1803.08494.

    >>> one, zero = Tensor(np.ones(4)), Tensor(np.zeros(4))
    >>> group_norm(Tensor(np.array([[1.0, 3.0, 70.0, 50.0]])), one, zero, 2, epsilon=0)
    Tensor([[-1.  1.  1. -1.]])
    """
    check_numbers("group_norm", x)
    C = x.shape[-1] if x.ndim > 1 else 0
    if groups < 1 or 0 in (C, *x.shape[1:]) or C % groups:
        raise ValueError(
            f"group_norm: the {C} channels of x, the last axis of shape {x.shape}, cannot be "
            f"divided into {groups} equal groups."
        )
    _check("group_norm", x, (C,), gamma=gamma, beta=beta)
    in_groups = reshape(x, (*x.shape[:-1], groups, C // groups))
    last = in_groups.ndim - 1
    order = (0, last - 1, *range(1, last - 1), last)
    return reshape(_along(in_groups, order, last - 1, epsilon), x.shape) * gamma + beta


def _along(
    x: Tensor,
    order: tuple[int, ...],
    count: int,
    epsilon: float,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """Normalize rows that are made of the last `count` axes, when the axes stand in `order`."""
    moved = order != tuple(range(x.ndim))
    turned = transpose(x, order) if moved else x
    C = math.prod(turned.shape[x.ndim - count :])
    rows = reshape(turned, (x.size // C, C))
    if gamma is None or beta is None:
        gamma, beta = (Tensor(filled((C,), n, x.data), device=x.device) for n in (1, 0))
    y = reshape(NormalizeRows(epsilon)(rows, gamma, beta), turned.shape)
    back = tuple(int(k) for k in np.argsort(order))
    return transpose(y, back) if moved else y


def _check(who: str, x: Tensor, shape: tuple[int, ...], **lines: Tensor) -> None:
    for name, tensor in lines.items():
        if tensor.shape != shape:
            raise ValueError(
                f"{who}: {name} has shape {tensor.shape}, but x of shape {x.shape} wants {shape}."
            )
        if tensor.dtype != x.dtype:
            raise TypeError(f"{who}: {name} is {tensor.dtype}, but x is {x.dtype}. Convert one.")
