"""LayerNormalization, GroupNormalization: normalization that looks at one input at a time."""

from typing import Any

import numpy as np

from minicnn import constraints, initializers, ops, regularizers
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_features, check_last_axis, known_channels
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.variable import Variable


class RowNormalization(Layer):
    """What both have in common: gamma and beta, and epsilon.

    Args:
        axis: see the subclass.
        epsilon: added to the variance, so that no root of zero is divided by.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: makes the first beta.
        gamma_initializer: makes the first gamma.
        beta_regularizer: makes a penalty from beta, which is added to the loss.
        gamma_regularizer: the same for gamma.
        beta_constraint: maps a beta (an array) to an allowed one after each update.
        gamma_constraint: the same for gamma.
        **keywords: name, trainable, dtype, activity_regularizer, input_shape; see Layer.

    Raises:
        ValueError: a setting is not possible or unknown.
        TypeError: a setting is of the wrong kind.
    """

    axis: int | list[int]
    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        *,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.epsilon = number(f"{who}: epsilon", epsilon)
        self.center = arguments.truth_value(who, "center", center)
        self.scale = arguments.truth_value(who, "scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = arguments.constraint(who, "beta_constraint", beta_constraint)
        self.gamma_constraint = arguments.constraint(who, "gamma_constraint", gamma_constraint)

    def make_gamma_and_beta(self, shape: tuple[int, ...]) -> None:
        """Make those of the two weights that are wanted."""
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def gamma_and_beta(self, shape: tuple[int, ...], device: str) -> tuple[Tensor, Tensor]:
        """The two, or what changes nothing in their place."""
        ones, zeros = np.ones(shape, self.dtype), np.zeros(shape, self.dtype)
        gamma = Tensor(ones, device=device) if self.gamma is None else self.gamma
        beta = Tensor(zeros, device=device) if self.beta is None else self.beta
        return gamma, beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


class LayerNormalization(RowNormalization):
    """Give the channels of each pixel the mean 0 and the spread 1, then stretch and move them.

        y[r,c] = (x[r,c] - mean[r]) / sqrt(variance[r] + epsilon) * gamma[c] + beta[c]

    r counts all pixels of all images, c the numbers along `axis`. No input looks at another one, so
    training and inference are the same, and the size of the batch does not matter.

    Args:
        axis: along which mean and variance are taken: -1, the channels, another axis, or a list:
            [1, 2, 3] takes whole images.
        epsilon: added to the variance, so that no root of zero is divided by.
        center: whether there is a beta.
        scale: whether there is a gamma.
        rms_scaling: only False; it is there because files of Keras name it.
        **keywords: initializers, regularizers and constraints of gamma and beta, see
            RowNormalization; name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible or unknown.
        TypeError: a setting is of the wrong kind.

    Weights: gamma, beta, of the sizes of the input along `axis`.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.

    >>> LayerNormalization()(np.array([[10.0, 14.0], [3.0, 1.0]])).numpy().round(2)
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | list[int] | tuple[int, ...] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        rms_scaling: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, center=center, scale=scale, **keywords)
        who = "LayerNormalization"
        if isinstance(axis, tuple | list):
            self.axis = sorted(arguments.axis(who, k) for k in axis)
        else:
            self.axis = arguments.axis(who, axis)
        if arguments.truth_value(who, "rms_scaling", rms_scaling):
            raise ValueError(f"{who}: rms_scaling=True is not supported. Leave it out.")

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the layer cannot take inputs of this shape."""
        check_features(self.title, shape)
        axes = self._axes(shape)
        if len(set(axes)) < len(axes) or not all(0 < k < len(shape) for k in axes):
            raise ValueError(
                f"{self.title}: axis={self.axis} must name different axes of inputs of shape "
                f"{shape}, and not that of the batch."
            )
        if self.built and self._sizes(shape) != self._sizes(self.input_shape):
            check_last_axis(self.title, shape, self.input_shape)
            raise ValueError(
                f"{self.title}: normalizes along axis={self.axis}, and was built for inputs of "
                f"shape {self.input_shape}, but got shape {shape}."
            )

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of (batch, ..., C)."""
        self.check_input(input_shape)
        sizes = self._sizes(input_shape)
        known = tuple(size for size in sizes if size is not None)
        if len(known) < len(sizes):
            raise ValueError(
                f"{self.title}: must know the sizes along axis={self.axis} to make its weights, "
                f"but the input has shape {input_shape}."
            )
        self.make_gamma_and_beta(known)
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        gamma, beta = self.gamma_and_beta(tuple(x.shape[k] for k in self._axes(x.shape)), x.device)
        return ops.layer_norm(x, gamma, beta, self._axes(x.shape), self.epsilon)

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        given = self.axis if isinstance(self.axis, list) else [self.axis]
        return tuple(k + len(shape) if k < 0 else k for k in given)

    def _sizes(self, shape: Shape) -> Shape:
        return tuple(shape[k] for k in self._axes(shape))


class GroupNormalization(RowNormalization):
    """Give each group of channels of each image the mean 0 and the spread 1.

        y[n,h,w,c] = (x[n,h,w,c] - mean[n,g]) / sqrt(variance[n,g] + epsilon) * gamma[c] + beta[c]

    Mean and variance are those of all pixels of an image and of the channels of the group g that c
    belongs to. It does the work of BatchNormalization where batches are small.

    Args:
        groups: into how many blocks the channels are cut; -1 puts each channel into one of its own.
        axis: that of the channels, which must be the last one.
        epsilon: added to the variance, so that no root of zero is divided by.
        center: whether there is a beta.
        scale: whether there is a gamma.
        **keywords: initializers, regularizers and constraints of gamma and beta, see
            RowNormalization; name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible or unknown; later: the channels cannot be divided.
        TypeError: a setting is of the wrong kind.

    Weights: gamma, beta, (C,) each.
    Source: Wu and He 2018, arXiv:1803.08494.

    >>> GroupNormalization(2)(np.array([[10.0, 14.0, 3.0, 1.0]])).numpy().round(2)
    array([[-1.,  1.,  1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, center=center, scale=scale, **keywords)
        one_each = isinstance(groups, int) and groups == -1
        who = "GroupNormalization"
        self.groups = -1 if one_each else arguments.whole_number(who, "groups", groups)
        self.axis = arguments.axis(who, axis)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the layer cannot take inputs of this shape."""
        check_features(self.title, shape)
        if self.axis not in (-1, len(shape) - 1):
            raise ValueError(
                f"{self.title}: axis={self.axis} is not supported for inputs of shape {shape}: "
                f"channels are on the last axis here, -1. Move them there: "
                f"np.moveaxis(x, {self.axis}, -1)."
            )
        if shape[-1] is not None and shape[-1] % self.groups:
            raise ValueError(
                f"{self.title}: the {shape[-1]} channels of its input, {shape}, cannot be divided "
                f"into {self.groups} equal groups. Choose other groups; -1 means one per channel."
            )
        if self.built:
            check_last_axis(self.title, shape, self.input_shape)

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of (batch, ..., C)."""
        self.check_input(input_shape)
        self.make_gamma_and_beta((known_channels(self.title, input_shape),))
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        channels = x.shape[-1]
        groups = channels if self.groups == -1 else self.groups
        return ops.group_norm(x, *self.gamma_and_beta((channels,), x.device), groups, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {**super().get_config(), "groups": self.groups}
