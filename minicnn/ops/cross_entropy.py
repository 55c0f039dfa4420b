"""The loss of a classifier: how surprised its probabilities are by the truth."""

from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, array_module, kernels
from minicnn.ops.reduce import Sum
from minicnn.ops.shape import reshape
from minicnn.ops.softmax import softmax


class MeasureCrossEntropy(Op):
    """loss[n] = -(sum over k of t[n,k] log p[n,k]),  p = softmax(x);   dx = LogitsGradient."""

    def __init__(self, targets: Array) -> None:
        self.targets = targets

    def forward(self, x: Array) -> Array:
        return kernels.softmax_cross_entropy.forward(x, self.targets)

    def backward(self, dloss: Tensor) -> Tensor:
        (x,) = self.inputs
        return LogitsGradient(self.targets)(dloss, x)


class LogitsGradient(Op):
    """dx[n,k] = dloss[n] * (T[n] p[n,k] - t[n,k])  with  p = softmax(x),  T[n] = sum of t[n,k].

    ddloss[n] = sum over k of ddx[n,k] * (T[n] p[n,k] - t[n,k])
    dx[n,k]   = p[n,k] * (u[n,k] - sum over m of u[n,m] p[n,m])  with  u = ddx[n,k] dloss[n] T[n]
    """

    def __init__(self, targets: Array) -> None:
        self.targets = targets

    def forward(self, dloss: Array, x: Array) -> Array:
        return kernels.softmax_cross_entropy.backward(dloss, x, self.targets)

    def backward(self, ddx: Tensor) -> tuple[Tensor, Tensor]:
        dloss, x = self.inputs
        p = softmax(x)
        targets = Tensor(self.targets, device=x.device)
        total = Sum((1,), keepdims=True)(targets)
        ddloss = Sum((1,), keepdims=False)(ddx * (total * p - targets))
        u = ddx * (reshape(dloss, (-1, 1)) * total)
        dx = p * (u - Sum((1,), keepdims=True)(u * p))
        return ddloss, dx


def softmax_cross_entropy(logits: Tensor, labels: Any, label_smoothing: float = 0.0) -> Tensor:
    """Measure for each row how surprised softmax(logits) is by the true label.

        loss[n] = -(sum over k of t[n,k] log p[n,k])        where p = softmax(logits)

    t[n,k] is 1 for the true class and 0 for the others, or any probabilities. With smoothing, a
    part of the certainty is spread over all classes: t becomes (1 - s) t + s / K.

    The logarithm undoes the exponential of softmax, so both are computed as one: it is exact for
    scores of any size, and the gradient is simply what was predicted less what is true,

        dlogits[n,k] = dloss[n] * (p[n,k] - t[n,k])

    where the rows of t add up to 1.

    Args:
        logits: scores of K classes, (N, K).
        labels: the true classes, integers from 0 to K - 1, (N,) or (N, 1); or their probabilities,
            (N, K), one-hot for instance. They have no gradient.
        label_smoothing: s, from 0 to 1.

    Returns:
        One loss per row, (N,).

    Raises:
        ValueError: the shapes do not fit, a label is not one of the K classes or not an integer,
            or label_smoothing is out of range.
        TypeError: the labels are no numbers, or a tensor that wants a gradient.

    Kernels: kernels/softmax_cross_entropy.py.
    Source: Szegedy et al. 2015, arXiv:1512.00567, for the smoothing.

    >>> softmax_cross_entropy(Tensor([[0.0, 0.0]]), np.array([1])).numpy().round(4)  # log 2
    array([0.6931], dtype=float32)
    """
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(
            f"softmax_cross_entropy: wants logits of shape (N, K), but got {logits.shape}. "
            f"Other axes are folded into the first by reshape(logits, (-1, K))."
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"softmax_cross_entropy: label_smoothing lies from 0 to 1, but is {label_smoothing}."
        )
    targets = _targets(labels, logits)
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    return MeasureCrossEntropy(targets)(logits)


def _targets(labels: Any, logits: Tensor) -> Array:
    """One row of probabilities per row of logits, in an array of its own."""
    if isinstance(labels, Tensor):
        if labels.requires_grad:
            raise TypeError(
                "softmax_cross_entropy: labels have no gradient, but got a tensor that wants one. "
                "Use labels.detach(), or write -(labels * log_softmax(logits)).sum(axis=1)."
            )
        labels = labels.data
    xp = array_module(logits.data)
    labels = xp.asarray(labels)
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"softmax_cross_entropy: labels must be numbers, but are {labels.dtype}.")
    N, K = logits.shape
    if labels.shape == (N,) or (labels.shape == (N, 1) and (K > 1 or labels.dtype.kind != "f")):
        return _one_hot(labels.reshape(N), logits)
    if labels.shape != (N, K):
        raise ValueError(
            f"softmax_cross_entropy: wants labels of shape ({N},), ({N}, 1) or ({N}, {K}) for "
            f"logits of shape {logits.shape}, but got {labels.shape}."
        )
    return labels.astype(logits.dtype)


def _one_hot(labels: Array, logits: Tensor) -> Array:
    """Rows with 1 at the place of the label and 0 elsewhere."""
    xp = array_module(logits.data)
    N, K = logits.shape
    if labels.dtype.kind == "f":
        odd = labels[~np.isfinite(labels) | (labels != np.floor(labels))]
        if odd.size:
            raise ValueError(
                f"softmax_cross_entropy: labels of shape {labels.shape} must be integers, but one "
                f"is {odd[0]}."
            )
    classes = labels.astype(np.intp)
    if N and (classes.min() < 0 or classes.max() >= K):
        raise ValueError(
            f"softmax_cross_entropy: the labels reach from {classes.min()} to {classes.max()}, but "
            f"logits has {K} classes, from 0 to {K - 1}."
        )
    targets = xp.zeros((N, K), logits.dtype)
    targets[xp.arange(N), classes] = 1
    return targets
