"""Small data sets in CIFAR-10's own format, with hashes of their own: four images to a batch."""

import hashlib
import io
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn.datasets import cifar10
from minicnn.datasets.archives import Archive
from minicnn.datasets.download import Patience

FOLDER = "cifar-10-batches-py"
IMPATIENT = Patience(tries=2, wait=0.001, timeout=5)
MARK, STOP = b"(", b"."


# Python 2 wrote the batches, and Python 3 cannot write such pickles: here are the codes one by one.


def string(text: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(text)) + text


def integer(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def pickled_array(rows: np.ndarray, code: bytes = b"u1") -> bytes:
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    empty = reconstruct + b"cnumpy\nndarray\n" + integer(0) + b"\x85" + string(b"b") + b"\x87R"
    shape = MARK + b"".join(integer(size) for size in rows.shape) + b"t"
    dtype = b"cnumpy\ndtype\n" + string(code) + integer(0) + integer(1) + b"\x87R"
    settings = MARK + integer(3) + string(b"|") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb"
    return (
        empty
        + MARK
        + integer(1)
        + shape
        + dtype
        + settings
        + b"\x89"
        + string(rows.tobytes())
        + b"tb"
    )


def pickled_list(numbers: list[int]) -> bytes:
    return b"](" + b"".join(integer(number) for number in numbers) + b"e"


def pickled_dictionary(values: dict[bytes, bytes]) -> bytes:
    """A whole pickle; the values are pickled already."""
    pairs = b"".join(string(key) + value for key, value in values.items())
    return b"\x80\x02}" + MARK + pairs + b"u" + STOP


def pickled_batch(rows: np.ndarray, labels: list[int], data: bytes | None = None) -> bytes:
    return pickled_dictionary(
        {b"labels": pickled_list(labels), b"data": data or pickled_array(rows)}
    )


@dataclass
class Small:
    """A data set in CIFAR-10's format: four images to a batch."""

    rows: dict[str, np.ndarray]
    labels: dict[str, list[int]]
    files: dict[str, bytes]

    def packed(self) -> bytes:
        return pack({f"{FOLDER}/{name}": content for name, content in self.files.items()})

    def archive(self, url: str = "http://127.0.0.1:9/nothing.tar.gz") -> Archive:
        md5s = {name: hashlib.md5(content).hexdigest() for name, content in self.files.items()}
        return Archive(url, hashlib.sha256(self.packed()).hexdigest(), FOLDER, md5s)

    def unpack(self, parent: Path) -> Path:
        folder = parent / FOLDER
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def save(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.packed())
        return path

    def check(self, data) -> None:
        """Fail unless `data`, from load_data, has the images and classes of this data set."""
        (x_train, y_train), (x_test, y_test) = data
        names = list(cifar10.TRAIN_BATCHES)
        self._check_part(x_train, y_train, names)
        self._check_part(x_test, y_test, ["test_batch"])

    def _check_part(self, images, labels, names) -> None:
        assert images.dtype == labels.dtype == np.uint8 and images.flags.c_contiguous
        assert images.shape == (4 * len(names), 32, 32, 3)
        assert labels.tolist() == [[label] for name in names for label in self.labels[name]]
        for number, image in enumerate(images):
            row = self.rows[names[number // 4]][number % 4]
            red, green, blue = row[:1024], row[1024:2048], row[2048:]
            assert image[:, :, 0].ravel().tolist() == red.tolist()
            assert image[:, :, 1].ravel().tolist() == green.tolist()
            assert image[:, :, 2].ravel().tolist() == blue.tolist()


def pack(files: dict[str, bytes], *strange: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for member in strange:  # only what they claim to be: addfile would want the content
            header = member.tobuf(tar.format)
            tar.fileobj.write(header)
            tar.offset += len(header)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return (
        buffer.getvalue()[:4] + bytes(4) + buffer.getvalue()[8:]
    )  # without the time, for the hash


def make_small(seed: int = 0) -> Small:
    random = np.random.default_rng(seed)
    names = [*cifar10.TRAIN_BATCHES, cifar10.TEST_BATCH]
    rows = {name: random.integers(0, 256, (4, 3072), dtype=np.uint8) for name in names}
    labels = {name: random.integers(0, 10, 4).tolist() for name in names}
    files = {name: pickled_batch(rows[name], labels[name]) for name in names}
    return Small(rows, labels, {**files, "batches.meta": b"\x80\x02}."})
