"""Optimizers: how weights follow their gradients downhill. Formulas and defaults are Keras'.

The arguments that all of them take are described at Optimizer.
"""

from __future__ import annotations

import math
from typing import Any

from minicnn.arguments import number, resolve, saved_form
from minicnn.backend import Array, kernels
from minicnn.optimizer import Optimizer

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "serialize"]


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
        **common: weight_decay, clipnorm, clipvalue, global_clipnorm and name; see Optimizer.

    Kernels: kernels/sgd.py.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum".

    >>> SGD(lr=0.1)
    Traceback (most recent call last):
    ValueError: SGD: unknown argument 'lr'. Did you mean 'learning_rate'?
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
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
        **common: weight_decay, clipnorm, clipvalue, global_clipnorm and name; see Optimizer.

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
        learning_rate: float = 0.001,
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
        self, learning_rate: float = 0.001, weight_decay: float = 0.004, **others: Any
    ) -> None:
        weight_decay = number("AdamW: weight_decay", weight_decay)  # None, say, would not do
        super().__init__(learning_rate, weight_decay=weight_decay, **others)


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
        **common: weight_decay, clipnorm, clipvalue, global_clipnorm and name; see Optimizer.

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
        learning_rate: float = 0.001,
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


OPTIMIZERS = {cls.__name__.lower(): cls for cls in (SGD, Adam, AdamW, RMSprop)}


def get(identifier: Any) -> Optimizer:
    """Return the optimizer that a name, a class, an object or a saved configuration stands for.

    Raises:
        ValueError: no optimizer has this name; upper and lower case are the same.
        TypeError: identifier is none of these.

    >>> get("AdamW").weight_decay
    0.004
    >>> get("adm")
    Traceback (most recent call last):
    ValueError: unknown optimizer 'adm'. Did you mean 'adam'? Known are: adam, adamw, rmsprop, sgd.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    elif isinstance(identifier, dict) and "class_name" in identifier:
        identifier = identifier | {"class_name": identifier["class_name"].lower()}
    return resolve("optimizer", Optimizer, OPTIMIZERS, identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer, without its state, as it stands in files."""
    return saved_form("optimizers", optimizer)
