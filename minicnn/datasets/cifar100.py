"""CIFAR-100: 60,000 photographs of 32x32 pixels in 100 classes, which form 20 groups of five.

Source: Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from minicnn.datasets.archives import Archive
from minicnn.datasets.cifar import BatchKind, Images, read_images
from minicnn.datasets.download import Patience
from minicnn.datasets.published import InArchive, address
from minicnn.suggest import did_you_mean

# The names, and their order, of the archive's file `meta`.
CLASS_NAMES = (
    *("apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle"),
    *("bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle"),
    *("caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch"),
    *("crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox"),
    *("girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion"),
    *("lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom"),
    *("oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree"),
    *("plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road"),
    *("rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake"),
    *("spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank"),
    *("telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle"),
    *("wardrobe", "whale", "willow_tree", "wolf", "woman", "worm"),
)
COARSE_CLASS_NAMES = (
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
)
KINDS = {
    "fine": BatchKind("CIFAR-100", b"fine_labels", len(CLASS_NAMES)),
    "coarse": BatchKind("CIFAR-100", b"coarse_labels", len(COARSE_CLASS_NAMES)),
}
ARCHIVE_NAME = "cifar-100-python.tar.gz"
# The sha256 is the one that Keras (datasets/cifar100.py) and torchvision's prototype of its data
# sets (prototype/datasets/_builtin/cifar.py) check; the md5s are those of torchvision
# (datasets/cifar.py).
OFFICIAL = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    md5s={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    largest=256 * 2**20,  # all training images are in one file of 155 MB
)


def load_data(
    label_mode: str = "fine", path: str | os.PathLike[str] | None = None
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Load CIFAR-100; the first time, if no copy is found on this machine, download it (170 MB).

    It looks into the same folders as `cifar10.load_data`, and downloads the archive into
    minicnn's, `$MINICNN_HOME/datasets` or `~/.minicnn/datasets`, if it is in none. The official
    host is slow; set the environment variable MINICNN_CIFAR100_URL to load the same archive from
    elsewhere. Every file is verified by its published hash each time.

    Args:
        label_mode: "fine" for the 100 classes, or "coarse" for the 20 groups.
        path: read this instead: the folder `cifar-100-python`, a folder that holds it, or the
            archive `cifar-100-python.tar.gz`. Nothing is searched, downloaded or written then.

    Returns:
        ((x_train, y_train), (x_test, y_test)): images uint8 (50000, 32, 32, 3) and
        (10000, 32, 32, 3) from 0 to 255; classes uint8 (50000, 1) and (10000, 1), in the order of
        `CLASS_NAMES` or `COARSE_CLASS_NAMES`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: label_mode is neither, or what is at `path` is not CIFAR-100, or is damaged.
        OSError: the download failed; the message says how to place the file by hand.

    Differs from Keras: `path` is new, and the classes are uint8, as the documentation there says,
        where Keras gives integers of 64 bits.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((50000, 32, 32, 3), (50000, 1))
    >>> len(CLASS_NAMES), len(COARSE_CLASS_NAMES)
    (100, 20)
    >>> load_data("rough")
    Traceback (most recent call last):
    ValueError: cifar100.load_data: label_mode must be 'fine' or 'coarse', but is 'rough'.
    """
    archive = replace(OFFICIAL, url=address("cifar100", OFFICIAL.url))
    return load(label_mode, path, archive, Patience())


def find() -> Path | None:
    """The folder or archive that `load_data()` would try first, None if it would download.

    Only looked for, not verified.
    """
    return InArchive("cifar100", OFFICIAL, ARCHIVE_NAME).find()


def load(
    label_mode: str, path: str | os.PathLike[str] | None, archive: Archive, patience: Patience
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Do what `load_data` does, with any archive that is built like CIFAR-100's."""
    if not isinstance(label_mode, str) or label_mode not in KINDS:
        raise ValueError(
            f"cifar100.load_data: label_mode must be 'fine' or 'coarse', but is {label_mode!r}."
            f"{did_you_mean(str(label_mode), KINDS)}"
        )
    files = InArchive("cifar100", archive, ARCHIVE_NAME).load(path, patience)
    kind = KINDS[label_mode]
    return read_images(files["train"], "train", kind), read_images(files["test"], "test", kind)
