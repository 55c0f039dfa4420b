"""DepthwiseConv2D and SeparableConv2D: convolutions that look at one channel at a time."""

from typing import Any

from minicnn import activations, constraints, initializers, ops, regularizers
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import (
    check_images,
    check_last_axis,
    known_channels,
    size_of_sample,
)
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Pair, Shape
from minicnn.layers.window import Window
from minicnn.variable import Variable


class DepthwiseLayer(Layer):
    """What both have in common: a window that moves over each channel by itself, and a bias.

    Args:
        kernel_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window down and right.
        padding: "valid" (none), or "same": zeros all around, such that I = H / s, rounded up.
        depth_multiplier: how many filters each channel has.
        data_format: only "channels_last": images are (N, H, W, C).
        dilation_rate: distance (d, e) between neighbours in the window; 1 leaves no gaps.
        activation: applied to the output: "relu", a function of a tensor; None leaves it as it is.
        use_bias: whether a number of its own is added to each output channel.
        depthwise_initializer: makes the first filters.
        bias_initializer: makes the first bias.
        depthwise_regularizer: makes a penalty from the filters, which is added to the loss: "l2".
        bias_regularizer: the same for the bias.
        depthwise_constraint: maps filters (an array) to allowed ones after each update:
            "max_norm".
        bias_constraint: the same for the bias.
        **keywords: name, trainable, dtype, activity_regularizer, input_shape; see Layer.

    Raises:
        ValueError: a setting is not possible, or two do not go together.
        TypeError: a setting is of the wrong kind.
    """

    bias: Variable | None

    def __init__(
        self,
        *,
        kernel_size: int | Pair,
        strides: int | Pair,
        padding: str,
        depth_multiplier: int,
        data_format: str | None,
        dilation_rate: int | Pair,
        activation: Any,
        use_bias: bool,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.kernel_size = arguments.pair(who, "kernel_size", kernel_size)
        self.strides = arguments.pair(who, "strides", strides)
        self.padding = arguments.one_of(who, "padding", padding, ("valid", "same"))
        self.depth_multiplier = arguments.whole_number(who, "depth_multiplier", depth_multiplier)
        self.data_format = arguments.channels_last(who, data_format)
        self.dilation_rate = arguments.pair(who, "dilation_rate", dilation_rate)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who}: strides={self.strides} and dilation_rate={self.dilation_rate} do not go "
                f"together: one of them must be 1."
            )
        self.window = Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = arguments.truth_value(who, "use_bias", use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = arguments.constraint(
            who, "depthwise_constraint", depthwise_constraint
        )
        self.bias_constraint = arguments.constraint(who, "bias_constraint", bias_constraint)

    def make_filters(self, channels: int, name: str) -> Variable:
        """Make the filters, (P, Q, C, depth_multiplier)."""
        return self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name=name,
        )

    def make_bias(self, size: int) -> Variable | None:
        """Make the bias, or none."""
        if not self.use_bias:
            return None
        return self.add_weight(
            (size,),
            self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
            name="bias",
        )

    def multiply_adds(self, input_shape: Shape) -> int:
        """I * J * P * Q * C * depth_multiplier for one image."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape) * self.depth_multiplier
        z = (None, *self.window.counts(input_shape), channels)
        P, Q = self.kernel_size
        return size_of_sample(self.title, z) * P * Q

    def depthwise(self, x: Tensor, filters: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        """Convolve each channel with its own filters: m of channel c give c * multiplier + m."""
        P, Q, C, multiplier = filters.shape
        return ops.conv2d(
            x,
            ops.reshape(filters, (P, Q, 1, C * multiplier)),
            bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            groups=C,
            activation="relu" if relu else None,
        )

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images that the layer can take."""
        check_images(self.title, shape)
        if self.built:
            check_last_axis(self.title, shape, self.input_shape)
        self.window.check_fit(self.title, shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "depthwise_regularizer": regularizers.serialize(self.depthwise_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "depthwise_constraint": constraints.serialize(self.depthwise_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


class DepthwiseConv2D(DepthwiseLayer):
    """Move small filters over the image, each over one channel only.

        y[n,i,j,f] = activation(bias[f] + sum over p, q of  x[n,h,w,c] * kernel[p,q,c,m])

        where  f = c * depth_multiplier + m,  h = s*i + d*p - top  and  w = t*j + e*q - left;
        outside the image x is 0.

    A filter of Conv2D mixes all channels, which costs C times as much. Here channels stay apart;
    to mix them, let a Conv2D with a window of 1 x 1 follow, or take SeparableConv2D.

    Args:
        kernel_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window down and right.
        padding: "valid" (none), or "same": zeros all around, such that I = H / s, rounded up.
        depth_multiplier: how many filters each channel has.
        data_format: only "channels_last": images are (N, H, W, C).
        dilation_rate: distance (d, e) between neighbours in the window; 1 leaves no gaps.
        activation: "relu", ..., a function of a tensor; None leaves y as it is.
        use_bias: whether there is a bias.
        **keywords: initializers, regularizers and constraints of filters and bias, see
            DepthwiseLayer; name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible, or two do not go together.
        TypeError: a number is no integer.

    Weights: kernel (P, Q, C, depth_multiplier), bias (C * depth_multiplier,).
    Source: Howard et al. 2017, arXiv:1704.04861.

    >>> import numpy as np
    >>> layer = DepthwiseConv2D(3, padding="same", depth_multiplier=2)
    >>> layer(np.ones((1, 32, 32, 8))).shape, layer.count_params()
    ((1, 32, 32, 16), 160)
    """

    kernel: Variable

    def __init__(
        self,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            **keywords,
        )

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias for images of (batch, H, W, C)."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape)
        self.kernel = self.make_filters(channels, "kernel")
        self.bias = self.make_bias(channels * self.depth_multiplier)
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        fused = self.activation is activations.relu  # then the kernel cuts off what is below 0
        y = self.depthwise(x, self.kernel, self.bias, fused)
        return y if fused else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, I, J, C * depth_multiplier)."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape) * self.depth_multiplier
        return (input_shape[0], *self.window.counts(input_shape), channels)


class SeparableConv2D(DepthwiseLayer):
    """Look at each channel by itself, then mix the channels pixel by pixel.

        z[n,i,j,f] = sum over p, q of  x[n,h,w,c] * depthwise_kernel[p,q,c,m]
        y[n,i,j,g] = activation(bias[g] + sum over f of  z[n,i,j,f] * pointwise_kernel[0,0,f,g])

        with the letters of DepthwiseConv2D.

    It does what Conv2D does, for a fraction of the work and of the weights: filters that are a
    pattern in the image times a mixture of channels have to suffice.

    Args:
        filters: number of output channels.
        kernel_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window down and right.
        padding: "valid" (none), or "same": zeros all around, such that I = H / s, rounded up.
        data_format: only "channels_last": images are (N, H, W, C).
        dilation_rate: distance (d, e) between neighbours in the window; 1 leaves no gaps.
        depth_multiplier: how many filters each channel has in the first step.
        activation: "relu", ..., a function of a tensor; None leaves y as it is.
        use_bias: whether there is a bias, in the second step.
        pointwise_initializer: makes the first pointwise_kernel.
        pointwise_regularizer: makes a penalty from it, which is added to the loss: "l2".
        pointwise_constraint: maps it (an array) to an allowed one after each update.
        **keywords: the same for depthwise_kernel and bias, see DepthwiseLayer; name, trainable,
            dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible, or two do not go together.
        TypeError: a number is no integer.

    Weights: depthwise_kernel (P, Q, C, depth_multiplier),
        pointwise_kernel (1, 1, C * depth_multiplier, filters), bias (filters,).
    Source: Chollet 2017, arXiv:1610.02357.

    >>> import numpy as np
    >>> layer = SeparableConv2D(16, 3, activation="relu")
    >>> layer(np.ones((1, 32, 32, 8))).shape, layer.count_params()
    ((1, 30, 30, 16), 216)
    """

    depthwise_kernel: Variable
    pointwise_kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        *,
        pointwise_initializer: Any = "glorot_uniform",
        pointwise_regularizer: Any = None,
        pointwise_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            **keywords,
        )
        self.filters = arguments.whole_number("SeparableConv2D", "filters", filters)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = arguments.constraint(
            "SeparableConv2D", "pointwise_constraint", pointwise_constraint
        )

    def build(self, input_shape: Shape) -> None:
        """Make both kernels and the bias for images of (batch, H, W, C)."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape)
        self.depthwise_kernel = self.make_filters(channels, "depthwise_kernel")
        self.pointwise_kernel = self.add_weight(
            (1, 1, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            name="pointwise_kernel",
        )
        self.bias = self.make_bias(self.filters)
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        fused = self.activation is activations.relu  # then the kernel cuts off what is below 0
        z = self.depthwise(x, self.depthwise_kernel, None, relu=False)
        relu = "relu" if fused else None
        y = ops.conv2d(z, self.pointwise_kernel, self.bias, activation=relu)
        return y if fused else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, I, J, filters)."""
        self.check_input(input_shape)
        return (input_shape[0], *self.window.counts(input_shape), self.filters)

    def multiply_adds(self, input_shape: Shape) -> int:
        """I * J * C * depth_multiplier * (P * Q + filters) for one image."""
        y = size_of_sample(self.title, self.compute_output_shape(input_shape))
        channels = known_channels(self.title, input_shape) * self.depth_multiplier
        return super().multiply_adds(input_shape) + y * channels

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "pointwise_initializer": initializers.serialize(self.pointwise_initializer),
            "pointwise_regularizer": regularizers.serialize(self.pointwise_regularizer),
            "pointwise_constraint": constraints.serialize(self.pointwise_constraint),
        }
