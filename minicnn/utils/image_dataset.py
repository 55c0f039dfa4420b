"""Data sets of pictures in folders, for trainings that do not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.datasets.image_files import (
    WHO,
    LabeledFiles,
    check_directory,
    find_all,
    find_by_class,
)
from minicnn.datasets.image_stream import LABEL_MODES, ImageStream
from minicnn.datasets.pictures import FORMATS, MODES, Reading, pillow
from minicnn.layers import arguments
from minicnn.layers.shapes import Pair
from minicnn.random import new_generator, new_seed
from minicnn.resampling import METHODS

SUBSETS = ("training", "validation", "both")
LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState, with which Keras shuffles


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | Pair = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> ImageStream | list[ImageStream]:
    """Stream pictures of any size from folders, one folder for each class.

        photos/cats/1.jpg   photos/cats/2.png   photos/dogs/new/3.jpg   ...

    Nothing is read before it is wanted. While the network computes, a few threads read the next
    batches from disk, so that pictures which do not fit into memory can be trained with. The file
    endings .bmp, .gif (the first picture), .jpeg, .jpg and .png count, in small or capital letters.

    Args:
        directory: the folder that has a folder for each class.
        labels: "inferred" numbers the classes as their names are sorted; None gives images alone;
            a list has a class for each file, sorted by folder and name.
        label_mode: "int" for sparse_categorical_crossentropy, "categorical" for one-hot rows,
            "binary" for a single output of two classes, None for no labels.
        class_names: the folders to take, in this order.
        color_mode: "rgb", "rgba" or "grayscale": 3, 4 or 1 channels.
        batch_size: images in a batch; None gives single images.
        image_size: rows and columns that all images get.
        shuffle: whether the files come in a random order, a new one each time.
        seed: decides this order; None takes the next one of minicnn's own, which
            `set_random_seed` decides.
        validation_split: the share of the files, cut off from the end of the shuffled list, that is
            kept for validation.
        subset: which part is wanted, "training", "validation", or "both", a list of the two, whose
            second one keeps its order.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian"
            or "mitchellcubic"; the formulas are in minicnn/resampling.py.
        follow_links: whether to go into folders that are links.
        crop_to_aspect_ratio: whether to cut the sides off that are too long, rather than to squash
            images.
        pad_to_aspect_ratio: whether to add black borders to the sides that are too short instead.
        data_format: only "channels_last": images are (N, H, W, C).
        format: means nothing here; Keras chooses between two libraries by it.
        verbose: whether to print how many files there are.

    Returns:
        A data set for fit, evaluate and predict, which can be gone through again and again. It
        gives tensors of floatx() from 0 to 255, (N, H, W, C), with the labels; it has
        `class_names`, `file_paths`, and a length in batches.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it, or an argument has a bad value. Later, when a picture
            is read: it is broken, or has more pixels than PIL.Image.MAX_IMAGE_PIXELS; the message
            names the file. No file is ever left out silently.
        TypeError: an argument is of the wrong kind.
        ImportError: Pillow is not installed.

    Differs from Keras: with one seed, both put the files in the same order and split them alike;
        but each time through, Keras mixes only within 8 batches, and this mixes all files.
        `subset="both"` needs no seed. As there, pictures are not turned as their EXIF data says.

    >>> training, validation = image_dataset_from_directory(
    ...     "photos", image_size=(64, 64), validation_split=0.2, subset="both"
    ... )  # doctest: +SKIP
    >>> model.fit(training, validation_data=validation, epochs=10)  # doctest: +SKIP
    """
    pillow(WHO)
    arguments.channels_last(WHO, data_format)
    arguments.one_of(WHO, "format", format, ("tf", "grain"))
    shuffle = arguments.truth_value(WHO, "shuffle", shuffle)
    reading = Reading(
        arguments.pair(WHO, "image_size", image_size),
        arguments.one_of(WHO, "color_mode", color_mode, tuple(MODES)),
        arguments.one_of(WHO, "interpolation", interpolation, METHODS),
        arguments.truth_value(WHO, "crop_to_aspect_ratio", crop_to_aspect_ratio),
        arguments.truth_value(WHO, "pad_to_aspect_ratio", pad_to_aspect_ratio),
    )
    if reading.crop and reading.pad:
        raise ValueError(
            f"{WHO}: only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True."
        )
    if batch_size is not None:
        batch_size = arguments.whole_number(WHO, "batch_size", batch_size)
    if label_mode is not None:
        label_mode = arguments.one_of(WHO, "label_mode", label_mode, LABEL_MODES)
    _check_split(validation_split, subset, shuffle, seed)
    if seed is None:
        seed = new_seed() % LARGEST_SEED
    seed = arguments.whole_number(WHO, "seed", seed, at_least=0)

    def stream(files: LabeledFiles, shuffled: bool) -> ImageStream:
        order = new_generator(seed) if shuffled else None
        mode = None if files.labels is None else label_mode
        return ImageStream(files, reading, mode, names, batch_size, order)

    wanted = None if label_mode is None else labels
    files, names = _found(check_directory(directory), wanted, class_names, follow_links)
    _check_classes(files, names, label_mode)
    if verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(files.paths)} files{classes}.")
    if shuffle:
        files = files.shuffled(seed)
    if validation_split is None or subset is None:
        return stream(files, shuffle)
    parts = dict(zip(SUBSETS, files.split(validation_split), strict=False))
    for name, part in parts.items():
        if verbose and subset in (name, "both"):
            print(f"Using {len(part.paths)} files for {name}.")
    if subset == "both":
        return [stream(parts["training"], shuffle), stream(parts["validation"], False)]
    return stream(parts[subset], shuffle)


def _check_split(fraction: Any, subset: Any, shuffle: bool, seed: Any) -> None:
    if (fraction is None) != (subset is None):
        given, missing = ("subset", "validation_split")[:: 1 if fraction is None else -1]
        raise ValueError(f"{WHO}: {given} is given, so {missing} is wanted, too.")
    if fraction is None:
        return
    arguments.one_of(WHO, "subset", subset, SUBSETS)
    if isinstance(fraction, bool) or not isinstance(fraction, float) or not 0 < fraction < 1:
        raise ValueError(f"{WHO}: validation_split must be between 0 and 1, but is {fraction!r}.")
    if shuffle and seed is None and subset != "both":
        raise ValueError(
            f"{WHO}: subset={subset!r} of shuffled files needs a seed, the same for both parts, or "
            f'else they overlap. Give seed=0, or take both at once: subset="both".'
        )


def _found(
    directory: str, labels: Any, class_names: Sequence[str] | None, follow_links: bool
) -> tuple[LabeledFiles, list[str] | None]:
    """The files with their labels, and the names of the classes."""
    names: list[str] | None = None
    if isinstance(labels, str):
        arguments.one_of(WHO, "labels", labels, ("inferred",))
        files, names = find_by_class(directory, class_names, follow_links)
    else:
        if class_names is not None:
            raise ValueError(f'{WHO}: class_names can only be given with labels="inferred".')
        files = LabeledFiles(find_all(directory, follow_links), None)
    if not files.paths:
        place = "in the folders of" if names is not None else "in"
        raise ValueError(
            f"{WHO}: there are no pictures ({', '.join(FORMATS)}) {place} {directory}."
        )
    if labels is None or isinstance(labels, str):
        return files, names
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or numbers.min(initial=0) < 0:
        raise ValueError(
            f'{WHO}: labels must be "inferred", None, or a list of whole numbers from 0 on, one '
            f"for each file."
        )
    if len(numbers) != len(files.paths):
        raise ValueError(
            f"{WHO}: labels has {len(numbers)} entries, but there are {len(files.paths)} pictures "
            f"in {directory}."
        )
    names = [str(number) for number in np.unique(numbers)]
    return LabeledFiles(files.paths, numbers.astype(np.int32)), names


def _check_classes(files: LabeledFiles, names: list[str] | None, label_mode: str | None) -> None:
    if files.labels is None or names is None:
        return
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(
            f'{WHO}: label_mode="binary" is for two classes, but there are {len(names)}: '
            f"{', '.join(names[:10])}."
        )
    if label_mode == "categorical" and files.labels.max() >= len(names):
        raise ValueError(
            f"{WHO}: labels reach {files.labels.max()}, but are only {len(names)} different ones, "
            f"so they are no places in one-hot rows. Number the classes from 0 to {len(names) - 1}."
        )
