"""Activations as layers of their own, with settings: ReLU, LeakyReLU, ELU, Softmax."""

import math
from typing import Any

from minicnn import activations, ops
from minicnn.arguments import number, optional_number
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape


class ReLU(Layer):
    """Cut off what is below a threshold:  y = x where x > threshold.

        y = min(x, max_value)                    where x > threshold
        y = negative_slope * (x - threshold)     elsewhere

    Args:
        max_value: the largest output; None sets no limit.
        negative_slope: slope below the threshold.
        threshold: where the cut is.
        **keywords: see Layer.

    Raises:
        ValueError: a setting is negative or not finite.
        TypeError: a setting is no number.

    Source: Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".

    >>> import numpy as np
    >>> ReLU(max_value=6)(np.array([[-1.0, 2.0, 8.0]]))
    Tensor([[0. 2. 6.]])
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.max_value = optional_number("ReLU: max_value", max_value)
        self.negative_slope = number("ReLU: negative_slope", negative_slope)
        self.threshold = number("ReLU: threshold", threshold)

    def call(self, x: Tensor) -> Tensor:
        return activations.relu(
            x,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """Flatten what is below zero, but not to nothing:  y = x where x > 0, else negative_slope * x.

    Args:
        negative_slope: slope below zero.
        **keywords: see Layer.

    Raises:
        ValueError: the slope is negative or not finite.
        TypeError: the slope is no number.

    Source: Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic
        models".

    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([[-2.0, 3.0]]))
    Tensor([[-1.  3.]])
    """

    def __init__(self, negative_slope: float = 0.3, **keywords: Any) -> None:
        if "alpha" in keywords:  # its name in Keras 2
            negative_slope = keywords.pop("alpha")
        super().__init__(**keywords)
        self.negative_slope = number("LeakyReLU: negative_slope", negative_slope)

    def call(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """Bend smoothly below zero:  y = x where x > 0, else alpha * (e^x - 1).

    Args:
        alpha: how deep y goes for very negative x.
        **keywords: see Layer.

    Raises:
        ValueError: alpha is not finite.
        TypeError: alpha is no number.

    Source: Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289.

    >>> import numpy as np
    >>> ELU()(np.array([[-100.0, 3.0]]))
    Tensor([[-1.  3.]])
    """

    def __init__(self, alpha: float = 1.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.alpha = number("ELU: alpha", alpha, low=-math.inf)

    def call(self, x: Tensor) -> Tensor:
        return ops.elu(x, alpha=self.alpha)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """Turn scores into probabilities:  y[k] = e^x[k] / sum of all e^x along an axis.

    Args:
        axis: the axis along which the probabilities add up to 1.
        **keywords: see Layer.

    Raises:
        TypeError: axis is no integer.

    >>> import numpy as np
    >>> Softmax()(np.array([[0.0, 0.0]]))
    Tensor([[0.5 0.5]])
    """

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = arguments.axis("Softmax", axis)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` does not have the axis."""
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(
                f"{self.title}: has axis={self.axis}, but got shape {shape} of {len(shape)} axes."
            )

    def call(self, x: Tensor) -> Tensor:
        return ops.softmax(x, axis=self.axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "axis": self.axis}
