"""Conv2DTranspose: a convolution run backwards, which makes images larger."""

from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.affine import AffineLayer
from minicnn.layers.input_check import check_images, known_channels, size_of_sample
from minicnn.layers.shapes import Pair, Shape
from minicnn.ops.conv2d_transpose import grow


class Conv2DTranspose(AffineLayer):
    """Let every pixel draw a pattern, as strongly as it is bright; patterns that meet add up.

        y[n,h,w,f] = activation(bias[f] + sum over i, j, p, q, c of  x[n,i,j,c] * kernel[p,q,f,c])

        where  h = s*i + d*p - top  and  w = t*j + e*q - left.

    So images grow by the strides: decoders and generators draw with it. Conv2D does the same to the
    gradients that it hands down, hence the name. Where strides and window are such that patterns
    overlap unevenly, a chequerboard appears: choose kernel_size as a multiple of strides, or take
    UpSampling2D and Conv2D.

    Args:
        filters: number of output channels, F.
        kernel_size: size of a pattern (P, Q), or one number for both.
        strides: distance (s, t) between the patterns of neighbours.
        padding: "valid" keeps all that is drawn, H = (I-1) * s + max(K, s) rows, or "same", which
            cuts the border such that H = s * I. K = d * (P-1) + 1.
        output_padding: rows and columns added below and to the right, fewer than strides; then
            H = (I-1) * s + K + output_padding, less 2 * (K // 2) for "same". None: as above.
        data_format: only "channels_last": images are (N, H, W, C).
        dilation_rate: distance (d, e) between neighbours in a pattern; 1 leaves no gaps.
        activation: "relu", ..., a function of a tensor; None leaves y as it is.
        use_bias: whether there is a bias.
        **keywords: initializers, regularizers and constraints of kernel and bias, see AffineLayer;
            name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible, or two do not go together.
        TypeError: a number is no integer.

    Weights: kernel (P, Q, F, C), bias (F,).
    Source: Zeiler et al. 2010, doi:10.1109/CVPR.2010.5539957.

    >>> import numpy as np
    >>> layer = Conv2DTranspose(8, 4, strides=2, padding="same")
    >>> layer(np.ones((1, 7, 7, 16))).shape, layer.count_params()
    ((1, 14, 14, 8), 2056)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        output_padding: int | Pair | None = None,
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(activation=activation, use_bias=use_bias, **keywords)
        who = "Conv2DTranspose"
        self.filters = arguments.whole_number(who, "filters", filters)
        self.kernel_size = arguments.pair(who, "kernel_size", kernel_size)
        self.strides = arguments.pair(who, "strides", strides)
        self.padding = arguments.one_of(who, "padding", padding, ("valid", "same"))
        self.output_padding = output_padding
        if output_padding is not None:
            self.output_padding = arguments.pair(who, "output_padding", output_padding, 0)
        self.data_format = arguments.channels_last(who, data_format)
        self.dilation_rate = arguments.pair(who, "dilation_rate", dilation_rate)
        window = (self.strides, self.padding, self.output_padding, self.dilation_rate)
        self.growths = grow(who, self.kernel_size, *window)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images that the layer can take."""
        check_images(self.title, shape)
        super().check_input(shape)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias for images of (batch, H, W, C)."""
        self.check_input(input_shape)
        channels = known_channels(self.title, input_shape)
        self.make_kernel_and_bias((*self.kernel_size, self.filters, channels), self.filters)
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        fused = self.activation is activations.relu  # then the bias and the cut are one pass
        y = ops.conv2d_transpose(
            x,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation_rate,
            activation="relu" if fused else None,
        )
        return y if fused else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, I, J, C) becomes (batch, H, W, filters)."""
        self.check_input(input_shape)
        grown = zip(self.growths, input_shape[1:3], strict=True)
        H, W = (None if size is None else growth.size(size) for growth, size in grown)
        return (input_shape[0], H, W, self.filters)

    def multiply_adds(self, input_shape: Shape) -> int:
        """I * J * C * P * Q * F for one image of I x J pixels: each draws a pattern."""
        self.check_input(input_shape)
        P, Q = self.kernel_size
        return size_of_sample(self.title, input_shape) * P * Q * self.filters

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }
