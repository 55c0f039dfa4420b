"""Lion: only the sign of the momentum counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.optimizers.optimizer import Optimizer, Rate


class Lion(Optimizer):
    """Evolved sign momentum: every weight moves by just the learning rate, up or down.

        w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)
        m  = beta_2 * m + (1 - beta_2) * g

    It was found by a search through programs. It keeps one array where Adam keeps two; its learning
    rate should be 3 to 10 times smaller than Adam's, and its weight decay as many times larger.

    Args:
        learning_rate: the length of a step, per weight.
        beta_1: the share of m in the step, above 0.
        beta_2: the share of m that lasts.
        **common: what all optimizers take; see Optimizer.

    Source: Chen et al. 2023, arXiv:2302.06675.

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0, 1.0], np.float32))
    >>> Lion(learning_rate=0.25).apply([np.array([1000.0, -0.001], np.float32)], [w])
    >>> w.numpy()
    array([0.75, 1.25], dtype=float32)
    """

    slots = (("momentum",),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = number("Lion: beta_1", beta_1, high=1)
        self.beta_2 = number("Lion: beta_2", beta_2, high=1)
        if not self.beta_1:
            raise ValueError("Lion: beta_1 must be above 0: without momentum, this is not Lion.")

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        m = state["momentum"]
        w -= decay * w
        w -= self.learning_rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        m[...] = self.beta_2 * m + (1 - self.beta_2) * g

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}
