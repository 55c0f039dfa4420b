"""Variable: a named tensor that lives longer than a graph, as the weights of a layer do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, beside, kernels, placed


class Variable(Tensor):
    """A weight: a leaf tensor with a name, whose numbers are changed by training.

    Args:
        data: the first numbers.
        name: what it is in its layer, as "kernel" or "bias".
        trainable: whether an optimizer may change it.
        regularizer: a function of the variable whose result is added to the loss, or None.
        constraint: a function that maps new numbers to allowed ones after each update, or None.
        device: where it lives; None: where set_device says.

    >>> w = Variable(np.zeros((2, 3), np.float32), name="kernel")
    >>> w.assign(np.ones((2, 3)))
    >>> w.numpy().sum().item()
    6.0
    """

    __slots__ = ("constraint", "name", "path", "regularizer")

    def __init__(
        self,
        data: Array,
        name: str = "variable",
        trainable: bool = True,
        regularizer: Callable[[Tensor], Tensor] | None = None,
        constraint: Callable[[Array], Array] | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__(data, trainable, device)
        self.name = name
        self.path = name  # the layer puts its own name in front
        self.regularizer = regularizer
        self.constraint = constraint

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change it; the same as `requires_grad`."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = value

    def numpy(self) -> Array:
        """A copy of the numbers, which training does not change."""
        return super().numpy().copy()

    def assign(self, value: Any) -> None:
        """Replace the numbers, keeping shape and dtype. Graphs that used the old ones notice.

        Raises:
            ValueError: value has another shape.
        """
        value = self._beside(value)
        if value.shape != self.shape:
            raise ValueError(
                f"{self.path}: has shape {self.shape}, but was assigned values of shape "
                f"{value.shape}."
            )
        self.data = value.astype(self.dtype)  # a new array: an optimizer looks for these, see there

    def assign_add(self, value: Any) -> None:
        """Add to the numbers; see assign."""
        self.assign(self.data + self._beside(value))

    def assign_sub(self, value: Any) -> None:
        """Subtract from the numbers; see assign."""
        self.assign(self.data - self._beside(value))

    def _beside(self, value: Any) -> Array:
        """`value` as an array on the device of the variable."""
        value = value.data if isinstance(value, Tensor) else value
        return beside(value if kernels.is_gpu_array(value) else np.asarray(value), self.data)

    def move(self, device: str) -> None:
        """Put the numbers on another device. Graphs that used the old ones notice."""
        self.data = placed(self.data, device)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"
