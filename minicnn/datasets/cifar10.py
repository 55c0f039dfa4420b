"""CIFAR-10: 60,000 photographs of 32x32 pixels in ten classes, the classic for a small CNN.

Source: Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The hashes of the archive and of its files are those
that Keras and torchvision check.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from minicnn.datasets.archives import Archive
from minicnn.datasets.cifar import BatchKind, Images, read_images
from minicnn.datasets.download import Patience
from minicnn.datasets.published import Files, InArchive, address

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
KIND = BatchKind("CIFAR-10", b"labels", len(CLASS_NAMES))
ARCHIVE_NAME = "cifar-10-python.tar.gz"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
OFFICIAL = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    md5s={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)


def load_data(
    path: str | os.PathLike[str] | None = None,
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Load CIFAR-10; the first time, if no copy is found on this machine, download it (170 MB).

    It looks, in this order, into

    1. minicnn's folder, `$MINICNN_HOME/datasets` or `~/.minicnn/datasets`;
    2. Keras' folder, `$KERAS_HOME/datasets` or `~/.keras/datasets`;
    3. `data` in the working folder and in the home folder, where torchvision is mostly told to
       put it;

    and downloads it into the first of these if it is in none. The official host is slow; set the
    environment variable MINICNN_CIFAR10_URL to load the same archive from elsewhere. Every file is
    verified by its published hash each time.

    Args:
        path: read this instead: the folder `cifar-10-batches-py`, a folder that holds it, or the
            archive `cifar-10-python.tar.gz`. Nothing is searched, downloaded or written then.

    Returns:
        ((x_train, y_train), (x_test, y_test)): images uint8 (50000, 32, 32, 3) and
        (10000, 32, 32, 3) from 0 to 255; classes uint8 (50000, 1) and (10000, 1) from 0 to 9, in
        the order of `CLASS_NAMES`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: what is at `path` is not CIFAR-10, or is damaged.
        OSError: the download failed; the message says how to place the file by hand.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((50000, 32, 32, 3), (50000, 1))
    >>> CLASS_NAMES[3]
    'cat'
    """
    archive = replace(OFFICIAL, url=address("cifar10", OFFICIAL.url))
    return load(path, archive, Patience())


def find() -> Path | None:
    """The folder or archive that `load_data()` would try first, None if it would download.

    Only looked for, not verified.
    """
    return InArchive("cifar10", OFFICIAL, ARCHIVE_NAME).find()


def load(
    path: str | os.PathLike[str] | None, archive: Archive, patience: Patience
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Do what `load_data` does, with any archive that is built like CIFAR-10's."""
    files = InArchive("cifar10", archive, ARCHIVE_NAME).load(path, patience)
    test = _arrays(files, (TEST_BATCH,))
    return _arrays(files, TRAIN_BATCHES), test


def _arrays(files: Files, names: tuple[str, ...]) -> tuple[Images, Images]:
    batches = [read_images(files[name], name, KIND) for name in names]
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)
