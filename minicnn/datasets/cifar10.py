"""CIFAR-10: 60,000 photographs of 32x32 pixels in ten classes, the classic for a small CNN.

Source: Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The hashes of the archive and of its files are those
that Keras and torchvision check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minicnn.datasets.archives import Archive, DamagedError, read_batch
from minicnn.datasets.cache import datasets_folder, notice, one_process_at_a_time, store
from minicnn.datasets.download import DownloadError, Patience, download

Images = NDArray[np.uint8]
Files = dict[str, bytes]

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
    url = os.environ.get("MINICNN_CIFAR10_URL") or OFFICIAL.url
    return load(path, replace(OFFICIAL, url=url), Patience())


def find() -> Path | None:
    """The folder or archive that `load_data()` would try first, None if it would download.

    Only looked for, not verified.
    """
    return next(_places(OFFICIAL), None)


def load(
    path: str | os.PathLike[str] | None, archive: Archive, patience: Patience
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Do what `load_data` does, with any archive that is built like CIFAR-10's."""
    if path is not None:
        files = _read_given(Path(path).expanduser(), archive)
    else:
        files = _read_found(archive) or _fetch(archive, patience)
    test = _arrays(files, (TEST_BATCH,))
    return _arrays(files, TRAIN_BATCHES), test


def _arrays(files: Files, names: tuple[str, ...]) -> tuple[Images, Images]:
    images, labels = zip(*(_batch_arrays(files, name) for name in names), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _batch_arrays(files: Files, name: str) -> tuple[Images, Images]:
    """One batch as (N, 32, 32, 3) and (N, 1); a row holds 1024 red, 1024 green, 1024 blue."""
    batch = read_batch(files[name], name)
    rows, labels = batch.get(b"data"), batch.get(b"labels")
    if not (isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == 3072):
        raise DamagedError(f"{name} is not a batch of CIFAR-10: it has no rows of 3072 pixels.")
    if not (
        isinstance(labels, list) and len(labels) == len(rows) and set(labels) <= set(range(10))
    ):
        raise DamagedError(f"{name} is not a batch of CIFAR-10: it has not one class per image.")
    images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.array(labels, np.uint8)[:, None]


def _places(archive: Archive) -> Iterator[Path]:
    """Folders and archives on this machine that should hold the data set."""
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    unpacked_by_keras = keras / f"{archive.folder}-target"
    for place in (datasets_folder(), unpacked_by_keras, keras, Path("data"), Path("~/data")):
        folder = place.expanduser() / archive.folder
        if folder.is_dir():
            yield folder
        for name in (ARCHIVE_NAME, f"{archive.folder}.tar.gz", f"{archive.folder}-target_archive"):
            if (packed := place.expanduser() / name).is_file():
                yield packed


def _read_found(archive: Archive) -> Files | None:
    for place in _places(archive):
        try:
            if place.is_dir():
                return archive.read_folder(place)
            files = archive.read_archive(place)
            _keep(files, archive)
            return files
        except (DamagedError, OSError) as error:
            notice(f"cifar10: {error} Looking on.")
    return None


def _keep(files: Files, archive: Archive) -> bool:
    """Put files into minicnn's folder, so that the next time is quick; False if that fails."""
    try:
        store(files, datasets_folder() / archive.folder)
    except OSError as error:  # all that is lost is time
        notice(
            f"cifar10: cannot keep the unpacked files ({error}); they will be unpacked each time."
        )
        return False
    return True


def _read_given(path: Path, archive: Archive) -> Files:
    if path.is_file():
        return archive.read_archive(path)
    inner = path / archive.folder
    if inner.is_dir():
        return archive.read_folder(inner)
    if not path.is_dir():
        raise FileNotFoundError(
            f"cifar10.load_data: there is nothing at path={str(path)!r}. Give the folder "
            f"{archive.folder}, a folder that holds it, or the archive {ARCHIVE_NAME}."
        )
    return archive.read_folder(path)


def _fetch(archive: Archive, patience: Patience) -> Files:
    target = datasets_folder() / ARCHIVE_NAME
    try:
        with one_process_at_a_time(target.with_name(target.name + ".lock")) as waited:
            files = _read_found(archive) if waited else None  # what the other process has put there
            return files or _download(target, archive, patience)
    except (OSError, ValueError) as error:
        raise DownloadError(_how_to_help_yourself(error, target, archive)) from error


def _download(target: Path, archive: Archive, patience: Patience) -> Files:
    notice(f"cifar10: downloading {archive.url} to {target.parent}.")
    download(archive.url, target, archive.sha256, patience)
    files = archive.read_archive(target)
    if _keep(files, archive):
        target.unlink()
    return files


def _how_to_help_yourself(error: Exception, target: Path, archive: Archive) -> str:
    return (
        f"cifar10.load_data: could not get the data set. {error}\n"
        "Call again to go on where the download stopped, set MINICNN_CIFAR10_URL to another "
        "address of the same archive, or place it by hand:\n"
        f"  1. get {archive.url} (sha256 {archive.sha256}) in any way you like;\n"
        f"  2. put it at {target}, or unpack it so that {target.parent / archive.folder} holds "
        "the batches,\n"
        '     or keep it anywhere and call cifar10.load_data(path="...") with its place.'
    )
