"""Single pictures: read, write, and turn into arrays and back. Pillow does the work."""

from __future__ import annotations

import os
import warnings
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike

from minicnn.backend import Array, floatx
from minicnn.datasets.pictures import DEEP, MODES, Source, pillow, read_picture
from minicnn.layers import arguments
from minicnn.layers.shapes import Pair

FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def load_img(
    path: Source,
    color_mode: str = "rgb",
    target_size: int | Pair | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Read a picture from a file.

    Args:
        path: the file, or one that is open for reading.
        color_mode: "rgb", "rgba" or "grayscale", which keeps grey of 16 bits as it is.
        target_size: rows and columns to resize it to; None leaves it as it is.
        interpolation: Pillow's filter: "nearest", "bilinear", "bicubic", "hamming", "box" or
            "lanczos".
        keep_aspect_ratio: whether to cut the sides off that are too long, rather than to squash it.

    Returns:
        An image of Pillow; img_to_array makes an array of it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, no picture, or has more pixels than PIL.Image.MAX_IMAGE_PIXELS;
            an argument has a bad value.
        ImportError: Pillow is not installed.

    >>> image = load_img("cat.jpg", target_size=(224, 224))  # doctest: +SKIP
    >>> model.predict(img_to_array(image)[None])  # doctest: +SKIP
    """
    mode = MODES[arguments.one_of("load_img", "color_mode", color_mode, tuple(MODES))]
    arguments.one_of("load_img", "interpolation", interpolation, FILTERS)
    image = read_picture(path, "load_img")
    if image.mode != mode and not (mode == "L" and image.mode in DEEP):
        image = image.convert(mode)
    if target_size is None:
        return image
    rows, columns = arguments.pair("load_img", "target_size", target_size)
    if image.size == (columns, rows):
        return image
    method = pillow("load_img").Resampling[interpolation.upper()]
    box = _middle(image.size, (columns, rows)) if keep_aspect_ratio else None
    return image.resize((columns, rows), method, box=box)


def _middle(old: Pair, new: Pair) -> tuple[int, int, int, int]:
    """The largest box in the middle of an image that has the proportions of another size."""
    width, height = old
    columns, rows = min(width, height * new[0] // new[1]), min(height, width * new[1] // new[0])
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """Turn an image of Pillow into an array (H, W, C).

    Args:
        img: the image.
        data_format: only "channels_last".
        dtype: that of the array; None means floatx().

    Raises:
        ValueError: the image has neither two nor three axes, or data_format is another one.

    >>> img_to_array(np.zeros((4, 5), np.uint8)).shape
    (4, 5, 1)
    """
    arguments.channels_last("img_to_array", data_format)
    x = np.asarray(img).astype(dtype or floatx())
    if x.ndim == 2:
        return x[..., None]
    if x.ndim != 3:
        raise ValueError(f"img_to_array: wants one image, but its shape is {x.shape}.")
    return x


def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Any:
    """Turn an array into an image of Pillow.

    Args:
        x: (H, W, C) with 1, 3 or 4 channels.
        data_format: only "channels_last".
        scale: whether to stretch the numbers so that the smallest becomes 0 and the largest 255;
            without it they should be from 0 to 255.
        dtype: in which to compute; None means floatx().

    Raises:
        ValueError: x is no such array, or data_format is another one.
        ImportError: Pillow is not installed.

    Differs from Keras: without scale, what is outside of 0 to 255 is clipped; there, it wraps.
    """
    arguments.channels_last("array_to_img", data_format)
    image_module = pillow("array_to_img")
    array = np.asarray(x, dtype or floatx())
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f"array_to_img: wants one image, (H, W, C) with 1, 3 or 4 channels, but its shape is "
            f"{array.shape}."
        )
    if scale:
        array = array - array.min()
        array = array / (array.max() or 1) * 255
    if array.shape[2] == 1:
        grey = array[..., 0]
        if grey.max() > 255:
            return image_module.fromarray(grey.astype(np.int32))  # 32 bits
        return image_module.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    return image_module.fromarray(np.clip(array, 0, 255).astype(np.uint8))


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **keywords: Any,
) -> None:
    """Write an array as a picture.

    Args:
        path: the file, whose ending says the format, or one that is open for writing.
        x: (H, W, C); see array_to_img.
        data_format: only "channels_last".
        file_format: "png", "jpeg" ...; None takes the ending of the path.
        scale: see array_to_img.
        **keywords: handed on to Pillow's `save`, as quality=90.

    Raises:
        ValueError: x is no image, or the format is unknown.
        ImportError: Pillow is not installed.

    >>> save_img("edges.png", np.zeros((8, 8, 1)))  # doctest: +SKIP
    """
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = os.path.splitext(path)[1][1:].lower() or None
    if file_format is not None and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and (file_format or "").lower() == "jpeg":
        warnings.warn(
            "save_img: JPEG has no transparency, so the fourth channel is left out.", stacklevel=2
        )
        image = image.convert("RGB")
    try:
        image.save(path, format=file_format, **keywords)
    except KeyError as error:
        raise ValueError(
            f"save_img: Pillow knows no format {file_format!r}. Give the path an ending as .png, "
            f'or say file_format="png".'
        ) from error
