"""What all metrics share, and means of what is computed for each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.arguments import snake_case
from minicnn.backend import Array
from minicnn.pairing import check_same_shape, fitting_weights, numbers, of_one_rank
from minicnn.variable import Variable


class Metric:
    """What all metrics share. A subclass writes `update_state` and `result`.

    What it counts with is made in its own `__init__`: by add_variable, which reset_state sets to
    zero; or as plain numbers and arrays, for which it writes a `reset_state` of its own.

    Args:
        name: under which it is reported; by default the class name in snake case.
        dtype: means nothing here, as metrics count in float64.

    >>> class Biggest(Metric):
    ...     def __init__(self, name=None):
    ...         super().__init__(name)
    ...         self.biggest = self.add_variable(name="biggest")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.biggest.assign(max(self.biggest.item(), y_pred.max()))
    ...     def result(self):
    ...         return self.biggest.item()
    >>> metric = Biggest()
    >>> metric(None, np.array([1.0, 3.0])), metric.name
    (3.0, 'biggest')
    """

    direction: str | None = None  # "max" if more is better, "min" if less is, None if nobody knows

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def add_variable(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make numbers to count with, which begin at 0.

        Args:
            shape: their shape.
            initializer: "zeros", and nothing else.
            dtype: means nothing here.
            name: a name for people.

        Raises:
            ValueError: the initializer is another one.
        """
        if initializer not in ("zeros", "Zeros"):
            raise ValueError(
                f"{type(self).__name__}.add_variable: a metric begins with zeros, but initializer "
                f"is {initializer!r}."
            )
        return Variable(np.zeros(shape), name or "variable", trainable=False, device="cpu")

    add_weight = add_variable

    @property
    def variables(self) -> list[Variable]:
        """What add_variable has made and an attribute holds."""
        return [value for value in vars(self).values() if isinstance(value, Variable)]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: labels.
            y_pred: outputs.
            sample_weight: one weight per sample, (N,), or None.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update_state.")

    def result(self) -> Any:
        """The value over all batches since the last reset: a number, or an array of numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no result.")

    def reset_state(self) -> None:
        """Forget all batches."""
        if not self.variables:
            raise NotImplementedError(f"{type(self).__name__} defines no reset_state.")
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape))

    def __call__(self, *batch: Any, **settings: Any) -> Any:
        """Take a batch into account, as update_state, and return the result so far."""
        self.update_state(*batch, **settings)
        return self.result()

    def state(self) -> dict[str, Any]:
        """What it counts with: the numbers and arrays among its attributes."""
        kinds = (int, float, np.number, np.ndarray)
        found = {name: value for name, value in vars(self).items() if isinstance(value, kinds)}
        own = {name: value for name, value in vars(self).items() if isinstance(value, Variable)}
        return found | {name: variable.numpy() for name, variable in own.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what state() has returned."""
        for name, value in state.items():
            own = getattr(self, name, None)
            if isinstance(own, Variable):
                own.assign(value)
            else:
                setattr(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a metric like this one, without its state."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Make a metric from what get_config() has returned."""
        return cls(**config)


class Total(Metric):
    """A metric that adds up values, and their weights, in float64."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name)
        self.reset_state()

    def reset_state(self) -> None:
        self.total = 0.0  # of value * weight
        self.count = 0.0  # of weight

    def add(self, values: Any, sample_weight: Any) -> None:
        values = np.asarray(numbers(self.name, values), np.float64)
        weights = np.ones(())
        if sample_weight is not None:
            weights = fitting_weights(self.name, sample_weight, values.shape)
        weights = np.broadcast_to(weights, values.shape)
        self.total += float((values * weights).sum())
        self.count += float(weights.sum(dtype=np.float64))

    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0


class Mean(Total):
    """The weighted mean of values: sum of weight * value / sum of weight.

    Args:
        name: under which it is reported.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0]); mean.update_state([5.0]); mean.result()
    3.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self.add(values, sample_weight)

    def result(self) -> float:
        return self.mean()


class Sum(Total):
    """The weighted sum of values.

    Args:
        name: under which it is reported.

    >>> total = Sum()
    >>> total.update_state([1.0, 3.0]); total.update_state([5.0]); total.result()
    9.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self.add(values, sample_weight)

    def result(self) -> float:
        return self.total


class MeanMetric(Total):
    """The weighted mean over all samples of something computed from labels and outputs.

    A subclass writes `values`.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """What is averaged: one number per sample, or more."""
        raise NotImplementedError(f"{type(self).__name__} defines no values(y_true, y_pred).")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = numbers(self.name, y_true), numbers(self.name, y_pred)
        self.add(self.values(y_true, y_pred), sample_weight)

    def result(self) -> float:
        return self.mean()

    def _paired(self, y_true: Array, y_pred: Array) -> Array:
        """Labels in the shape of the outputs."""
        y_true = of_one_rank(y_true, y_pred.shape)
        check_same_shape(self.name, y_true.shape, y_pred.shape)
        return y_true


class FunctionMetric(MeanMetric):
    """A metric made of a plain function of labels and outputs.

    Args:
        function: gives one number per sample, or a single one.
        name: by default the function's.

    >>> def off_by(y_true, y_pred):
    ...     return abs(y_true - y_pred)
    >>> metric = FunctionMetric(off_by)
    >>> metric.name, metric([1.0, 2.0], [1.0, 5.0])
    ('off_by', 1.5)
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None) -> None:
        super().__init__(name or getattr(function, "__name__", None))
        self.function = function

    def values(self, y_true: Array, y_pred: Array) -> Array:
        values = numbers(self.name, self.function(y_true, y_pred))
        if values.ndim or not len(y_pred):
            return values
        return np.broadcast_to(values, (len(y_pred),))  # a mean counts for all of its samples
