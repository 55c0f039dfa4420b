"""BatchNormalization: keeps the numbers between layers at a size at which learning is easy."""

from typing import Any

from minicnn import constraints, initializers, ops, regularizers
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, filled
from minicnn.layers import arguments
from minicnn.layers.input_check import check_features, check_last_axis, known_channels
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.variable import Variable


class BatchNormalization(Layer):
    """Give each channel a mean and a standard deviation of its own choice, which it learns.

        y[r,c] = (x[r,c] - mean[c]) / sqrt(variance[c] + epsilon) * gamma[c] + beta[c]

    r counts all pixels of all images. While the model learns, mean and variance are those of the
    batch; they also move a running mean, of which inference makes use:

        moving = momentum * moving + (1 - momentum) * that of the batch

    With trainable=False the layer works as in inference, also while the rest of the model learns.

    Args:
        axis: that of the channels, which must be the last one.
        momentum: how much of the moving averages stays in each step, from 0 to 1.
        epsilon: added to the variance, so that no root of zero is divided by.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: makes the first beta.
        gamma_initializer: makes the first gamma.
        moving_mean_initializer: makes the first moving mean.
        moving_variance_initializer: makes the first moving variance.
        beta_regularizer: makes a penalty from beta, which is added to the loss.
        gamma_regularizer: the same for gamma.
        beta_constraint: maps a beta (an array) to an allowed one after each update.
        gamma_constraint: the same for gamma.
        renorm: only False; that and the next two are there because files of Keras name them.
        renorm_clipping: means nothing without renorm.
        renorm_momentum: means nothing without renorm.
        synchronized: only False: there are no other devices to agree with.
        **keywords: name, trainable, dtype, activity_regularizer, input_shape; see Layer.

    Raises:
        ValueError: a setting is not possible or unknown.
        TypeError: a setting is of the wrong kind.

    Weights: gamma, beta, moving_mean, moving_variance, (C,) each; the last two are not learned. The
        variance is the sum of squares divided by their number, not by one less as in PyTorch.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    >>> import numpy as np
    >>> layer, x = BatchNormalization(), np.array([[10.0], [14.0]])
    >>> layer(x, training=True).numpy().round(3).ravel(), layer.moving_mean.numpy().round(3)
    (array([-1.,  1.], dtype=float32), array([0.12], dtype=float32))
    """

    gamma: Variable | None
    beta: Variable | None
    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = "BatchNormalization"
        self.axis = arguments.axis(who, axis)
        self.momentum = number(f"{who}: momentum", momentum, high=1)
        self.epsilon = number(f"{who}: epsilon", epsilon)
        self.center = arguments.truth_value(who, "center", center)
        self.scale = arguments.truth_value(who, "scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = arguments.constraint(who, "beta_constraint", beta_constraint)
        self.gamma_constraint = arguments.constraint(who, "gamma_constraint", gamma_constraint)
        for name, value in {"renorm": renorm, "synchronized": synchronized}.items():
            if arguments.truth_value(who, name, value):
                raise ValueError(f"{who}: {name}=True is not supported. Leave it out.")

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the layer cannot take inputs of this shape."""
        check_features(self.title, shape)
        if self.axis not in (-1, len(shape) - 1):
            raise ValueError(
                f"{self.title}: axis={self.axis} is not supported for inputs of shape {shape}: "
                f"channels are on the last axis here, -1. Move them there: "
                f"np.moveaxis(x, {self.axis}, -1)."
            )
        if self.built:
            check_last_axis(self.title, shape, self.input_shape)

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of (batch, ..., C)."""
        self.check_input(input_shape)
        shape = (known_channels(self.title, input_shape),)
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
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        super().build(input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.normalize(x, training)

    def normalize(
        self,
        x: Tensor,
        training: bool,
        activation: str | None = None,
        shortcut: Tensor | None = None,
    ) -> Tensor:
        """What `call` does, and in the same pass what often follows.

        Args:
            x: the input, (batch, ..., C).
            training: whether the model is learning.
            activation: "relu" cuts off what is below zero; None does not.
            shortcut: is added before that, as at the end of a residual block; of the shape of x.
        """
        self.ensure_built(x.shape)
        channels = self.moving_mean.shape
        gamma, beta = (
            Tensor(filled(channels, number, x.data), device=x.device) if given is None else given
            for given, number in ((self.gamma, 1), (self.beta, 0))
        )
        if training and self.trainable:
            y, mean, variance = ops.batch_norm(x, gamma, beta, self.epsilon, activation, shortcut)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
            return y
        # detached: a graph must not mind that a later step moves them on
        mean_, variance_ = self.moving_mean.detach(), self.moving_variance.detach()
        return ops.normalize(x, mean_, variance_, gamma, beta, self.epsilon, activation, shortcut)

    def _move(self, moving: Variable, now: Array) -> None:
        moving.assign(self.momentum * moving.data + (1 - self.momentum) * now)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }
