"""Lookahead: an optimizer runs ahead, and the weights follow half of the way."""

from __future__ import annotations

from typing import Any

from minicnn.arguments import number, saved_form
from minicnn.backend import Array
from minicnn.optimizers.flat import Run
from minicnn.optimizers.optimizer import OPTIONS, Optimizer
from minicnn.variable import Variable


class Lookahead(Optimizer):
    """Every k steps, the weights go back to a point on the way from their last such point.

        after k steps of the inner optimizer:   slow += slow_step_size * (w - slow);   w = slow

    The inner optimizer explores with large steps, and what is mere noise in them cancels out.

    Args:
        optimizer: gives the formula of a step and all settings; it is not used on its own then.
        sync_period: k.
        slow_step_size: the share of the way, from 0 to 1.
        name: by default "lookahead".

    Raises:
        TypeError: optimizer is none.
        ValueError: sync_period is no whole number above 0, or slow_step_size out of range.

    Source: Zhang et al. 2019, arXiv:1907.08610.

    >>> import numpy as np
    >>> from minicnn.optimizers import SGD
    >>> w = Variable(np.array([0.0]))
    >>> optimizer = Lookahead(SGD(1.0), sync_period=2)
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([-1.0])], [w])
    >>> w.numpy()  # 0, then 1, then half of 2
    array([1.])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        sync_period: int = 6,
        slow_step_size: float = 0.5,
        name: str | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"Lookahead: wants an optimizer to wrap, as SGD(0.1), but got {optimizer!r}."
            )
        options = {option: getattr(optimizer, option) for option in OPTIONS[2:]}
        super().__init__(optimizer._learning_rate, **options, name=name)
        if isinstance(sync_period, bool) or not isinstance(sync_period, int) or sync_period < 1:
            raise ValueError(
                f"Lookahead: sync_period must be a whole number above 0, but is {sync_period!r}."
            )
        self.optimizer = optimizer
        self.sync_period = sync_period
        self.slow_step_size = number("Lookahead: slow_step_size", slow_step_size, high=1)
        self.slots = (*optimizer.slots, ("slow",))

    def wants(self, slot: str, variable: Variable) -> bool:
        return slot == "slow" or self.optimizer.wants(slot, variable)

    def first_value(self, slot: str) -> float:
        return self.optimizer.first_value(slot)

    def update_all(self, runs: list[Run]) -> None:
        # the formula sees the settings and the step of this optimizer
        self.optimizer._learning_rate, self.optimizer._calls = self._learning_rate, self._calls
        if self.iterations == 0:
            for run in runs:
                run.state["slow"][...] = run.weights
        self.optimizer.update_all(runs)
        if (self.iterations + 1) % self.sync_period == 0:
            for run in runs:
                w, slow = run.weights, run.state["slow"]
                slow += self.slow_step_size * (w - slow)
                w[...] = slow

    def numbers(self) -> list[Array]:
        return self.optimizer.numbers()

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "optimizer": saved_form("optimizers", self.optimizer),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Make an optimizer from what get_config() has returned."""
        from minicnn import optimizers  # here, because that file needs this one

        return cls(**config | {"optimizer": optimizers.get(config["optimizer"])})
