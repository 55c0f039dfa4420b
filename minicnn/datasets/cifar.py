"""What CIFAR-10 and CIFAR-100 share: batches of color photographs, 32x32 pixels, with classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.archives import DamagedError, read_batch

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class BatchKind:
    """How a batch is told apart from other files.

    Args:
        title: the data set, for messages.
        label_key: under which name it has the classes.
        classes: their number.
    """

    title: str
    label_key: bytes
    classes: int


def read_images(content: bytes, name: str, kind: BatchKind) -> tuple[Images, Images]:
    """Read one batch; a row of it holds 1024 red, then 1024 green, then 1024 blue pixels.

    Args:
        content: the bytes of the file.
        name: its name, for messages.
        kind: what it should be.

    Returns:
        Images (N, 32, 32, 3) and classes (N, 1), both uint8.

    Raises:
        DamagedError: it is no such batch.
    """
    batch = read_batch(content, name, kind.title)
    rows, labels = batch.get(b"data"), batch.get(kind.label_key)
    who = f"{name} is not a batch of {kind.title}"
    if not (isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == 3072):
        raise DamagedError(f"{who}: it has no rows of 3072 pixels.")
    if not (
        isinstance(labels, list)
        and len(labels) == len(rows)
        and all(type(label) is int and 0 <= label < kind.classes for label in labels)
    ):
        raise DamagedError(f"{who}: it has not one class per image.")
    images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.array(labels, np.uint8)[:, None]
