"""Files of MNIST and Fashion-MNIST that are broken or mean harm: refused, and nothing of them runs.

Their hashes are right, so that only what reads them stands in the way.
"""

import gzip
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_cifar10 import IMPATIENT
from small_mnist import FOUR, make_small, npz, packed_idx, with_hashes, write

from minicnn.datasets import fashion_mnist, idx, mnist
from minicnn.datasets.archives import DamagedError


@pytest.fixture(scope="module")
def small():
    return make_small()


def load_fashion(files: dict[str, bytes], folder: Path):
    """Load files whose hashes are right, whatever they hold."""
    known = with_hashes(fashion_mnist.OFFICIAL, files)
    return fashion_mnist.load(write(files, folder), known, IMPATIENT)


def load_npz(content: bytes, folder: Path):
    files = {"mnist.npz": content}
    known = with_hashes(mnist.IN_ONE_FILE, files)
    return mnist.load(write(files, folder), known, mnist.IN_FOUR_FILES, IMPATIENT)


def compressed(content: bytes) -> bytes:
    """The same bytes at any time, for they are part of the names of tests."""
    return gzip.compress(content, mtime=0)


def idx_file(begin: bytes, *sizes: int, content: bytes = b"") -> bytes:
    return compressed(begin + struct.pack(f">{len(sizes)}I", *sizes) + content)


@pytest.mark.parametrize("kept", [0, 5, 30, -20, -5, -1])
def test_a_truncated_gzip_is_an_error(small, tmp_path, kept):
    files = {**small.four, FOUR[0]: small.four[FOUR[0]][:kept]}
    with pytest.raises(DamagedError, match=r"train-images.* (is not a whole gzip|does not begin)"):
        load_fashion(files, tmp_path / "a")


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"<html>", "is not a whole gzip file"),
        (compressed(b""), r"does not begin like a file of MNIST: b''"),
        (compressed(b"\0\0\x08"), "does not begin like a file of MNIST"),
        (idx_file(b"\0\0\x08\0", content=b"1"), "does not begin like a file of MNIST"),
        (idx_file(b"\0\0\x08\x03", 1, 28), "does not begin like a file of MNIST"),
        (idx_file(b"\0\0\x09\x01", 1, content=b"1"), "does not begin like a file of MNIST"),
        (idx_file(b"\0\0\x08\x01", 6, content=bytes(5)), "announces 6 numbers, but holds 5"),
        (idx_file(b"\0\0\x08\x01", 6, content=bytes(7)), "announces 6 numbers, but holds 7"),
        (idx_file(b"\0\0\x08\x03", *[2**32 - 1] * 3), ".*4294967295 x 4294967295 .* but holds 0"),
    ],
)
def test_a_file_that_is_not_in_mnists_format_is_an_error(small, tmp_path, content, fault):
    with pytest.raises(DamagedError, match=f"t10k-labels-idx1-ubyte.gz {fault}"):
        load_fashion({**small.four, FOUR[3]: content}, tmp_path / "a")


def test_a_gzip_that_grows_without_bound_is_refused(small, tmp_path):
    bomb = gzip.compress(bytes(70 * 2**20), compresslevel=1)
    assert len(bomb) < 2**20
    with pytest.raises(DamagedError, match="refused: it unpacks to more than 67108864 bytes"):
        load_fashion({**small.four, FOUR[0]: bomb}, tmp_path / "a")


