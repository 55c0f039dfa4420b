"""The data sets that `--dataset` offers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.backend import Array
from minicnn.cli.problems import UserError
from minicnn.datasets import cifar10, shapes10

CLASS_NAMES = {"shapes10": shapes10.CLASS_NAMES, "cifar10": cifar10.CLASS_NAMES}
SHAPES10_IMAGES = 12_000  # to learn from, unless --train-images says how many
CIFAR10_IMAGES = 50_000


class Data(NamedTuple):
    """Images, float32 from 0 to 1 (N, 32, 32, 3), and their classes, (N, 1)."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def check(dataset: str, path: str | os.PathLike[str] | None, train_images: int | None) -> None:
    """Find what is wrong with these settings before anything is done.

    Raises:
        UserError: they do not go together.
    """
    if dataset == "shapes10" and path is not None:
        raise UserError("--data is for --dataset cifar10; shapes10 is painted by the program.")
    if dataset == "cifar10" and (train_images or 0) > CIFAR10_IMAGES:
        raise UserError(
            f"--train-images is {train_images}, but cifar10 has {CIFAR10_IMAGES} training images."
        )
    if path is not None and not Path(path).expanduser().exists():
        raise UserError(f"--data: there is nothing at {os.fspath(path)!r}.")


def load(dataset: str, path: str | os.PathLike[str] | None, train_images: int | None) -> Data:
    """Load a data set.

    Args:
        dataset: its name.
        path: where cifar10 lies; None searches for it, and downloads it if need be.
        train_images: how many training images; None: as many as the data set has.

    Raises:
        UserError: it cannot be had; the message says what would help.
    """
    if dataset == "shapes10":
        count = SHAPES10_IMAGES if train_images is None else train_images
        loaded = shapes10.load_data(n_train=count)
    else:
        try:
            loaded = cifar10.load_data(path)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
    (x_train, y_train), (x_test, y_test) = loaded
    return Data(scaled(x_train[:train_images]), y_train[:train_images], scaled(x_test), y_test)


def scaled(pixels: Array) -> Array:
    """Turn pixels from 0 to 255 into float32 from 0 to 1.

    >>> scaled(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    result: Any = pixels / np.float32(255)
    return result
