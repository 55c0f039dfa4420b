"""Adam and AdamW: a step size of its own for each weight."""

from __future__ import annotations

import math
from typing import Any

from minicnn.arguments import number
from minicnn.backend import Array, kernels
from minicnn.optimizers.optimizer import Optimizer, Rate


class Adam(Optimizer):
    """Adaptive moments: a step of about the learning rate for each weight, whatever its gradients.

        m += (1 - beta_1) * (g - m)                  mean of the latest gradients
        v += (1 - beta_2) * (g^2 - v)                mean of their squares
        w -= alpha * m / (sqrt(v) + epsilon)

        where  alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)

    Where gradients agree, m / sqrt(v) is 1 or -1; where they are noise, it is near 0. m and v begin
    at 0 and are too small at first; alpha makes up for that in step t = 1, 2, ...

    Args:
        learning_rate: about the length of a step, per weight.
        beta_1: the share of m that lasts.
        beta_2: the share of v that lasts.
        epsilon: keeps the division from exploding where v is 0.
        amsgrad: divide by the largest v so far, so that steps only get shorter.
        **common: what all optimizers take; see Optimizer.

    Kernels: kernels/adam.py.
    Source: Kingma and Ba 2015, arXiv:1412.6980; amsgrad: Reddi et al. 2018, arXiv:1904.09237.

    >>> import numpy as np
    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0, 1.0], np.float32))
    >>> Adam(learning_rate=0.1).apply([np.array([1000.0, 0.001], np.float32)], [w])
    >>> w.numpy().round(3)  # the first step is as long as the learning rate
    array([0.9, 0.9], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        kind = type(self).__name__
        self.beta_1 = number(f"{kind}: beta_1", beta_1, below=1)
        self.beta_2 = number(f"{kind}: beta_2", beta_2, below=1)
        self.epsilon = number(f"{kind}: epsilon", epsilon)
        self.amsgrad = amsgrad
        self.slots = (("momentum", "velocity"), *([("velocity_hat",)] if amsgrad else []))

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        t = self.iterations + 1
        alpha = self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m, v = state["momentum"], state["velocity"]
        top = state.get("velocity_hat", w[:0])
        kernels.adam.step(w, g, m, v, top, alpha, decay, self.beta_1, self.beta_2, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        own = ("beta_1", "beta_2", "epsilon", "amsgrad")
        return super().get_config() | {name: getattr(self, name) for name in own}


class AdamW(Adam):
    """Adam with weight decay: w -= w * weight_decay * learning_rate before each update.

    The decay is not part of the gradient, as an L2 term in the loss would be: Adam would divide it
    by sqrt(v), and weights with large gradients would hardly decay.

    Args:
        learning_rate: about the length of a step, per weight.
        weight_decay: the share of each weight, times the learning rate, that a step takes off.
        **others: as Adam.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.

    >>> import numpy as np
    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0], np.float32))
    >>> AdamW(learning_rate=0.1, weight_decay=0.5).apply([np.array([0.0], np.float32)], [w])
    >>> w.numpy()
    array([0.95], dtype=float32)
    """

    def __init__(
        self, learning_rate: Rate = 0.001, weight_decay: float = 0.004, **others: Any
    ) -> None:
        weight_decay = number("AdamW: weight_decay", weight_decay)  # None, say, would not do
        super().__init__(learning_rate, weight_decay=weight_decay, **others)
