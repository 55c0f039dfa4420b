"""Lamb: Adam for very large batches, with steps in proportion to each layer's weights."""

from __future__ import annotations

import math

import numpy as np

from minicnn.backend import Array
from minicnn.optimizers.adamax import WithMoments
from minicnn.optimizers.clipping import length


class Lamb(WithMoments):
    """Adam whose step is as long as the weights of each variable are together, times the rate.

        m, v as Adam
        x  = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)
        w -= learning_rate * |w| / |x| * x

    |w| and |x| are lengths, the roots of sums of squares; where one of them is 0, their quotient
    counts as 1.

    Args:
        learning_rate: the length of a step, as a share of the length of the weights.
        beta_1: the share of m that lasts.
        beta_2: the share of v that lasts.
        epsilon: keeps the division from exploding where v is 0.
        **common: what all optimizers take; see Optimizer.

    Source: You et al. 2020, arXiv:1904.00962.

    >>> from minicnn.variable import Variable
    >>> w = Variable(np.array([3.0, 4.0]))
    >>> Lamb(learning_rate=0.5).apply([np.array([0.0, 7.0])], [w])
    >>> w.numpy().round(3)  # a step of half of 5
    array([3. , 1.5])
    """

    slots = (("momentum", "velocity"),)
    one_by_one = True

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        t = self.iterations + 1
        m, v = state["momentum"], state["velocity"]
        w -= decay * w
        m += (1 - self.beta_1) * (g - m)
        v += (1 - self.beta_2) * (g * g - v)
        x = m / (1 - self.beta_1**t)
        x /= np.sqrt(v) / math.sqrt(1 - self.beta_2**t) + self.epsilon
        weights, step = length([w]), length([x])
        w -= self.learning_rate * (weights / step if weights and step else 1.0) * x
