"""Learning-rate schedules: how the learning rate changes from step to step. Keras' formulas.

t is the number of steps done, 0 at the first update, and T is decay_steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minicnn.arguments import number, optional_number, resolve, saved_form

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "get",
    "serialize",
]


class LearningRateSchedule:
    """What all schedules share. A subclass writes `__call__` and `get_config`.

    >>> class Warm(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return min(step / 100, 1) * 0.1
    >>> Warm()(50)
    0.05
    """

    def __call__(self, step: int) -> float:
        """The learning rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(step).")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a schedule like this one."""
        raise NotImplementedError(f"{type(self).__name__} defines no get_config.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """Make a schedule from what get_config() has returned."""
        return cls(**config)


class _Decay(LearningRateSchedule):
    """A schedule whose configuration is what stands under the names of its arguments."""

    arguments: tuple[str, ...]

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.arguments}


class ExponentialDecay(_Decay):
    """The learning rate shrinks by the same factor in every T steps.

        rate = initial_learning_rate * decay_rate^(t / T)

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: T.
        decay_rate: the factor.
        staircase: whether t / T is rounded down, so that the rate stays the same for T steps.
        name: a name for people.

    Raises:
        ValueError: decay_steps is not above 0, or a number is negative.
        TypeError: one of them is no number.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = _rate(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps(self, "decay_steps", decay_steps)
        self.decay_rate = _rate(self, "decay_rate", decay_rate)
        self.staircase = staircase
        self.name = name

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** _part(self, step)


class InverseTimeDecay(ExponentialDecay):
    """The learning rate shrinks quickly at first, then ever more slowly.

        rate = initial_learning_rate / (1 + decay_rate * t / T)

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: T.
        decay_rate: how fast it shrinks.
        staircase: whether t / T is rounded down, so that the rate stays the same for T steps.
        name: a name for people.

    Raises:
        ValueError: decay_steps is not above 0, or a number is negative.
        TypeError: one of them is no number.

    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * _part(self, step))


class PiecewiseConstantDecay(_Decay):
    """The learning rate jumps from one value to the next at given steps.

        rate = values[i] while t <= boundaries[i];  the last value after the last boundary

    Args:
        boundaries: the last steps of each value but the last, rising.
        values: the learning rates, one more than boundaries.
        name: a name for people.

    Raises:
        ValueError: the numbers of boundaries and values do not fit, or boundaries do not rise.
        TypeError: one of them is no number.

    >>> rate = PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    >>> rate(0), rate(10), rate(11), rate(21)
    (0.1, 0.1, 0.01, 0.001)
    """

    arguments = ("boundaries", "values", "name")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.boundaries) != len(self.values) - 1 or not self.boundaries:
            raise ValueError(
                f"PiecewiseConstantDecay: wants at least one boundary, and one value more than "
                f"boundaries, but got {len(self.boundaries)} boundaries and {len(self.values)} "
                f"values."
            )
        if self.boundaries != sorted(set(self.boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must rise, but are {self.boundaries}."
            )
        for value in self.values:
            _rate(self, "values", value)

    def __call__(self, step: int) -> float:
        pairs = zip(self.boundaries, self.values, strict=False)
        return float(next((value for end, value in pairs if step <= end), self.values[-1]))


class PolynomialDecay(_Decay):
    """The learning rate falls to its last value within T steps: on a line, or on a power of it.

        rate = (initial_learning_rate - end_learning_rate) * (1 - t / T)^power + end_learning_rate

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: T.
        end_learning_rate: the learning rate after T steps.
        power: 1 for a line.
        cycle: whether to climb again after T steps, and to fall until step 2 T, 3 T, and so on.
        name: a name for people.

    Raises:
        ValueError: decay_steps is not above 0, or a number is negative.
        TypeError: one of them is no number.

    >>> PolynomialDecay(0.5, decay_steps=10, end_learning_rate=0.25)(5)
    0.375
    """

    arguments = (
        "initial_learning_rate",
        "decay_steps",
        "end_learning_rate",
        "power",
        "cycle",
        "name",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = _rate(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps(self, "decay_steps", decay_steps)
        self.end_learning_rate = _rate(self, "end_learning_rate", end_learning_rate)
        self.power = _rate(self, "power", power)
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        T = self.decay_steps
        if self.cycle:
            T *= max(math.ceil(step / T), 1)
        height = self.initial_learning_rate - self.end_learning_rate
        return height * (1 - min(step, T) / T) ** self.power + self.end_learning_rate


class CosineDecay(_Decay):
    """The learning rate falls along half a wave within T steps, after a rise if one is wanted.

        rate = start * ((1 - alpha) * (1 + cos(pi * t / T)) / 2 + alpha)

    Args:
        initial_learning_rate: the first learning rate, from which it rises or falls.
        decay_steps: T, without the steps of the rise.
        alpha: the share of the learning rate that is left after T steps.
        name: a name for people.
        warmup_target: where a straight rise from initial_learning_rate leads; None for no rise.
        warmup_steps: the length of the rise.

    Raises:
        ValueError: decay_steps is not above 0, or a number is negative.
        TypeError: one of them is no number.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.

    >>> CosineDecay(0.1, decay_steps=10)(5)
    0.05
    >>> CosineDecay(0.0, decay_steps=10, warmup_target=0.5, warmup_steps=4)(2)
    0.25
    """

    arguments = (
        "initial_learning_rate",
        "decay_steps",
        "alpha",
        "name",
        "warmup_target",
        "warmup_steps",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = _rate(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps(self, "decay_steps", decay_steps)
        self.alpha = _rate(self, "alpha", alpha)
        self.name = name
        self.warmup_target = optional_number("CosineDecay: warmup_target", warmup_target)
        self.warmup_steps = _rate(self, "warmup_steps", warmup_steps)

    def __call__(self, step: int) -> float:
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                rise = self.warmup_target - start
                return start + rise * step / self.warmup_steps
            start, step = self.warmup_target, step - int(self.warmup_steps)
        return start * _half_wave(min(step / self.decay_steps, 1), self.alpha)


class CosineDecayRestarts(_Decay):
    """The learning rate falls along half a wave, jumps up again, falls more slowly, and so on.

    The i-th wave, i = 0, 1, ..., has first_decay_steps * t_mul^i steps and begins at
    initial_learning_rate * m_mul^i:

        rate = initial_learning_rate * ((1 - alpha) * m_mul^i * (1 + cos(pi * part)) / 2 + alpha)

    where `part` is the part of the wave that is done.

    Args:
        initial_learning_rate: the first learning rate.
        first_decay_steps: the length of the first wave.
        t_mul: how many times as long each wave is as the one before; at least 1.
        m_mul: how many times as high.
        alpha: the share of the learning rate at the end of a wave.
        name: a name for people.

    Raises:
        ValueError: first_decay_steps is not above 0, t_mul below 1, or a number is negative.
        TypeError: one of them is no number.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.

    >>> rate = CosineDecayRestarts(0.1, first_decay_steps=10)
    >>> rate(0), rate(5), rate(10), rate(20)
    (0.1, 0.05, 0.1, 0.05)
    """

    arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = _rate(self, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _steps(self, "first_decay_steps", first_decay_steps)
        self.t_mul = number("CosineDecayRestarts: t_mul", t_mul, low=1)
        self.m_mul = _rate(self, "m_mul", m_mul)
        self.alpha = _rate(self, "alpha", alpha)
        self.name = name

    def __call__(self, step: int) -> float:
        wave, part = self._wave(step / self.first_decay_steps)
        fall = (1 - self.alpha) * self.m_mul**wave * _half_wave(part, 0.0)
        return self.initial_learning_rate * (fall + self.alpha)

    def _wave(self, done: float) -> tuple[int, float]:
        """Which wave it is, and the part of it that is done; `done` counts in first waves."""
        if self.t_mul == 1:
            return math.floor(done), done - math.floor(done)
        # i waves last 1 + t_mul + t_mul^2 + ... = (t_mul^i - 1) / (t_mul - 1) first waves
        wave = math.floor(math.log(1 + done * (self.t_mul - 1)) / math.log(self.t_mul) + 1e-9)
        before = (self.t_mul**wave - 1) / (self.t_mul - 1)
        return wave, max(done - before, 0.0) / self.t_mul**wave


def _half_wave(part: float, alpha: float) -> float:
    """From 1, for part = 0, along a cosine to alpha, for part = 1."""
    return (1 - alpha) * 0.5 * (1 + math.cos(math.pi * part)) + alpha


def _part(schedule: ExponentialDecay, step: int) -> float:
    part = step / schedule.decay_steps
    return math.floor(part) if schedule.staircase else part


def _rate(schedule: LearningRateSchedule, name: str, value: Any) -> float:
    return number(f"{type(schedule).__name__}: {name}", value)


def _steps(schedule: LearningRateSchedule, name: str, value: Any) -> Any:
    """Return the number of steps, as it came.

    Raises:
        ValueError: it is not above 0.
    """
    if not number(f"{type(schedule).__name__}: {name}", value):
        raise ValueError(f"{type(schedule).__name__}: {name} must be above 0, but is {value}.")
    return value


SCHEDULES = {
    cls.__name__: cls
    for cls in (
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    )
}


def get(identifier: Any) -> LearningRateSchedule:
    """Return the schedule that an object or a saved configuration stands for.

    Raises:
        ValueError: no schedule has this name.
        TypeError: identifier is neither.

    >>> get(serialize(CosineDecay(0.1, 100)))(0)
    0.1
    """
    return resolve("schedule", LearningRateSchedule, SCHEDULES, identifier)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Describe a schedule as it stands in files."""
    return saved_form("optimizers.schedules", learning_rate_schedule)


deserialize = get
