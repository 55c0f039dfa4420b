"""Small data sets in the formats of MNIST, with hashes of their own: six digits, and four."""

import gzip
import hashlib
import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minicnn.datasets import idx, mnist
from minicnn.datasets.published import InFiles

NOWHERE = "http://127.0.0.1:9/"
FOUR = (*idx.TRAIN_FILES, *idx.TEST_FILES)


def packed_idx(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), mtime=0)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def with_hashes(like: InFiles, files: dict[str, bytes], url: str = NOWHERE) -> InFiles:
    """A data set that is published like `like`, but has these files."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return replace(like, url=url, sha256s=hashes)


def write(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@dataclass
class Small:
    """Arrays x_train, y_train, x_test and y_test."""

    arrays: dict[str, np.ndarray]

    @property
    def four(self) -> dict[str, bytes]:
        """The four .gz files."""
        return {n: packed_idx(a) for n, a in zip(FOUR, self.arrays.values(), strict=True)}

    @property
    def one(self) -> dict[str, bytes]:
        """mnist.npz."""
        return {mnist.FILE_NAME: npz(**self.arrays)}

    def check(self, data) -> None:
        """Fail unless `data`, from load_data, is this data set, in arrays that can be changed."""
        found = [array for pair in data for array in pair]
        for array, wanted in zip(found, self.arrays.values(), strict=True):
            assert array.dtype == np.uint8 and array.flags.writeable and array.flags.c_contiguous
            assert array.shape == wanted.shape
            assert array.tolist() == wanted.tolist()


def make_small(seed: int = 0) -> Small:
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", 6), ("test", 4)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = random.integers(0, 10, count, dtype=np.uint8)
    return Small(arrays)
