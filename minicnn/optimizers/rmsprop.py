"""RMSprop: gradients divided by the root of the mean of their latest squares."""

from __future__ import annotations

from typing import Any

from minicnn.arguments import number
from minicnn.backend import Array, kernels
from minicnn.optimizers.optimizer import Optimizer, Rate


class RMSprop(Optimizer):
    """Divide each gradient by the root of the mean of its latest squares.

        v  = rho * v + (1 - rho) * g^2
        w -= learning_rate * g / sqrt(v + epsilon)

        centered:  a = rho * a + (1 - rho) * g;  v - a^2, the variance, stands in the place of v
        momentum:  u = momentum * u + learning_rate * g / sqrt(...);  w -= u

    Args:
        learning_rate: about the length of a step, per weight.
        rho: the share of v that lasts.
        momentum: the share of u that lasts.
        epsilon: keeps the division from exploding where v is 0; it is under the root.
        centered: whether to divide by the standard deviation instead.
        **common: what all optimizers take; see Optimizer.

    Kernels: kernels/rmsprop.py.
    Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850.

    >>> import numpy as np
    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0], np.float32))
    >>> RMSprop(learning_rate=0.1, rho=0.75).apply([np.array([8.0], np.float32)], [w])
    >>> w.numpy()  # 1 - 0.1 * 8 / sqrt(0.25 * 64)
    array([0.8], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = number("RMSprop: rho", rho, high=1)
        self.momentum = number("RMSprop: momentum", momentum, high=1)
        self.epsilon = number("RMSprop: epsilon", epsilon)
        self.centered = centered
        names = ["velocity", *["momentum"] * bool(momentum), *["average_gradient"] * centered]
        self.slots = tuple((name,) for name in names)  # Keras stores all of one, then the next

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        a, u = (state.get(slot, w[:0]) for slot in ("average_gradient", "momentum"))
        v = state["velocity"]
        kernels.rmsprop.step(
            w, g, v, a, u, self.learning_rate, decay, self.rho, self.momentum, self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        own = ("rho", "momentum", "epsilon", "centered")
        return super().get_config() | {name: getattr(self, name) for name in own}
