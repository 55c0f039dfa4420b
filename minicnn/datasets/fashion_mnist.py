"""Fashion-MNIST: 70,000 gray pictures of 28x28 pixels of clothes, harder than MNIST's digits.

Source: Han Xiao, Kashif Rasul and Roland Vollgraf, Fashion-MNIST: a Novel Image Dataset for
Benchmarking Machine Learning Algorithms, 2017, arXiv:1708.07747;
https://github.com/zalandoresearch/fashion-mnist (MIT license).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from minicnn.datasets.download import Patience
from minicnn.datasets.idx import Pair, read_pairs
from minicnn.datasets.published import InFiles, address

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Keras loads these files from this address without a hash. The hashes are those of TensorFlow
# Datasets (url_checksums/fashion_mnist.txt) and of torchvision's prototype of its data sets
# (prototype/datasets/_builtin/mnist.py). Files that have them also have the md5 that the authors
# publish (README.md) and torchvision checks (datasets/mnist.py).
OFFICIAL = InFiles(
    name="fashion_mnist",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    sha256s={
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
    folder="fashion-mnist",
    torchvision="FashionMNIST/raw",
)


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """Load Fashion-MNIST; the first time, if no copy is found, download it (31 MB).

    It looks for the four `.gz` files, in this order, in

    1. minicnn's folder, `$MINICNN_HOME/datasets/fashion-mnist` or
       `~/.minicnn/datasets/fashion-mnist`;
    2. Keras' folder, `$KERAS_HOME/datasets/fashion-mnist` or `~/.keras/datasets/fashion-mnist`;
    3. `FashionMNIST/raw`, where torchvision puts them, in `data` in the working folder and in the
       home folder, and in the working folder itself;

    and downloads them into the first of these if they are in none. Set the environment variable
    MINICNN_FASHION_MNIST_URL to load the same files from another folder. Every file is verified by
    its published hash each time.

    Args:
        path: read the files from this folder instead, or from `fashion-mnist` or
            `FashionMNIST/raw` in it. Nothing is searched, downloaded or written then.

    Returns:
        ((x_train, y_train), (x_test, y_test)): images uint8 (60000, 28, 28) and (10000, 28, 28)
        from 0 to 255; classes uint8 (60000,) and (10000,) from 0 to 9, in the order of
        `CLASS_NAMES`. There is no axis for channels: `x_train[..., None]` adds it.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: what is at `path` is not Fashion-MNIST, or is damaged.
        OSError: the download failed; the message says how to place the files by hand.

    Differs from Keras: `path` is new, and the hashes are.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((60000, 28, 28), (60000,))
    >>> CLASS_NAMES[9]
    'Ankle boot'
    """
    return load(path, replace(OFFICIAL, url=address(OFFICIAL.name, OFFICIAL.url)), Patience())


def find() -> Path | None:
    """The folder that `load_data()` would try first, None if it would download.

    Only looked for, not verified.
    """
    return OFFICIAL.find()


def load(
    path: str | os.PathLike[str] | None, published: InFiles, patience: Patience
) -> tuple[Pair, Pair]:
    """Do what `load_data` does, with any four files that are built like Fashion-MNIST's."""
    return read_pairs(published.load(path, patience), "Fashion-MNIST")
