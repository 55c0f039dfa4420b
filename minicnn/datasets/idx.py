"""MNIST's own format, which Fashion-MNIST shares: gray images of 28x28 pixels, and their classes.

A file is a gzip of: two bytes 0, the type 8 (bytes), the number D of axes, D sizes of four bytes
with the largest digit first, and the numbers themselves.

Source: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

from __future__ import annotations

import io
import math
import struct

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.archives import LARGEST_MEMBER, DamagedError

Images = NDArray[np.uint8]
Pair = tuple[Images, Images]

SIDE = 28  # pixels
CLASSES = 10
TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def read_pairs(files: dict[str, bytes], title: str) -> tuple[Pair, Pair]:
    """Read the four files of a data set.

    Args:
        files: name -> content, with the names in TRAIN_FILES and TEST_FILES.
        title: the data set, for messages.

    Returns:
        ((x_train, y_train), (x_test, y_test)), all uint8: images (N, 28, 28), classes (N,).

    Raises:
        DamagedError: a file has another format, or the images and classes do not fit each other.
    """
    return _read_pair(files, TRAIN_FILES, title), _read_pair(files, TEST_FILES, title)


def _read_pair(files: dict[str, bytes], names: tuple[str, str], title: str) -> Pair:
    images, labels = (read_idx(files[name], name) for name in names)
    return checked_pair(images, labels, " and ".join(names), title)


def checked_pair(images: Images, labels: Images, names: str, title: str) -> Pair:
    """The pair itself; DamagedError unless it is images (N, 28, 28) with a class for each."""
    wanted = images.dtype == labels.dtype == np.uint8 and images.shape[1:] == (SIDE, SIDE)
    if not (wanted and images.ndim == 3 and labels.shape == images.shape[:1]):
        raise DamagedError(
            f"{names}: {title} has images uint8 (N, {SIDE}, {SIDE}) and classes uint8 (N,), but "
            f"here are {images.dtype} {images.shape} and {labels.dtype} {labels.shape}."
        )
    if labels.size and labels.max() >= CLASSES:
        raise DamagedError(f"{names}: {title} has the classes 0 to 9, but one is {labels.max()}.")
    return images, labels


def read_idx(content: bytes, name: str) -> Images:
    """Read one file.

    Args:
        content: the bytes of the file.
        name: its name, for messages.

    Raises:
        DamagedError: it is no whole gzip, grows too large, or does not hold what it announces.

    >>> import gzip
    >>> row_of_three = bytes([0, 0, 8, 1]) + bytes([0, 0, 0, 3]) + bytes([7, 8, 9])
    >>> read_idx(gzip.compress(row_of_three), "labels.gz")
    array([7, 8, 9], dtype=uint8)
    """
    unpacked = unpack(content, name)
    axes = unpacked[3] if unpacked[:3] == b"\0\0\x08" and len(unpacked) > 3 else 0
    start = 4 + 4 * axes
    if axes == 0 or len(unpacked) < start:
        raise DamagedError(f"{name} does not begin like a file of MNIST: {unpacked[:4]!r}.")
    sizes = struct.unpack(f">{axes}I", unpacked[4:start])
    if math.prod(sizes) != len(unpacked) - start:
        announced = " x ".join(map(str, sizes))
        raise DamagedError(
            f"{name} announces {announced} numbers, but holds {len(unpacked) - start}."
        )
    return np.frombuffer(unpacked, np.uint8, offset=start).reshape(sizes).copy()  # writable


def unpack(content: bytes, name: str, largest: int = LARGEST_MEMBER) -> bytes:
    """Unpack a gzip, at most `largest` bytes: a small one can be made to fill all memory.

    Raises:
        DamagedError: it grows larger, or is no whole gzip.
    """
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedError(f"{name} is not a whole gzip file ({error}).") from error
    if len(unpacked) > largest:
        raise DamagedError(
            f"{name} is refused: it unpacks to more than {largest} bytes, more than any file of "
            "this data set has."
        )
    return unpacked