def test_no_more_than_the_bound_is_ever_unpacked():
    bomb = gzip.compress(bytes(20 * 2**20), compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError, match="more than 1000 bytes"):
            idx.unpack(bomb, "x.gz", largest=1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_bound_is_exact(more):
    packed = gzip.compress(bytes(100 + more))
    if more <= 0:
        assert idx.unpack(packed, "x.gz", largest=100) == bytes(100 + more)
    else:
        with pytest.raises(DamagedError, match="x.gz is refused: .* more than 100 bytes"):
            idx.unpack(packed, "x.gz", largest=100)


ZEROS = np.zeros((6, 28, 28), np.uint8)
WRONG_PAIRS = [
    (ZEROS, np.zeros(5, np.uint8), r"uint8 \(6, 28, 28\) and uint8 \(5,\)"),
    (ZEROS, np.zeros((6, 1), np.uint8), r"and uint8 \(6, 1\)"),
    (ZEROS[:, :, :27], np.zeros(6, np.uint8), r"here are uint8 \(6, 28, 27\)"),
    (ZEROS[0], np.zeros(28, np.uint8), r"here are uint8 \(28, 28\)"),
    (ZEROS[..., None], np.zeros(6, np.uint8), r"here are uint8 \(6, 28, 28, 1\)"),
    (ZEROS, np.array([0, 1, 2, 10, 3, 9], np.uint8), "the classes 0 to 9, but one is 10"),
]


@pytest.mark.parametrize("images, labels, fault", WRONG_PAIRS)
def test_images_and_classes_that_do_not_fit_are_an_error(small, tmp_path, images, labels, fault):
    files = {**small.four, FOUR[0]: packed_idx(images), FOUR[1]: packed_idx(labels)}
    with pytest.raises(DamagedError, match=f"{FOUR[0]} and {FOUR[1]}: Fashion-MNIST has .*{fault}"):
        load_fashion(files, tmp_path / "a")


@pytest.mark.parametrize(
    "images, labels, fault",
    [*WRONG_PAIRS, (ZEROS.astype(float), np.zeros(6, np.uint8), r"here are float64 \(6, 28, 28\)")],
)
def test_wrong_arrays_in_the_npz_are_an_error(small, tmp_path, images, labels, fault):
    content = npz(**{**small.arrays, "x_test": images, "y_test": labels})
    with pytest.raises(DamagedError, match=f"mnist.npz: MNIST has .*{fault}"):
        load_npz(content, tmp_path / "a")


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_an_npz_with_a_pickle_is_refused_and_does_not_run(small, tmp_path):
    evil = np.array([Harm(tmp_path / "harm")], dtype=object)
    content = npz(**{**small.arrays, "y_train": evil})
    with pytest.raises(
        DamagedError, match="mnist.npz is not MNIST: Object arrays cannot be loaded"
    ):
        load_npz(content, tmp_path / "a")
    assert not (tmp_path / "harm").exists()


def test_a_bare_pickle_instead_of_an_npz_is_refused_and_does_not_run(tmp_path):
    content = pickle.dumps(Harm(tmp_path / "harm"))
    with pytest.raises(DamagedError, match="mnist.npz is not MNIST: File is not a zip file"):
        load_npz(content, tmp_path / "a")
    assert not (tmp_path / "harm").exists()


def test_an_npz_without_one_of_the_arrays_is_an_error(small, tmp_path):
    content = npz(**{name: array for name, array in small.arrays.items() if name != "y_test"})
    with pytest.raises(DamagedError, match="mnist.npz is not MNIST: .*y_test is not a file"):
        load_npz(content, tmp_path / "a")


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_npz_is_an_error(small, tmp_path, kept):
    content = small.one["mnist.npz"]
    with pytest.raises(DamagedError, match="mnist.npz is not MNIST: File is not a zip file"):
        load_npz(content[: int(kept * len(content)) if kept < 1 else kept], tmp_path / "a")


def test_an_npz_with_a_giant_array_is_refused(small, tmp_path):
    content = npz(**{**small.arrays, "x_train": np.zeros((90_000, 28, 28), np.uint8)})
    assert len(content) < 2**20
    with pytest.raises(DamagedError, match="one of its arrays is larger than any of this data set"):
        load_npz(content, tmp_path / "a")


def test_an_npz_that_hides_the_size_of_an_array_is_an_error(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999,), }"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"1"
    folder = write({}, tmp_path / "a")
    with zipfile.ZipFile(folder / "mnist.npz", "w") as packed:
        packed.writestr("x_train.npy", array)
    with pytest.raises(DamagedError, match="mnist.npz is not MNIST"):
        load_npz((folder / "mnist.npz").read_bytes(), folder)
