"""Layers that change the size of images: UpSampling2D, Resizing, CenterCrop."""

from typing import Any

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Pair, Shape
from minicnn.ops.resize import METHODS


class UpSampling2D(Layer):
    """Make images larger by whole factors.

    Args:
        size: factors for rows and columns, or one number for both.
        data_format: only "channels_last": images are (N, H, W, C).
        interpolation: "nearest" repeats each pixel, "bilinear" puts means between neighbours; the
            formulas are those of ops.resize.
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> UpSampling2D((1, 2))(np.array([[[[0.0], [1.0]]]])).numpy().ravel().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(
        self,
        size: int | Pair = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = "UpSampling2D"
        self.size = arguments.pair(who, "size", size)
        self.data_format = arguments.channels_last(who, data_format)
        self.interpolation = arguments.one_of(who, "interpolation", interpolation, METHODS)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def call(self, x: Tensor) -> Tensor:
        rows, columns = self.size
        _, H, W, _ = x.shape
        return ops.resize(x, (rows * H, columns * W), self.interpolation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, rows * H, columns * W, C)."""
        self.check_input(input_shape)
        batch, H, W, channels = input_shape
        rows, columns = self.size
        return (batch, H and rows * H, W and columns * W, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "size": self.size,
            "data_format": self.data_format,
            "interpolation": self.interpolation,
        }


class ImagesOfOneSize(Layer):
    """What Resizing and CenterCrop have in common: all images come out with one size.

    Args:
        height: rows of the images that come out.
        width: their columns.
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is no integer.
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.height = arguments.whole_number(who, "height", height)
        self.width = arguments.whole_number(who, "width", width)
        self.data_format = arguments.channels_last(who, data_format)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, height, width, C)."""
        self.check_input(input_shape)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "data_format": self.data_format,
        }


class Resizing(ImagesOfOneSize):
    """Give all images one size.

    Args:
        height: rows of the images that come out.
        width: their columns.
        interpolation: "bilinear", "nearest"; the formulas are those of ops.resize.
        crop_to_aspect_ratio: whether to cut the sides off that are too long, rather than to squash
            the image.
        pad_to_aspect_ratio: whether to add borders to the sides that are too short instead.
        fill_mode: only "constant": borders are filled with fill_value.
        fill_value: what they are filled with.
        antialias: whether "bilinear" looks at all pixels where it shrinks images, not only at four.
        **keywords: data_format; name, dtype, input_shape, see Layer.

    Raises:
        ValueError: a setting is not possible, or both ways to keep the aspect ratio are wanted.
        TypeError: a size is no integer, or fill_value no number.

    Differs from Keras: "bicubic", "lanczos3" and "lanczos5" are not there, and the output is
        always floating point: images of integers are not rounded.

    >>> import numpy as np
    >>> Resizing(2, 2)(np.arange(1.0, 17).reshape(1, 4, 4, 1)).numpy().ravel().tolist()
    [3.5, 5.5, 11.5, 13.5]
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(height, width, **keywords)
        who = "Resizing"
        self.interpolation = arguments.one_of(who, "interpolation", interpolation, METHODS)
        crop, pad = "crop_to_aspect_ratio", "pad_to_aspect_ratio"
        self.crop_to_aspect_ratio = arguments.truth_value(who, crop, crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = arguments.truth_value(who, pad, pad_to_aspect_ratio)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(f"{who}: only one of {crop} and {pad} can be True.")
        self.fill_mode = arguments.one_of(who, "fill_mode", fill_mode, ("constant",))
        self.fill_value = number(f"{who}: fill_value", fill_value, low=-float("inf"))
        self.antialias = arguments.truth_value(who, "antialias", antialias)

    def call(self, x: Tensor) -> Tensor:
        size = self.height, self.width
        if self.crop_to_aspect_ratio:
            x = cropped_to_ratio(x, size)
        if self.pad_to_aspect_ratio:
            x = padded_to_ratio(x, size, self.fill_value)
        return ops.resize(x, size, self.interpolation, self.antialias)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


class CenterCrop(ImagesOfOneSize):
    """Cut the middle out of each image; images that are too small are enlarged first.

    Args:
        height: rows of the piece.
        width: columns of the piece.
        **keywords: data_format; name, dtype, input_shape, see Layer.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is no integer.

    >>> import numpy as np
    >>> CenterCrop(1, 2)(np.arange(5.0).reshape(1, 1, 5, 1)).numpy().ravel().tolist()
    [1.0, 2.0]
    """

    def call(self, x: Tensor) -> Tensor:
        return center_crop(x, (self.height, self.width))


def center_crop(x: Tensor, size: Pair) -> Tensor:
    """The middle of images; of those that are smaller, as much as there is, enlarged."""
    _, H, W, _ = x.shape
    height, width = size
    if height > H or width > W:
        return ops.resize(cropped_to_ratio(x, size), size)
    top, left = (H - height) // 2, (W - width) // 2
    return x[:, top : top + height, left : left + width]


def cropped_to_ratio(x: Tensor, size: Pair) -> Tensor:
    """The largest part in the middle of images that has the proportions of `size`."""
    _, H, W, _ = x.shape
    height, width = size
    rows = max(1, min(H, W * height // width))
    columns = max(1, min(W, H * width // height))
    top, left = (H - rows) // 2, (W - columns) // 2
    return x[:, top : top + rows, left : left + columns]


def padded_to_ratio(x: Tensor, size: Pair, value: float) -> Tensor:
    """Images with equal borders on two sides, so that they get about the proportions of `size`."""
    _, H, W, _ = x.shape
    height, width = size
    top = (max(H, W * height // width) - H) // 2
    left = (max(W, H * width // height) - W) // 2
    return ops.pad(x, ((0, 0), (top, top), (left, left), (0, 0)), value)
