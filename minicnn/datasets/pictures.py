"""Pictures in files, read by Pillow: nothing broken, huge or unknown gets further than here.

Pillow is needed only for pictures, so it is imported when the first one is read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from minicnn.backend import Array, floatx
from minicnn.resampling import resampled

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}  # Pillow's names
DEEP = ("I;16", "I;16B", "I;16L", "I")  # grey of more than 8 bits

Source = str | bytes | os.PathLike[str] | IO[bytes]
Size = tuple[int, int]


def pillow(who: str) -> Any:
    """Pillow's module Image.

    Raises:
        ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            f"{who}: pictures are read and written by Pillow, which is not installed. Install it: "
            f"pip install pillow."
        ) from None
    return Image


def read_picture(source: Source, who: str) -> Any:
    """Read a picture as Pillow's Image, in the mode in which it is stored.

    Args:
        source: a path, or a file that is open for reading.
        who: for messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, no picture, or has more pixels than PIL.Image.MAX_IMAGE_PIXELS:
            a small file can claim to be so large that it fills all memory.
        ImportError: Pillow is not installed.
    """
    image_module = pillow(who)
    name = _name(source)
    if isinstance(source, str | bytes | os.PathLike) and not os.path.isfile(source):
        raise FileNotFoundError(f"{who}: there is no file {name}.")
    try:
        with image_module.open(source) as picture:
            most = image_module.MAX_IMAGE_PIXELS
            if most is not None and picture.width * picture.height > most:
                raise ValueError(
                    f"it has {picture.width} x {picture.height} pixels, and more than {most} are "
                    f"refused; if you trust it, set PIL.Image.MAX_IMAGE_PIXELS = None"
                )
            picture.load()
            return picture.copy()
    except Exception as error:  # a broken picture can raise anything
        raise ValueError(
            f"{who}: {name} cannot be read as a picture: {error}. Replace the file or delete it."
        ) from error


def _name(source: Source) -> str:
    if isinstance(source, str | bytes | os.PathLike):
        return os.fsdecode(source)
    return str(getattr(source, "name", "the open file"))


@dataclass(frozen=True)
class Reading:
    """How the pictures of a data set become arrays of one size.

    Args:
        size: rows and columns.
        color_mode: "grayscale", "rgb" or "rgba".
        interpolation: one of minicnn.resampling.METHODS.
        crop: whether to cut the sides off that are too long, rather than to squash the image.
        pad: whether to add black borders to the sides that are too short instead.
    """

    size: Size
    color_mode: str = "rgb"
    interpolation: str = "bilinear"
    crop: bool = False
    pad: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of an image: (rows, columns, channels)."""
        return (*self.size, len(MODES[self.color_mode]))

    def read(self, path: str, who: str) -> Array:
        """Read one file: an array from 0 to 255 of the dtype floatx()."""
        image = pixels(read_picture(path, who), self.color_mode)
        if self.crop:
            image = cropped(image, self.size)
        if self.pad:
            image = self._padded(image)
        else:
            image = resampled(image, self.size, self.interpolation)
        return image.astype(floatx(), copy=False)

    def _padded(self, image: Array) -> Array:
        """The whole image in the middle of a black one; as tf.image.resize_with_pad does it."""
        ratio = max(old / new for old, new in zip(image.shape, self.size, strict=False))
        exact = [old / ratio for old in image.shape[:2]]
        rows, columns = (max(1, int(size + 1e-9)) for size in exact)
        top, left = (int((all - size) / 2) for all, size in zip(self.size, exact, strict=True))
        framed = np.zeros(self.shape, np.float32)
        framed[top : top + rows, left : left + columns] = resampled(
            image, (rows, columns), self.interpolation
        )
        return framed


def pixels(picture: Any, color_mode: str) -> Array:
    """The pixels of a picture of any mode, uint8 (H, W, C); of 16 bits, the upper 8 count."""
    if picture.mode in DEEP:
        upper = np.clip(np.asarray(picture).astype(np.int64) >> 8, 0, 255)
        return _from_grey(upper.astype(np.uint8), color_mode)
    array = np.asarray(picture.convert(MODES[color_mode]))
    return array[..., None] if array.ndim == 2 else array


def _from_grey(grey: Array, color_mode: str) -> Array:
    channels = [grey] if color_mode == "grayscale" else [grey] * 3
    if color_mode == "rgba":
        channels.append(np.full_like(grey, 255))
    return np.stack(channels, axis=-1)


def cropped(image: Array, size: Size) -> Array:
    """The largest part in the middle of an image that has the proportions of `size`."""
    H, W = image.shape[:2]
    rows = max(1, min(H, W * size[0] // size[1]))
    columns = max(1, min(W, H * size[1] // size[0]))
    top, left = (H - rows) // 2, (W - columns) // 2
    return image[top : top + rows, left : left + columns]
