"""Adamax and Nadam: Adam with the largest gradient as its measure, and Adam that looks ahead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.optimizers.flat import Run
from minicnn.optimizers.optimizer import Optimizer, Rate


class WithMoments(Optimizer):
    """An optimizer with the arguments of Adam."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        kind = type(self).__name__
        self.beta_1 = number(f"{kind}: beta_1", beta_1, below=1)
        self.beta_2 = number(f"{kind}: beta_2", beta_2, below=1)
        self.epsilon = number(f"{kind}: epsilon", epsilon)

    def get_config(self) -> dict[str, Any]:
        own = ("beta_1", "beta_2", "epsilon")
        return super().get_config() | {name: getattr(self, name) for name in own}


class Adamax(WithMoments):
    """Adam that divides by the largest of the latest gradients, not by the root of their squares.

        m += (1 - beta_1) * (g - m)
        u  = max(beta_2 * u, |g|)
        w -= learning_rate / (1 - beta_1^t) * m / (u + epsilon)

    Args:
        learning_rate: about the length of a step, per weight.
        beta_1: the share of m that lasts.
        beta_2: how slowly a large gradient is forgotten.
        epsilon: keeps the division from exploding where u is 0.
        **common: what all optimizers take; see Optimizer.

    Source: Kingma and Ba 2015, arXiv:1412.6980, section 7.

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0], np.float32))
    >>> Adamax(learning_rate=0.1).apply([np.array([1000.0], np.float32)], [w])
    >>> w.numpy().round(3)
    array([0.9], dtype=float32)
    """

    slots = (("momentum", "norm"),)

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        m, u = state["momentum"], state["norm"]
        m += (1 - self.beta_1) * (g - m)
        np.maximum(self.beta_2 * u, np.abs(g), out=u)
        w -= decay * w
        w -= (
            self.learning_rate / (1 - self.beta_1 ** (self.iterations + 1)) * m / (u + self.epsilon)
        )


class Nadam(WithMoments):
    """Adam with Nesterov's momentum: each step already uses the gradient that came just now.

        m, v as Adam
        p_t = beta_1 * (1 - 0.96^t / 2)                     the momentum of step t
        P   = p_1 * p_2 * ... * p_t
        n   = p_{t+1} * m / (1 - P * p_{t+1}) + (1 - p_t) * g / (1 - P)
        w  -= learning_rate * n / (sqrt(v / (1 - beta_2^t)) + epsilon)

    Args:
        learning_rate: about the length of a step, per weight.
        beta_1: what p_t rises to.
        beta_2: the share of v that lasts.
        epsilon: keeps the division from exploding where v is 0.
        **common: what all optimizers take; see Optimizer.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0]))
    >>> Nadam(learning_rate=0.1).apply([np.array([1000.0])], [w])
    >>> bool(0.8 < w.item() < 0.9)  # longer than a step of Adam
    True
    """

    slots = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **common)
        self._product = np.ones(())  # P; a file keeps it, at the end

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def update_all(self, runs: list[Run]) -> None:
        self._product *= self._momentum(self.iterations + 1)
        super().update_all(runs)

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        t, product = self.iterations + 1, float(self._product)
        now, then = self._momentum(t), self._momentum(t + 1)
        m, v = state["momentum"], state["velocity"]
        m += (1 - self.beta_1) * (g - m)
        v += (1 - self.beta_2) * (g * g - v)
        ahead = then / (1 - product * then) * m + (1 - now) / (1 - product) * g
        w -= decay * w
        w -= (
            self.learning_rate * ahead / (np.sqrt(v) / math.sqrt(1 - self.beta_2**t) + self.epsilon)
        )

    def numbers(self) -> list[Array]:
        return [self._product]
