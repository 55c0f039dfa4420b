"""Activations by their names in Keras: what a layer applies to each number it has computed.

Those that are ops of their own come from minicnn.ops; the others are composed of ops here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.ops import (
    elu,
    exp,
    gelu,
    leaky_relu,
    log_softmax,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from minicnn.registry import get_registered_name, mentioned, saved_function
from minicnn.suggest import lookup

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def linear(x: Tensor) -> Tensor:
    """Return x as it is."""
    return x


def relu(
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """Pass what is above a threshold, and little or nothing of what is below.

        y = x                                   where x > threshold
        y = negative_slope * (x - threshold)    elsewhere
        y = min(y, max_value)

    Args:
        x: any shape.
        negative_slope: the slope on the left of the threshold, and at it.
        max_value: the largest y; None for no bound.
        threshold: where the kink is.

    Returns:
        A tensor of the shape of x; NaN stays NaN.

    >>> relu(Tensor([-1.0, 2.0, 8.0]), negative_slope=0.5, max_value=6.0)
    Tensor([-0.5  2.   6. ])
    """
    if threshold:
        below = (x - threshold) * negative_slope if negative_slope else 0.0
        y = ops.where(x <= threshold, below, x)
    else:
        y = ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    return y if max_value is None else ops.minimum(y, max_value)


def relu6(x: Tensor) -> Tensor:
    """Cut off below 0 and above 6.

    >>> relu6(Tensor([-1.0, 2.0, 8.0]))
    Tensor([0. 2. 6.])
    """
    return relu(x, max_value=6.0)


def selu(x: Tensor) -> Tensor:
    """Scaled elu: 1.0507 * elu(x, 1.6733). Mean 0 and variance 1 pass through many layers of it.

    Source: Klambauer et al. 2017, arXiv:1706.02515.

    >>> selu(Tensor([-1.0, 1.0]))
    Tensor([-1.1113307  1.050701 ])
    """
    return ops.elu(x, SELU_ALPHA) * SELU_SCALE


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Make an elu with slope 1 at 0 for every alpha: alpha * elu(x / alpha).

    Source: Barron 2017, arXiv:1704.07483.

    >>> celu(Tensor([-2.0, 1.0]), alpha=2.0)
    Tensor([-1.2642411  1.       ])
    """
    return ops.elu(x / alpha) * alpha


def mish(x: Tensor) -> Tensor:
    """Multiply x by tanh(softplus(x)): a smooth relu, much like silu.

    Source: Misra 2019, arXiv:1908.08681.

    >>> mish(Tensor([0.0, 1.0]))
    Tensor([0.        0.8650984])
    """
    return x * tanh(softplus(x))


def hard_sigmoid(x: Tensor) -> Tensor:
    """Draw the sigmoid with straight lines: x / 6 + 0.5, cut off at 0 and 1.

    >>> hard_sigmoid(Tensor([-4.0, 0.0, 4.0]))
    Tensor([0.  0.5 1. ])
    """
    return ops.clip(x / 6 + 0.5, 0, 1)


def hard_silu(x: Tensor) -> Tensor:
    """Multiply x by hard_sigmoid(x); also known as hard_swish.

    Source: Howard et al. 2019, arXiv:1905.02244.

    >>> hard_silu(Tensor([-4.0, 1.5, 4.0]))
    Tensor([-0.     1.125  4.   ])
    """
    return x * hard_sigmoid(x)


swish, hard_swish = silu, hard_silu  # their other names


def hard_tanh(x: Tensor) -> Tensor:
    """Draw tanh with straight lines: x, cut off at -1 and 1.

    >>> hard_tanh(Tensor([-4.0, 0.5, 4.0]))
    Tensor([-1.   0.5  1. ])
    """
    return ops.clip(x, -1, 1)


def softsign(x: Tensor) -> Tensor:
    """Divide x by 1 + |x|: like tanh, but slower to reach -1 and 1.

    >>> softsign(Tensor([-1.0, 0.0, 3.0]))
    Tensor([-0.5   0.    0.75])
    """
    return x / (ops.abs(x) + 1)


def exponential(x: Tensor) -> Tensor:
    """Raise e to the power of x.

    >>> exponential(Tensor([0.0, 1.0]))
    Tensor([1.       2.718282])
    """
    return exp(x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Turn scores into probabilities along `axis`; see ops.softmax. Warns if all would be 1.

    >>> softmax(Tensor([[0.0, 0.0]]))
    Tensor([[0.5 0.5]])
    """
    y = ops.softmax(x, axis)
    if x.shape[axis] == 1:
        warnings.warn(
            f"softmax: axis {axis} of shape {x.shape} has size 1, so every output is 1. For two "
            f"classes with one output, use 'sigmoid'.",
            stacklevel=2,
        )
    return y


def log_sigmoid(x: Tensor) -> Tensor:
    """Take the logarithm of sigmoid(x), as -softplus(-x), which does not round to log 0.

    >>> log_sigmoid(Tensor([-1000.0, 0.0]))
    Tensor([-1.000000e+03 -6.931472e-01])
    """
    return -softplus(-x)


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": linear,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "swish": silu,
    "mish": mish,
    "celu": celu,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "tanh": tanh,
    "hard_tanh": hard_tanh,
    "softplus": softplus,
    "softsign": softsign,
    "exponential": exponential,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "log_sigmoid": log_sigmoid,
}


def get(identifier: Any) -> Callable[..., Tensor]:
    """Return the activation that `identifier` stands for; None stands for linear.

    Args:
        identifier: a name, or a function from tensor to tensor.

    Raises:
        ValueError: no activation has this name.
        TypeError: identifier is neither.

    >>> get("relu") is relu
    True
    >>> get("ReLU")
    Traceback (most recent call last):
    ValueError: [MC050] unknown activation 'ReLU'. Did you mean 'relu'? Known are: celu, elu, ...
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str | dict) and mentioned(identifier) is not None:
        return cast("Callable[..., Tensor]", mentioned(identifier))
    if isinstance(identifier, str):
        return lookup("activation", identifier, ACTIVATIONS)
    if callable(identifier):
        return identifier
    raise TypeError(
        f"activation: wants a name or a function, but got {identifier!r} "
        f"({type(identifier).__name__})."
    )


def serialize(activation: Callable[..., Tensor]) -> Any:
    """Return the name of an activation, as it stands in files; of a registered one, all its names.

    >>> serialize(relu), serialize(get("swish"))
    ('relu', 'silu')
    """
    name = getattr(activation, "__name__", type(activation).__name__)
    is_registered = hasattr(activation, "__name__") and get_registered_name(activation) != name
    return saved_function(activation) if is_registered else name
