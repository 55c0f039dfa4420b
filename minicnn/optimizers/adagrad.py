"""Adagrad and Adadelta: steps that shrink where gradients have been large."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.optimizers.optimizer import Optimizer, Rate


class Adagrad(Optimizer):
    """Divide each gradient by the root of the sum of all its squares so far.

        a += g^2
        w -= learning_rate * g / sqrt(a + epsilon)

    A weight whose gradient is seldom anything but 0 still makes long steps when it comes.

    Args:
        learning_rate: how far a step goes.
        initial_accumulator_value: what a begins with.
        epsilon: keeps the division from exploding where a is 0; it is under the root.
        **common: what all optimizers take; see Optimizer.

    Source: Duchi et al. 2011, jmlr.org/papers/v12/duchi11a.html.

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0], np.float32))
    >>> Adagrad(learning_rate=0.1, initial_accumulator_value=0).apply([np.array([8.0])], [w])
    >>> w.numpy()
    array([0.9], dtype=float32)
    """

    slots = (("accumulator",),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = number(
            "Adagrad: initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = number("Adagrad: epsilon", epsilon)

    def first_value(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        a = state["accumulator"]
        a += g * g
        w -= decay * w
        w -= self.learning_rate * g / np.sqrt(a + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        own = ("initial_accumulator_value", "epsilon")
        return super().get_config() | {name: getattr(self, name) for name in own}


class Adadelta(Optimizer):
    """Steps as long as the latest steps were, relative to the latest gradients.

        a  = rho * a + (1 - rho) * g^2               mean of the latest squared gradients
        x  = sqrt(d + epsilon) / sqrt(a + epsilon) * g
        d  = rho * d + (1 - rho) * x^2               mean of the latest squared steps
        w -= learning_rate * x

    x has the unit of w, whatever that of the loss. The paper has no learning rate: give 1 for that.

    Args:
        learning_rate: the factor of each step.
        rho: the share of a and d that lasts.
        epsilon: lets the first steps begin, and keeps the division from exploding.
        **common: what all optimizers take; see Optimizer.

    Source: Zeiler 2012, arXiv:1212.5701.

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([1.0]))
    >>> Adadelta(learning_rate=1.0, rho=0.75, epsilon=1.0).apply([np.array([2.0])], [w])
    >>> w.numpy().round(4)  # 1 - sqrt(1) / sqrt(0.25 * 4 + 1) * 2
    array([-0.4142])
    """

    slots = (("accumulated_grad", "accumulated_delta_var"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = number("Adadelta: rho", rho, high=1)
        self.epsilon = number("Adadelta: epsilon", epsilon)

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        a, d = state["accumulated_grad"], state["accumulated_delta_var"]
        a[...] = self.rho * a + (1 - self.rho) * g * g
        x = np.sqrt(d + self.epsilon) / np.sqrt(a + self.epsilon) * g
        d[...] = self.rho * d + (1 - self.rho) * x * x
        w -= decay * w
        w -= self.learning_rate * x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rho": self.rho, "epsilon": self.epsilon}
