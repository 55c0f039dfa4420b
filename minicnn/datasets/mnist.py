"""MNIST: 70,000 handwritten digits, gray pictures of 28x28 pixels; the first thing to try.

Source: Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner, Gradient-Based Learning Applied
to Document Recognition, 1998; http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from minicnn.datasets.archives import LARGEST_MEMBER, DamagedError
from minicnn.datasets.download import Patience
from minicnn.datasets.idx import Pair, checked_pair, read_pairs
from minicnn.datasets.published import InFiles, address

CLASS_NAMES = tuple("0123456789")
FILE_NAME = "mnist.npz"
# Keras' edition, one file. Its hash is the one that Keras (datasets/mnist.py) and tensorflow-ruby
# (lib/tensorflow/keras/datasets/mnist.rb) check; torchvision does not know this file.
IN_ONE_FILE = InFiles(
    name="mnist",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    sha256s={FILE_NAME: "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
    folder="",
    torchvision="",
)
# The authors' edition, which torchvision keeps. The hashes are those of TensorFlow Datasets
# (url_checksums/mnist.txt) and of torchvision's prototype of its data sets
# (prototype/datasets/_builtin/mnist.py).
IN_FOUR_FILES = InFiles(
    name="mnist",
    url="https://storage.googleapis.com/cvdf-datasets/mnist/",
    sha256s={
        "train-images-idx3-ubyte.gz": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    },
    folder="mnist",
    torchvision="MNIST/raw",
)


def load_data(path: str | os.PathLike[str] = FILE_NAME) -> tuple[Pair, Pair]:
    """Load MNIST; the first time, if no copy is found on this machine, download it (11 MB).

    It looks, in this order, for

    1. `mnist.npz` in minicnn's folder, `$MINICNN_HOME/datasets` or `~/.minicnn/datasets`; in
       Keras' folder, `$KERAS_HOME/datasets` or `~/.keras/datasets`; in `data` in the working folder
       and in the home folder; and in the working folder itself;
    2. the four `.gz` files of the authors, in the folder `mnist` of minicnn and of Keras, and in
       `MNIST/raw`, where torchvision puts them, in `data` and in the working folder;

    and downloads `mnist.npz` into minicnn's folder if there is none of them. Set the environment
    variable MINICNN_MNIST_URL to load the same file from another folder. Every file is verified by
    its published hash each time.

    Args:
        path: unless it is just "mnist.npz", read this instead: the file `mnist.npz` under any name,
            or a folder that holds it or the four `.gz` files. Nothing is searched, downloaded or
            written then.

    Returns:
        ((x_train, y_train), (x_test, y_test)): images uint8 (60000, 28, 28) and (10000, 28, 28)
        from 0 (paper) to 255 (ink); digits uint8 (60000,) and (10000,). There is no axis for
        channels: `x_train[..., None]` adds it.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: what is at `path` is not MNIST, or is damaged.
        OSError: the download failed; the message says how to place the file by hand.

    Differs from Keras: there, `path` says where to keep the file that is downloaded.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((60000, 28, 28), (60000,))
    >>> CLASS_NAMES[7]
    '7'
    """
    one = replace(IN_ONE_FILE, url=address(IN_ONE_FILE.name, IN_ONE_FILE.url))
    given = None if os.fspath(path) == FILE_NAME else path
    return load(given, one, IN_FOUR_FILES, Patience())


def find() -> Path | None:
    """The file or folder that `load_data()` would try first, None if it would download.

    Only looked for, not verified.
    """
    return IN_ONE_FILE.find() or IN_FOUR_FILES.find()


def load(
    path: str | os.PathLike[str] | None, one: InFiles, four: InFiles, patience: Patience
) -> tuple[Pair, Pair]:
    """Do what `load_data` does, with any data set that is built like MNIST, in its two editions."""
    if path is None:
        files = one.read_found() or four.read_found() or one.fetch(patience)
    else:
        edition = four if four.place_within(Path(path).expanduser()) else one
        files = edition.load(path, patience)
    return _read_npz(files[FILE_NAME]) if FILE_NAME in files else read_pairs(files, "MNIST")


def _read_npz(content: bytes) -> tuple[Pair, Pair]:
    """Read the four arrays; nothing in the file can run code, or fill all memory."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            sizes = {member.filename: member.file_size for member in members.infolist()}
        if max(sizes.values(), default=0) > LARGEST_MEMBER:
            raise ValueError("one of its arrays is larger than any of this data set")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            train, test = ((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
    except Exception as error:  # a broken file can raise anything
        raise DamagedError(f"{FILE_NAME} is not MNIST: {error}") from error
    return checked_pair(*train, FILE_NAME, "MNIST"), checked_pair(*test, FILE_NAME, "MNIST")
