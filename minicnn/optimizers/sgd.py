"""SGD: stochastic gradient descent, with or without momentum."""

from __future__ import annotations

from typing import Any

from minicnn.arguments import number
from minicnn.backend import Array, kernels
from minicnn.optimizers.optimizer import Optimizer, Rate


class SGD(Optimizer):
    """Stochastic gradient descent: against the gradient, with a memory of the last direction.

        w -= learning_rate * g                       without momentum

        v  = momentum * v - learning_rate * g        with momentum
        w += v                                       ... plain
        w += momentum * v - learning_rate * g        ... nesterov

    Along a valley the gradients agree and v grows, to 1 / (1 - momentum) times a plain step; across
    it they alternate and cancel out.

    Args:
        learning_rate: how far a step goes.
        momentum: the share of v that lasts, from 0 to 1.
        nesterov: whether to look ahead along v.
        **common: what all optimizers take; see Optimizer.

    Kernels: kernels/sgd.py.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum".

    >>> SGD(lr=0.1)
    Traceback (most recent call last):
    ValueError: SGD [MC050]: unknown argument 'lr'. Did you mean 'learning_rate'?
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = number("SGD: momentum", momentum, high=1)
        self.nesterov = nesterov
        self.slots = (("momentum",),) if self.momentum else ()

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        v = state.get("momentum", w[:0])
        kernels.sgd.step(w, g, v, self.learning_rate, decay, self.momentum, self.nesterov)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
