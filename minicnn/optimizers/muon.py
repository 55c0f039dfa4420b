"""Muon: the momentum of a matrix becomes a rotation, so that all directions count."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.arguments import number, optional_number
from minicnn.backend import Array, kernels
from minicnn.optimizers.clipping import length
from minicnn.optimizers.flat import Flat
from minicnn.optimizers.optimizer import Optimizer, Rate
from minicnn.variable import Variable

COEFFICIENTS = ("muon_a", "muon_b", "muon_c")
OWN = (  # arguments that other optimizers do not have
    "adam_beta_1",
    "adam_beta_2",
    "epsilon",
    "exclude_layers",
    *COEFFICIENTS,
    "adam_lr_ratio",
    "momentum",
    "ns_steps",
    "nesterov",
    "exclude_embeddings",
    "adam_weight_decay",
    "rms_rate",
)


class Muon(Optimizer):
    """Momentum, orthogonalized by Newton and Schulz: for the matrices of hidden layers.

        m  = momentum * m + g
        x  = g + momentum * m                         nesterov; else x = m
        x  = x / |x|;  then ns_steps times   x = a x + (b s + c s s) x,   s = x x^T
        w -= learning_rate * rms_rate * sqrt(max(rows, columns)) * x

    A gradient of a matrix is mostly a few large directions and many small ones, its singular
    values. Each of the ns_steps moves all singular values towards 1 (with the default a, b and c
    into the neighbourhood of 1, and quickly), so that small directions are learned as well.

    Variables that are no matrices (biases, filters of convolutions), those of embeddings, and those
    of exclude_layers are updated by Adam. The last layer should be among exclude_layers.

    Args:
        learning_rate: how far a step goes.
        adam_beta_1: beta_1 of Adam.
        adam_beta_2: beta_2 of Adam.
        adam_weight_decay: the weight decay of what Adam updates; None for none.
        epsilon: that of Adam.
        weight_decay: the weight decay of what Muon updates; None for none.
        exclude_layers: parts of paths ("dense_2"), or regular expressions, of what Adam updates.
        exclude_embeddings: whether Adam updates what has "embedding" in its path.
        muon_a: a.
        muon_b: b.
        muon_c: c.
        adam_lr_ratio: Adam's learning rate is this times the learning rate.
        momentum: the share of m that lasts.
        ns_steps: how many steps of Newton and Schulz.
        nesterov: whether to look ahead along m.
        rms_rate: makes steps as long as those of Adam; None leaves out this factor and the root.
        **common: what all optimizers take; see Optimizer.

    Kernels: kernels/matmul.py.
    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; rms_rate and weight decay: Liu et
        al. 2025, arXiv:2502.16982.

    >>> w = Variable(np.zeros((2, 2), np.float32))
    >>> g = np.array([[1.0, 0.0], [0.0, 0.1]], np.float32)
    >>> Muon(learning_rate=1.0, rms_rate=None, weight_decay=None).apply([g], [w])
    >>> bool(w.numpy()[1, 1] / w.numpy()[0, 0] > 0.6)  # and not 0.1 any more
    True
    """

    slots = (("momentum", "velocity"),)
    one_by_one = True

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **common)
        self.adam_beta_1 = number("Muon: adam_beta_1", adam_beta_1, below=1)
        self.adam_beta_2 = number("Muon: adam_beta_2", adam_beta_2, below=1)
        self.adam_weight_decay = optional_number("Muon: adam_weight_decay", adam_weight_decay)
        self.epsilon = number("Muon: epsilon", epsilon)
        self.exclude_layers = _listed(exclude_layers)
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = (
            number(f"Muon: {name}", value, low=-math.inf)
            for name, value in zip(COEFFICIENTS, (muon_a, muon_b, muon_c), strict=True)
        )
        self.adam_lr_ratio = number("Muon: adam_lr_ratio", adam_lr_ratio)
        self.momentum = number("Muon: momentum", momentum, high=1)
        self.ns_steps = int(number("Muon: ns_steps", ns_steps))
        self.nesterov = nesterov
        self.rms_rate = optional_number("Muon: rms_rate", rms_rate)

    def wants(self, slot: str, variable: Variable) -> bool:
        return slot != "velocity" or self._is_for_adam(variable)

    def _is_for_adam(self, variable: Variable) -> bool:
        if variable.ndim != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(part, variable.path) for part in self.exclude_layers)

    def _decay(self, flat: Flat) -> float:
        adams = "velocity" in flat.state
        share = self.adam_weight_decay if adams else self.weight_decay
        return self.learning_rate * (share or 0.0) if flat.decays else 0.0

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        w -= decay * w
        if "velocity" in state:
            self._adapt(w, g, state["momentum"], state["velocity"])
        else:
            self._turn(w, g, state["momentum"])

    def _adapt(self, w: Array, g: Array, m: Array, v: Array) -> None:
        """Do a step of Adam."""
        t = self.iterations + 1
        alpha = self.learning_rate * self.adam_lr_ratio
        alpha *= math.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
        m += (1 - self.adam_beta_1) * (g - m)
        v += (1 - self.adam_beta_2) * (g * g - v)
        w -= alpha * m / (np.sqrt(v) + self.epsilon)

    def _turn(self, w: Array, g: Array, m: Array) -> None:
        """Do a step of Muon."""
        m *= self.momentum
        m += g
        x = self._orthogonalized(g + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            x = x * (math.sqrt(max(w.shape)) * self.rms_rate)
        w -= self.learning_rate * x

    def _orthogonalized(self, x: Array) -> Array:
        """The iteration of Newton and Schulz; a tall matrix is turned, so that s is small.

        x = u diag(q) v^T becomes u diag(a q + b q^3 + c q^5) v^T: only singular values change.
        """
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (length([x]) + 1e-7)  # no singular value is above 1
        for _ in range(self.ns_steps):
            s = _product(x, x.T)
            x = self.muon_a * x + _product(self.muon_b * s + self.muon_c * _product(s, s), x)
        return x.T if tall else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: getattr(self, name) for name in OWN}


def _product(x: Array, y: Array) -> Array:
    """The matrix product, by a kernel whose result does not depend on the number of threads."""
    return kernels.matmul.multiply(x, y, None, False)


def _listed(exclude_layers: Sequence[str] | None) -> list[str]:
    if isinstance(exclude_layers, str):
        raise TypeError(
            f"Muon: exclude_layers must be a list of names, but is {exclude_layers!r}. Put it in "
            f"brackets: [{exclude_layers!r}]."
        )
    return list(exclude_layers or ())
