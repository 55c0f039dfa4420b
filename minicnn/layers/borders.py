"""Layers that add to the border of images, or take from it: ZeroPadding2D, Cropping2D."""

from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Pair, Shape


class ZeroPadding2D(Layer):
    """Put zeros around images: y[n, h + top, w + left, c] = x[n,h,w,c], and 0 elsewhere.

    Args:
        padding: pixels to add: one number for all sides, (rows, columns), each on both sides, or
            ((top, bottom), (left, right)).
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 2)))(np.ones((8, 4, 4, 3))).shape
    (8, 5, 8, 3)
    """

    def __init__(
        self,
        padding: int | Pair | tuple[Pair, Pair] = (1, 1),
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.padding = arguments.border("ZeroPadding2D", "padding", padding)
        self.data_format = arguments.channels_last("ZeroPadding2D", data_format)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def call(self, x: Tensor) -> Tensor:
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, top + H + bottom, left + W + right, C)."""
        self.check_input(input_shape)
        batch, H, W, channels = input_shape
        rows, columns = (sum(border) for border in self.padding)
        return (batch, H and H + rows, W and W + columns, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "padding": self.padding,
            "data_format": self.data_format,
        }


class Cropping2D(Layer):
    """Cut pixels off the border of images: y[n,h,w,c] = x[n, h + top, w + left, c].

    Args:
        cropping: pixels to cut off: one number for all sides, (rows, columns), each on both sides,
            or ((top, bottom), (left, right)).
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible; later: nothing of the images would be left.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> Cropping2D(((1, 0), (2, 2)))(np.ones((8, 4, 6, 3))).shape
    (8, 3, 2, 3)
    """

    def __init__(
        self,
        cropping: int | Pair | tuple[Pair, Pair] = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.cropping = arguments.border("Cropping2D", "cropping", cropping)
        self.data_format = arguments.channels_last("Cropping2D", data_format)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images, or of images that are too small."""
        check_images(self.title, shape)
        _, H, W, _ = shape
        rows, columns = (sum(border) for border in self.cropping)
        if (H is not None and H <= rows) or (W is not None and W <= columns):
            raise ValueError(
                f"{self.title}: cropping={self.cropping} leaves nothing of images of {H} x {W} "
                f"(input shape {shape}). Cut off less."
            )

    def call(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = self.cropping
        _, H, W, _ = x.shape
        return x[:, top : H - bottom, left : W - right]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, H - top - bottom, W - left - right, C)."""
        self.check_input(input_shape)
        batch, H, W, channels = input_shape
        rows, columns = (sum(border) for border in self.cropping)
        return (batch, H and H - rows, W and W - columns, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "cropping": self.cropping,
            "data_format": self.data_format,
        }
