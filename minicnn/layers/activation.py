"""Activations as layers of their own, with settings: ReLU, LeakyReLU, ELU, Softmax, PReLU."""

import math
from typing import Any

from minicnn import activations, constraints, initializers, ops, regularizers
from minicnn.arguments import number, optional_number
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_features
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.variable import Variable


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


class PReLU(Layer):
    """Learn the slope below zero:  y = x where x > 0, else alpha * x.

    At 0 the slope is that of the left side, as for LeakyReLU and in PyTorch: dx = alpha * dy. (In
    Keras it is 0 there.)

    Args:
        alpha_initializer: makes the first slopes.
        alpha_regularizer: makes a penalty from them, which is added to the loss.
        alpha_constraint: maps them (an array) to allowed ones after each update: "non_neg".
        shared_axes: axes along which one slope serves for all, counted from 1: [1, 2] leaves one
            slope per channel of images. None: each number of an input has a slope of its own.
        **keywords: see Layer.

    Raises:
        ValueError: an initializer, regularizer or constraint is unknown, or there is no such axis.
        TypeError: a setting is of the wrong kind.

    Weights: alpha, the shape of an input, with 1 along shared_axes.
    Source: He et al. 2015, arXiv:1502.01852.

    >>> import numpy as np
    >>> PReLU("ones", shared_axes=[1, 2])(np.array([[[[-2.0], [3.0]]]])).numpy().ravel()
    array([-2.,  3.], dtype=float32)
    """

    alpha: Variable

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | list[int] | tuple[int, ...] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = arguments.constraint("PReLU", "alpha_constraint", alpha_constraint)
        self.shared_axes = None
        if shared_axes is not None:
            axes = shared_axes if isinstance(shared_axes, tuple | list) else [shared_axes]
            name = "each of shared_axes"
            self.shared_axes = [arguments.whole_number("PReLU", name, axis) for axis in axes]

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the slopes do not fit inputs of this shape."""
        check_features(self.title, shape)
        if max(self.shared_axes or [0]) >= len(shape):
            raise ValueError(
                f"{self.title}: shared_axes={self.shared_axes} name an axis that inputs of shape "
                f"{shape} do not have."
            )
        if self.built and self._sizes(shape) != self._sizes(self.input_shape):
            raise ValueError(
                f"{self.title}: has slopes for inputs of shape {self.input_shape}, but got shape "
                f"{shape}. Share them: shared_axes=[1, 2] has one per channel of images."
            )

    def build(self, input_shape: Shape) -> None:
        """Make the slopes for inputs of (batch, ...)."""
        self.check_input(input_shape)
        sizes = self._sizes(input_shape)
        known = tuple(size for size in sizes if size is not None)
        if len(known) < len(sizes):
            raise ValueError(
                f"{self.title}: must know all sizes that it does not share, but the input has "
                f"shape {input_shape}. Name the others in shared_axes."
            )
        self.alpha = self.add_weight(
            known,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        # minimum passes its gradient on at 0, relu does not: there is one slope there, alpha
        return ops.relu(x) + self.alpha * ops.minimum(x, 0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }

    def _sizes(self, shape: Shape) -> Shape:
        shared = self.shared_axes or []
        return tuple(1 if k in shared else n for k, n in enumerate(shape) if k)
