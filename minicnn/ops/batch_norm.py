"""batch_norm: a family of three ops, whose gradients are made of the three; and normalize."""

from typing import NamedTuple

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, array_module, kernels
from minicnn.ops.arithmetic import sqrt
from minicnn.ops.reduce import sum as sum_of
from minicnn.ops.reduce import variance
from minicnn.ops.relu import Gate
from minicnn.ops.window import check_numbers


class Line(NamedTuple):
    """y = (x - mean) * scale + shift, cut off below zero by relu; last arguments of the kernels."""

    mean: Array  # these three are (C,)
    scale: Array
    shift: Array
    relu: bool

    def gate(self, x: Tensor, dy: Tensor) -> Tensor:
        """What relu lets pass of dy."""
        return Gate(kernels.batch_norm.normalize(x.data, *self))(dy) if self.relu else dy


class Batch(NamedTuple):
    """What is known of the x that the three ops share."""

    line: Line
    spread: Array  # (C,), variance + epsilon
    epsilon: float

    def without_relu(self) -> "Batch":
        """The same x, before an op that does not cut off."""
        return self._replace(line=self.line._replace(relu=False))


class NormalizeBatch(Op):
    """y = xhat * gamma + beta;   dgamma, dbeta = Sums(dy, x),   dx = InputGradient(dy, x, gamma).

    xhat = (x - mean) / sqrt(spread), where mean and spread = variance + epsilon are those of x.
    With relu, y is cut off below zero, and dy counts only where y > 0. A fourth input, the
    shortcut, is added to y, before it is cut off, and so receives the same dy.
    """

    def __init__(self, epsilon: float, relu: bool = False) -> None:
        self.epsilon, self.relu = epsilon, relu

    def forward(self, x: Array, gamma: Array, beta: Array, shortcut: Array | None = None) -> Array:
        self.adds_up = self.relu and shortcut is not None
        self.mean, self.variance = kernels.batch_norm.moments(x)
        spread = self.variance + self.epsilon
        line = Line(self.mean, gamma / np.sqrt(spread), beta, self.relu)
        self.batch = Batch(line, spread, self.epsilon)
        return kernels.batch_norm.normalize(x, *line, shortcut)

    def backward(self, *dys: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, _, *shortcut = self.inputs
        dy, batch = dys[0], self.batch
        if shortcut and self.relu:  # from x alone one could not tell what relu lets pass
            dy, batch = Gate(self.output.data)(*dys), batch.without_relu()
        op = Sums(batch)
        sums = op(dy, x)
        dx = InputGradient(batch, op.exact)(dy, x, gamma) if x.requires_grad else None
        return (dx, sums[1], sums[0], *[dy for _ in shortcut])


class Sums(Op):
    """y = the sum of dy and that of dy * xhat over all rows, (2, C).

    With ds for y:   ddy = NormalizeBatch(x, ds[1], ds[0]),   dx = InputGradient(dy, x, ds[1]).
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def forward(self, dy: Array, x: Array) -> Array:
        self.exact = sums_of(dy, x, self.batch)
        return self.exact.astype(x.dtype)

    def backward(self, ds: Tensor) -> tuple[Tensor, Tensor]:
        dy, x = self.inputs
        line = self.batch.line
        ddy = line.gate(x, NormalizeBatch(self.batch.epsilon)(x, ds[1], ds[0]))
        dx = InputGradient(self.batch.without_relu())(line.gate(x, dy), x, ds[1])
        return ddy, dx


class InputGradient(Op):
    """dx = gamma / sqrt(spread) * P(dy),   P(dy) = dy - mean of dy - xhat * mean of dy * xhat.

    P takes away from dy what would only move or stretch the whole channel: normalization undoes
    that. It is symmetric, sum of u * P(v) = sum of P(u) * v, so with u for dx:

        ddy = InputGradient(u, x, gamma),   dgamma = sum of u * InputGradient(dy, x, 1),

    and x counts in 1 / sqrt(spread), and as xhat in the two sums of which P is made.
    """

    def __init__(self, batch: Batch, sums: Array | None = None) -> None:
        self.batch, self.sums = batch, sums

    def forward(self, dy: Array, x: Array, gamma: Array) -> Array:
        line, spread, _ = self.batch
        sums = sums_of(dy, x, self.batch) if self.sums is None else self.sums
        rate = 1 / np.sqrt(spread)
        total, product = sums / (x.size // len(gamma))
        slopes = array_module(x).empty(
            (3, len(gamma))
        )  # filled row by row: np.stack would take longer
        slopes[0] = gamma * rate
        slopes[1] = slopes[0] * -product * rate
        slopes[2] = slopes[0] * -total
        return kernels.batch_norm.input_grad(dy, x, *line, slopes)

    def backward(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dy, x, gamma = self.inputs
        line, epsilon, batch = self.batch.line, self.batch.epsilon, self.batch.without_relu()
        v = line.gate(x, dy)
        ddy = line.gate(x, InputGradient(batch)(u, x, gamma))
        one = Tensor(np.ones_like(gamma.data), device=gamma.device)
        zero = Tensor(np.zeros_like(gamma.data), device=gamma.device)
        axes = tuple(range(x.ndim - 1))
        of_u, of_v = InputGradient(batch)(u, x, one), InputGradient(batch)(v, x, one)
        dgamma = sum_of(u * of_v, axes)
        rate = (variance(x, axes) + epsilon) ** -0.5
        stretched = NormalizeBatch(epsilon)(x, one, zero) * dgamma
        turned = of_u * Sums(batch)(v, x)[1] + of_v * Sums(batch)(u, x)[1]
        dx = (stretched + turned) * (gamma * rate * (-gamma.size / x.size))
        return ddy, dx, dgamma


class Normalize(Op):
    """y = (x - mean) * scale + shift;   dx = dy * scale,   dmean = -dx,   dscale = dy * (x - mean).

    mean, scale and shift are (C,), so their gradients are added up over all rows. With relu, y is
    cut off below zero, and dy counts only where y > 0. A shortcut is added, as in NormalizeBatch.
    """

    def __init__(self, relu: bool) -> None:
        self.relu = relu

    def forward(
        self, x: Array, mean: Array, scale: Array, shift: Array, shortcut: Array | None = None
    ) -> Array:
        return kernels.batch_norm.normalize(x, mean, scale, shift, self.relu, shortcut)

    def backward(self, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, shift, *shortcut = self.inputs
        axes = tuple(range(x.ndim - 1))
        if self.relu:
            dy = Gate(self.output.data)(dy)
        total = sum_of(dy, axes) if mean.requires_grad or shift.requires_grad else None
        dx = dy * scale if x.requires_grad else None
        dmean = -total * scale if total is not None else None
        dscale = sum_of(dy * (x - mean), axes) if scale.requires_grad else None
        return (dx, dmean, dscale, total, *[dy for _ in shortcut])


def sums_of(dy: Array, x: Array, batch: Batch) -> Array:
    """The sums over all rows of dy and dy * xhat, (2, C), in float64."""
    sums = kernels.batch_norm.sums(dy, x, *batch.line)
    sums[1] /= np.sqrt(batch.spread)
    return sums


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    epsilon: float = 1e-3,
    activation: str | None = None,
    shortcut: Tensor | None = None,
) -> tuple[Tensor, Array, Array]:
    """Give each channel of a batch the mean beta and the standard deviation gamma.

        y[r,c] = xhat[r,c] * gamma[c] + beta[c],   xhat[r,c] = (x[r,c] - mean[c]) / sqrt(spread[c])

        where  mean[c]   = (sum over r of x[r,c]) / R
               spread[c] = (sum over r of (x[r,c] - mean[c])^2) / R + epsilon

    r counts all pixels of all images, R of them. Every x moves mean and spread, and with them the y
    of all others. To add one number to a whole channel, or to stretch it, changes nothing (but for
    epsilon); so what would do that is taken away from the gradient:

        dbeta[c]  = sum over r of  dy[r,c]
        dgamma[c] = sum over r of  dy[r,c] * xhat[r,c]
        dx[r,c]   = gamma[c] / sqrt(spread[c]) * (dy[r,c] - dbeta[c]/R - xhat[r,c] * dgamma[c]/R)

    Args:
        x: (N, C), (N, H, W, C), or anything else whose last axis is that of the channels.
        gamma: the standard deviations, (C,).
        beta: the means, (C,).
        epsilon: keeps the root away from zero, where all x of a channel are equal.
        activation: "relu" cuts y off below zero in the same pass; None leaves it.
        shortcut: is added to y in the same pass, before the activation; of the shape of x. That is
            how a residual block ends.

    Returns:
        y, of the shape of x; and mean and variance of each channel of x, two arrays (C,) of
        float64. They are no tensors because no gradient goes through them.

    Raises:
        ValueError: x has fewer than two axes or no rows, or the others do not fit to it.
        TypeError: the tensors are not all float32 or all float64.

    Kernels: kernels/batch_norm.py.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    >>> y, mean, variance = batch_norm(
    ...     Tensor([[1.0, 5.0], [3.0, 5.0]]), Tensor([1.0, 1.0]), Tensor([0.0, 2.0]), epsilon=0.0001
    ... )
    >>> y.numpy().round(2), mean, variance
    (array([[-1.,  2.],
           [ 1.,  2.]], dtype=float32), array([2., 5.]), array([1., 0.]))
    """
    _check("batch_norm", x, activation, gamma=gamma, beta=beta)
    shortcuts = _shortcuts("batch_norm", x, shortcut)
    if not x.size:
        raise ValueError(
            f"batch_norm: x has shape {x.shape}, so there are no rows to take a mean of. Leave "
            f"empty batches out."
        )
    op = NormalizeBatch(epsilon, activation == "relu")
    return op(x, gamma, beta, *shortcuts), op.mean, op.variance


def normalize(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor,
    beta: Tensor,
    epsilon: float = 1e-3,
    activation: str | None = None,
    shortcut: Tensor | None = None,
) -> Tensor:
    """Do what batch_norm does, with a mean and a variance that are given.

        y[r,c] = (x[r,c] - mean[c]) * scale[c] + beta[c],   scale = gamma / sqrt(variance + epsilon)

    So no y depends on the other rows of x, and a single image can be classified. That makes the
    gradients simple:

        dx[r,c]     = dy[r,c] * scale[c]                     dmean[c] = -sum over r of dx[r,c]
        dscale[c]   = sum over r of dy[r,c] * (x[r,c] - mean[c])
        dbeta[c]    = sum over r of dy[r,c]

    Args:
        x: (N, C), (N, H, W, C), or anything else whose last axis is that of the channels.
        mean: of each channel, (C,), as are the next three.
        variance: of each channel.
        gamma: the standard deviations that y gets, if those of x are as given.
        beta: the means that y gets, if those of x are as given.
        epsilon: added to the variance.
        activation: "relu" cuts y off below zero in the same pass; None leaves it.
        shortcut: is added to y in the same pass, as in batch_norm.

    Returns:
        A tensor of the shape of x.

    Raises:
        ValueError: x has fewer than two axes, or the others do not fit to it.
        TypeError: the tensors are not all float32 or all float64.

    Kernels: kernels/batch_norm.py.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    >>> one, two = Tensor([1.0]), Tensor([2.0])
    >>> normalize(Tensor([[5.0], [7.0]]), one, one, two, one, epsilon=3)
    Tensor([[5.]
     [7.]])
    """
    _check("normalize", x, activation, mean=mean, variance=variance, gamma=gamma, beta=beta)
    scale = gamma / sqrt(variance + epsilon)
    shortcuts = _shortcuts("normalize", x, shortcut)
    return Normalize(activation == "relu")(x, mean, scale, beta, *shortcuts)


def _check(who: str, x: Tensor, activation: str | None, **channels: Tensor) -> None:
    check_numbers(who, x)
    if activation not in (None, "relu"):
        raise ValueError(f"{who}: activation must be 'relu' or None, but is {activation!r}.")
    if x.ndim < 2:
        raise ValueError(
            f"{who}: wants x of at least two axes, the last one for the channels, but got shape "
            f"{x.shape}."
        )
    for name, tensor in channels.items():
        if tensor.shape != x.shape[-1:]:
            raise ValueError(
                f"{who}: {name} has shape {tensor.shape}, but {x.shape[-1]} channels (x has shape "
                f"{x.shape}) want {x.shape[-1:]}."
            )
        if tensor.dtype != x.dtype:
            raise TypeError(f"{who}: {name} is {tensor.dtype}, but x is {x.dtype}. Convert one.")


def _shortcuts(who: str, x: Tensor, shortcut: Tensor | None) -> list[Tensor]:
    """The shortcut in a list, or an empty one: the last inputs of the ops."""
    if shortcut is None:
        return []
    if shortcut.shape != x.shape:
        raise ValueError(
            f"{who}: shortcut has shape {shortcut.shape}, but x has {x.shape}. They are added "
            f"number by number: give both the same shape, with a 1x1 convolution for instance."
        )
    if shortcut.dtype != x.dtype:
        raise TypeError(f"{who}: shortcut is {shortcut.dtype}, but x is {x.dtype}. Convert one.")
    return [shortcut]
