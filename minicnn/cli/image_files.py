"""Images from files, and their way to the size that a network wants."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from minicnn.backend import Array
from minicnn.cli.data import scaled
from minicnn.cli.problems import UserError


def read_image(path: Path) -> Array:
    """Read an image: float32 from 0 to 1, (height, width, 3).

    Raises:
        UserError: the file cannot be read, or holds no image.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    return _from_array(path) if path.suffix == ".npy" else _from_picture(path)


def _from_picture(path: Path) -> Array:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise UserError(
            f"{path}: reading pictures needs Pillow: pip install pillow. Arrays saved as .npy are "
            f"read without it."
        ) from None
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("ignore")  # about odd files; what cannot be read raises
            picture = ImageOps.exif_transpose(file).convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            return scaled(np.asarray(Image.alpha_composite(white, picture).convert("RGB")))
    except Exception as error:  # a broken picture can raise anything
        raise UserError(f"{path}: cannot be read as a picture ({error}).") from error


def _from_array(path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an array ({error}).") from error
    if array.dtype.kind not in "iuf":
        raise UserError(f"{path}: cannot be read as an image: it holds {array.dtype}.")
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise UserError(
            f"{path}: wants one image, (height, width, 3), but its shape is {array.shape}."
        )
    if array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255:
        return scaled(array)
    if array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:  # false for NaN
        return array.astype(np.float32)
    raise UserError(
        f"{path}: wants whole numbers from 0 to 255, or fractions from 0 to 1, but its "
        f"{array.dtype} go from {array.min()} to {array.max()}."
    )


def resized(image: Array, side: int) -> Array:
    """Resize an image to (side, side, 3); each new pixel is the mean of the area that it covers.

        new[i, j] = sum over h, w of  rows[i, h] * columns[j, w] * image[h, w]

    >>> resized(np.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    height, width, _ = image.shape
    if height == width == side:
        return image
    rows, columns = _shares(height, side), _shares(width, side)
    return np.einsum("ih,hwc,jw->ijc", rows, image, columns, optimize=True).astype(image.dtype)


def _shares(old: int, new: int) -> Array:  # (new, old)
    """What share of each new pixel each old pixel is, along one axis: rows add up to 1."""
    edges = np.arange(new + 1) * (old / new)  # of the new pixels, in old ones
    left, right = edges[:-1, None], edges[1:, None]
    at = np.arange(old)
    overlap = np.minimum(right, at + 1) - np.maximum(left, at)
    shares: Array = np.maximum(overlap, 0) / (right - left)
    return shares
