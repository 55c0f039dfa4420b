"""Conv2D: the layer that gives convolutional networks their name."""

from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.affine import AffineLayer
from minicnn.layers.input_check import check_images, known_channels, size_of_sample
from minicnn.layers.shapes import Pair, Shape
from minicnn.layers.window import Window


class Conv2D(AffineLayer):
    """Move small filters over the image; each answers where it finds its pattern.

        y[n,i,j,f] = activation(bias[f] + sum over p, q, c of  x[n,h,w,c] * kernel[p,q,c,f])

        where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

    The filters are not flipped: what is called convolution here is correlation, as in Keras.

    Args:
        filters: number of filters, F.
        kernel_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window down and right.
        padding: "valid" (none), or "same": zeros all around, such that I = H / s, rounded up.
        data_format: only "channels_last": images are (N, H, W, C).
        dilation_rate: distance (d, e) between neighbours in the window; 1 leaves no gaps.
        groups: parts into which channels and filters are divided; each part sees only its own.
        activation: "relu", ..., a function of a tensor; None leaves y as it is.
        use_bias: whether there is a bias.
        **keywords: initializers, regularizers and constraints of kernel and bias, see AffineLayer;
            name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible, or two do not go together.
        TypeError: a number is no integer.

    Weights: kernel (P, Q, C / groups, F), bias (F,).
    Source: LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541.

    >>> import numpy as np
    >>> layer = Conv2D(32, (3, 3), activation="relu")
    >>> layer(np.ones((1, 32, 32, 3))).shape, layer.count_params()
    ((1, 30, 30, 32), 896)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(activation=activation, use_bias=use_bias, **keywords)
        self.filters = arguments.whole_number("Conv2D", "filters", filters)
        self.kernel_size = arguments.pair("Conv2D", "kernel_size", kernel_size)
        self.strides = arguments.pair("Conv2D", "strides", strides)
        self.padding = arguments.one_of("Conv2D", "padding", padding, ("valid", "same"))
        self.data_format = arguments.channels_last("Conv2D", data_format)
        self.dilation_rate = arguments.pair("Conv2D", "dilation_rate", dilation_rate)
        self.groups = arguments.whole_number("Conv2D", "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"Conv2D: {self.filters} filters cannot be divided into {self.groups} equal "
                f"groups. Choose filters as a multiple of groups."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"Conv2D: strides={self.strides} and dilation_rate={self.dilation_rate} do not go "
                f"together: one of them must be 1."
            )
        self.window = Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images that the layer can take."""
        check_images(self.title, shape)
        super().check_input(shape)  # the kernel sees C / groups channels, the layer all C
        self.window.check_fit(self.title, shape)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias for images of (batch, H, W, C)."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self.title}: the {channels} channels of its input, {input_shape}, cannot be "
                f"divided into {self.groups} equal groups."
            )
        self.make_kernel_and_bias((*self.kernel_size, channels // self.groups, self.filters))
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        fused = self.activation is activations.relu  # then the kernel cuts off what is below 0
        y = ops.conv2d(
            x,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            groups=self.groups,
            activation="relu" if fused else None,
        )
        return y if fused else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, I, J, filters)."""
        self.check_input(input_shape)
        return (input_shape[0], *self.window.counts(input_shape), self.filters)

    def multiply_adds(self, input_shape: Shape) -> int:
        """I * J * P * Q * C / groups * F for one image."""
        y = size_of_sample(self.title, self.compute_output_shape(input_shape))
        P, Q = self.kernel_size
        return y * P * Q * (known_channels(self.title, input_shape) // self.groups)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
        }
