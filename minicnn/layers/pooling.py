"""Pooling: one number for each window, or for the whole image, and each channel on its own."""

from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Pair, Shape
from minicnn.layers.window import Window


class Pooling2D(Layer):
    """Make one number of each window; the subclass says which.

    Args:
        pool_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window; None puts the windows side by side.
        padding: "valid", windows inside the image only, or "same", such that I = H / s, rounded up.
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.
    """

    def __init__(
        self,
        pool_size: int | Pair,
        strides: int | Pair | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.pool_size = arguments.pair(who, "pool_size", pool_size)
        self.strides = (
            self.pool_size if strides is None else arguments.pair(who, "strides", strides)
        )
        self.padding = arguments.one_of(who, "padding", padding, ("valid", "same"))
        self.data_format = arguments.channels_last(who, data_format)
        self.window = Window(self.pool_size, self.strides, self.padding)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images at least as large as the window."""
        check_images(self.title, shape)
        self.window.check_fit(self.title, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, I, J, C)."""
        self.check_input(input_shape)
        return (input_shape[0], *self.window.counts(input_shape), input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


class MaxPooling2D(Pooling2D):
    """Keep the largest number of every window, for each channel on its own.

        y[n,i,j,c] = max over p, q of  x[n, s*i + p - top, t*j + q - left, c]

    Only the largest number receives a gradient; among equals, the first in reading order.
    Padding is never the largest.

    Args:
        pool_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window; None puts the windows side by side.
        padding: "valid", windows inside the image only, or "same", such that I = H / s, rounded up.
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> MaxPooling2D()(np.ones((1, 5, 4, 3))).shape
    (1, 2, 2, 3)
    """

    def __init__(self, pool_size: int | Pair = (2, 2), *settings: Any, **keywords: Any) -> None:
        super().__init__(pool_size, *settings, **keywords)

    def call(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, self.pool_size, self.strides, self.padding)


class AveragePooling2D(Pooling2D):
    """Average every window, for each channel on its own.

        y[n,i,j,c] = mean over p, q of  x[n, s*i + p - top, t*j + q - left, c]

    Padding does not count: at the border, only real pixels are averaged.

    Args:
        pool_size: window (P, Q), or one number for both.
        strides: steps (s, t) of the window; None puts the windows side by side.
        padding: "valid", windows inside the image only, or "same", such that I = H / s, rounded up.
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> AveragePooling2D(2)(np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])).item()
    3.0
    """

    def call(self, x: Tensor) -> Tensor:
        return ops.average_pool2d(x, self.pool_size, self.strides, self.padding)


class GlobalPooling2D(Layer):
    """Make one number of each channel of an image; the subclass says which.

    Args:
        data_format: only "channels_last": images are (N, H, W, C).
        keepdims: whether the output is (N, 1, 1, C) rather than (N, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.data_format = arguments.channels_last(who, data_format)
        self.keepdims = arguments.truth_value(who, "keepdims", keepdims)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, C), or (batch, 1, 1, C) with keepdims."""
        self.check_input(input_shape)
        batch, _, _, channels = input_shape
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


class GlobalAveragePooling2D(GlobalPooling2D):
    """Average each channel over the whole image:  y[n,c] = mean over h, w of x[n,h,w,c].

    Args:
        data_format: only "channels_last": images are (N, H, W, C).
        keepdims: whether the output is (N, 1, 1, C) rather than (N, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.

    Source: Lin, Chen and Yan 2013, arXiv:1312.4400.

    >>> import numpy as np
    >>> GlobalAveragePooling2D()(np.ones((8, 4, 4, 64))).shape
    (8, 64)
    """

    def call(self, x: Tensor) -> Tensor:
        return ops.mean(x, axis=(1, 2), keepdims=self.keepdims)


class GlobalMaxPooling2D(GlobalPooling2D):
    """Keep the largest number of each channel:  y[n,c] = max over h, w of x[n,h,w,c].

    Args:
        data_format: only "channels_last": images are (N, H, W, C).
        keepdims: whether the output is (N, 1, 1, C) rather than (N, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.

    >>> import numpy as np
    >>> GlobalMaxPooling2D(keepdims=True)(np.ones((8, 4, 4, 64))).shape
    (8, 1, 1, 64)
    """

    def call(self, x: Tensor) -> Tensor:
        return ops.max(x, axis=(1, 2), keepdims=self.keepdims)
