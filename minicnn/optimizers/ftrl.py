"""Ftrl: follow the regularized leader, for models with many weights that should be 0."""

from __future__ import annotations

import math
from typing import Any

from minicnn.arguments import number
from minicnn.backend import Array
from minicnn.optimizers.optimizer import Optimizer, Rate

STRENGTHS = (
    "l1_regularization_strength",
    "l2_regularization_strength",
    "l2_shrinkage_regularization_strength",
)


class Ftrl(Optimizer):
    """Follow the regularized leader: the weights that would have been best so far, if kept small.

        n' = n + g^2                                     q = -learning_rate_power
        z += g + 2 * shrinkage * w - (n'^q - n^q) / learning_rate * w
        w  = (clip(z, -l1, l1) - z) / (n'^q / learning_rate + 2 * l2 + beta / learning_rate)
        n  = n'

    Where z stays between -l1 and l1, the weight is exactly 0.

    Args:
        learning_rate: how far a step goes.
        learning_rate_power: at most 0; -0.5 divides by the root of n, 0 by nothing.
        initial_accumulator_value: what n begins with.
        l1_regularization_strength: l1.
        l2_regularization_strength: l2.
        l2_shrinkage_regularization_strength: shrinkage, of the present weights and not of z.
        beta: adds to l2.
        **common: what all optimizers take; see Optimizer.

    Source: McMahan et al. 2013, "Ad click prediction: a view from the trenches".

    >>> import numpy as np
    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([0.0, 0.0]))
    >>> Ftrl(0.1, l1_regularization_strength=1.0).apply([np.array([5.0, 0.5])], [w])
    >>> w.numpy().round(2)
    array([-0.08,  0.  ])
    """

    slots = (("accumulator", "linear"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.learning_rate_power = number(
            "Ftrl: learning_rate_power", learning_rate_power, low=-math.inf, high=0
        )
        self.initial_accumulator_value = number(
            "Ftrl: initial_accumulator_value", initial_accumulator_value
        )
        given = (
            l1_regularization_strength,
            l2_regularization_strength,
            l2_shrinkage_regularization_strength,
        )
        l1, l2, shrinkage = (
            number(f"Ftrl: {name}", value) for name, value in zip(STRENGTHS, given, strict=True)
        )
        self.l1_regularization_strength = l1
        self.l2_regularization_strength = l2
        self.l2_shrinkage_regularization_strength = shrinkage
        self.beta = number("Ftrl: beta", beta)

    def first_value(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        n, z = state["accumulator"], state["linear"]
        rate, q, l1 = self.learning_rate, -self.learning_rate_power, self.l1_regularization_strength
        w -= decay * w
        before = n**q
        n += g * g
        z += g + 2 * self.l2_shrinkage_regularization_strength * w - (n**q - before) / rate * w
        width = n**q / rate + 2 * self.l2_regularization_strength + self.beta / rate
        w[...] = (z.clip(-l1, l1) - z) / width

    def get_config(self) -> dict[str, Any]:
        own = ("learning_rate_power", "initial_accumulator_value", *STRENGTHS, "beta")
        return super().get_config() | {name: getattr(self, name) for name in own}
