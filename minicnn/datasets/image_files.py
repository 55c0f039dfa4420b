"""Which pictures lie in a folder, of which classes they are, and which of them are for validation.

The order is that of Keras: the classes sorted by name, in each the files sorted by folder and name;
then shuffled by NumPy's RandomState(seed). So one seed gives the same split there and here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn.backend import Array
from minicnn.datasets.pictures import FORMATS
from minicnn.suggest import did_you_mean

WHO = "image_dataset_from_directory"


class LabeledFiles(NamedTuple):
    """Paths of pictures and their classes: an array int32 of the same length, or None."""

    paths: list[str]
    labels: Array | None

    def part(self, place: slice) -> LabeledFiles:
        """Some of them."""
        return LabeledFiles(self.paths[place], None if self.labels is None else self.labels[place])

    def shuffled(self, seed: int) -> LabeledFiles:
        """All of them in the order that Keras puts them in with this seed."""
        order = np.arange(len(self.paths))
        np.random.RandomState(seed).shuffle(order)
        return LabeledFiles(
            [self.paths[k] for k in order], None if self.labels is None else self.labels[order]
        )

    def split(self, fraction: float) -> tuple[LabeledFiles, LabeledFiles]:
        """Cut off the last ones, int(fraction * N) of them, for validation.

        Raises:
            ValueError: nothing would be left on one side.
        """
        first = len(self.paths) - int(fraction * len(self.paths))
        if first in (0, len(self.paths)):
            empty = "training" if first == 0 else "validation"
            raise ValueError(
                f"{WHO}: validation_split={fraction} leaves none of {len(self.paths)} files for "
                f"{empty}."
            )
        return self.part(slice(0, first)), self.part(slice(first, None))


def find_by_class(
    directory: str, class_names: Sequence[str] | None, follow_links: bool
) -> tuple[LabeledFiles, list[str]]:
    """Find the pictures in the folders of `directory`, one folder for each class.

    Args:
        directory: where the folders are.
        class_names: the folders to take, in the order of their numbers; None: all, sorted.
        follow_links: whether to go into folders that are links.

    Returns:
        The files, and the names of the classes.

    Raises:
        ValueError: there are no such folders.
    """
    folders = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    folders = [name for name in folders if not name.startswith(".")]
    names = folders if class_names is None else list(class_names)
    for name in names:
        if name not in folders:
            raise ValueError(
                f"{WHO}: class_names has {name!r}, but {directory} has no such folder, only "
                f"{', '.join(folders) or 'none'}.{did_you_mean(str(name), folders)}"
            )
    paths: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        found = list(_pictures(os.path.join(directory, name), follow_links))
        paths += found
        labels += [number] * len(found)
    return LabeledFiles(paths, np.array(labels, np.int32)), names


def find_all(directory: str, follow_links: bool) -> list[str]:
    """Find all pictures in `directory` and below."""
    return list(_pictures(directory, follow_links))


def _pictures(directory: str, follow_links: bool) -> Iterator[str]:
    folders = sorted(_folders(directory, follow_links))
    for folder, files in folders:
        for name in sorted(files):
            if name.lower().endswith(FORMATS):
                yield os.path.join(folder, name)


def _folders(directory: str, follow_links: bool) -> Iterator[tuple[str, list[str]]]:
    """Each folder with its files; one that a link leads back to is not entered again."""
    seen = set()
    for folder, subfolders, files in os.walk(directory, followlinks=follow_links):
        place = os.path.realpath(folder)
        if place in seen:
            subfolders.clear()
            continue
        seen.add(place)
        yield folder, files


def check_directory(directory: Any) -> str:
    """The path of a folder that exists.

    Raises:
        TypeError: it is no path.
        FileNotFoundError: there is no such folder.
    """
    if not isinstance(directory, str | os.PathLike):
        raise TypeError(f"{WHO}: directory must be a path, but is {directory!r}.")
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"{WHO}: there is no folder {os.fspath(directory)}.")
    return os.fspath(directory)
