"""CIFAR-100: read as it was published, with its classes or their groups."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from loopback import serve
from small_cifar10 import (
    IMPATIENT,
    MARK,
    STOP,
    pack,
    pickled_array,
    pickled_dictionary,
    pickled_list,
    string,
)

from minicnn.datasets import cifar100
from minicnn.datasets.archives import Archive, DamagedError, read_batch
from minicnn.datasets.download import DownloadError

FOLDER = "cifar-100-python"
FOUND = cifar100.find()
REAL = FOUND and FOUND.resolve()  # before the tests move the home folder


@pytest.fixture(autouse=True)
def home(empty_home):
    return empty_home


def pickled(rows: np.ndarray, fine: list[int], coarse: list[int]) -> bytes:
    """A file as its authors wrote it."""
    names = b"](" + b"".join(string(b"photo_%d.png" % row) for row in range(len(rows))) + b"e"
    return pickled_dictionary(
        {
            b"filenames": names,
            b"batch_label": string(b"training batch 1 of 1"),
            b"fine_labels": pickled_list(fine),
            b"coarse_labels": pickled_list(coarse),
            b"data": pickled_array(rows),
        }
    )


ROWS = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
FINE, COARSE = [0, 99, 5, 40, 7, 98, 20, 1, 2, 3], [0, 19, 5, 4, 7, 18, 2, 1, 2, 3]
FILES = {
    "train": pickled(ROWS[:6], FINE[:6], COARSE[:6]),
    "test": pickled(ROWS[6:], FINE[6:], COARSE[6:]),
    "meta": b"\x80\x02}.",
}


def packed(files: dict[str, bytes] = FILES) -> bytes:
    return pack({f"{FOLDER}/{name}": content for name, content in files.items()})


def published(files: dict[str, bytes] = FILES, url: str = "http://127.0.0.1:9/no.tgz") -> Archive:
    md5s = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return Archive(url, hashlib.sha256(packed(files)).hexdigest(), FOLDER, md5s)


def unpack(parent: Path, files: dict[str, bytes] = FILES) -> Path:
    folder = parent / FOLDER
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def check(data, labels: list[int]) -> None:
    (x_train, y_train), (x_test, y_test) = data
    assert x_train.shape == (6, 32, 32, 3) and x_test.shape == (4, 32, 32, 3)
    assert y_train.shape == (6, 1) and y_test.shape == (4, 1)
    for array in (x_train, y_train, x_test, y_test):
        assert array.dtype == np.uint8 and array.flags.writeable and array.flags.c_contiguous
    images = np.concatenate([x_train, x_test]).transpose(0, 3, 1, 2)  # red, green, blue
    assert images.reshape(10, 3072).tolist() == ROWS.tolist()
    assert [*y_train[:, 0], *y_test[:, 0]] == labels


@pytest.fixture
def small(monkeypatch):
    """The small data set counts as the published one."""
    monkeypatch.setattr(cifar100, "OFFICIAL", published())


@pytest.mark.parametrize("place", ["a", f"a/{FOLDER}"])
def test_path_may_be_the_folder_or_the_one_around_it(small, tmp_path, home, place):
    unpack(tmp_path / "a")
    check(cifar100.load_data(path=tmp_path / place), FINE)
    assert list(home.iterdir()) == []


def test_path_may_be_the_archive(small, tmp_path, home):
    (tmp_path / "any.tgz").write_bytes(packed())
    check(cifar100.load_data("fine", tmp_path / "any.tgz"), FINE)
    assert list(home.iterdir()) == []


def test_coarse_labels_are_the_groups(small, tmp_path):
    folder = unpack(tmp_path)
    check(cifar100.load_data("coarse", folder), COARSE)
    check(cifar100.load_data(label_mode="coarse", path=folder), COARSE)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("rough", "must be 'fine' or 'coarse', but is 'rough'"),
        ("Coarse", "but is 'Coarse'. Did you mean 'coarse'"),
        (None, "but is None"),
        (["fine"], r"but is \['fine'\]"),
    ],
)
def test_another_label_mode_is_an_error_before_anything_is_read(wrong, message):
    with pytest.raises(ValueError, match=f"cifar100.load_data: label_mode .*{message}"):
        cifar100.load_data(wrong)


def test_a_missing_path_is_an_error_that_says_what_to_give():
    wanted = r"cifar100.load_data: there is nothing at path='no'. Give the folder cifar-100-python,"
    with pytest.raises(FileNotFoundError, match=wanted):
        cifar100.load_data(path="no")


@pytest.mark.parametrize(
    "place",
    [
        "~/.minicnn/datasets",
        "~/.keras/datasets",
        "~/.keras/datasets/cifar-100-python-target",
        "~/data",
        "data",
    ],
)
def test_a_folder_is_found_where_minicnn_keras_and_torchvision_put_it(small, place):
    folder = unpack(Path(place).expanduser())
    assert cifar100.find() == folder
    check(cifar100.load_data(), FINE)


@pytest.mark.parametrize(
    "place",
    ["~/.keras/datasets/cifar-100-python-target_archive", "data/cifar-100-python.tar.gz"],
)
def test_an_archive_is_found_and_unpacked_into_minicnns_folder(small, home, place):
    archive = Path(place).expanduser()
    archive.parent.mkdir(parents=True)
    archive.write_bytes(packed())
    check(cifar100.load_data(), FINE)
    check(cifar100.load_data(path=home / ".minicnn" / "datasets" / FOLDER), FINE)


def test_cifar_10_and_cifar_100_do_not_meet_in_one_folder(small, home):
    (home / ".minicnn" / "datasets" / "cifar-10-batches-py").mkdir(parents=True)
    assert cifar100.find() is None


def test_a_download_is_unpacked_once_and_found_afterwards(home, small, monkeypatch):
    with serve(packed()) as server:
        server.cuts = [1000]
        monkeypatch.setenv("MINICNN_CIFAR100_URL", server.url)
        check(cifar100.load_data(), FINE)
        check(cifar100.load_data("coarse"), COARSE)
        assert server.requests == ["all", "bytes=1000-"]
    files = sorted(file.name for file in (home / ".minicnn" / "datasets").iterdir())
    assert files == [FOLDER, "cifar-100-python.tar.gz.lock"]


def test_a_failed_download_names_the_variable_and_the_data_set(small, monkeypatch):
    with serve(b"") as server:
        server.statuses = [404]
        monkeypatch.setenv("MINICNN_CIFAR100_URL", server.url)
        with pytest.raises(DownloadError) as caught:
            cifar100.load_data()
    message = str(caught.value)
    assert message.startswith("cifar100.load_data: could not get the data set.")
    assert "MINICNN_CIFAR100_URL" in message and 'cifar100.load_data(path="...")' in message


def test_a_download_with_another_hash_is_refused():
    with serve(packed({**FILES, "meta": b"?"})) as server:
        with pytest.raises(DownloadError, match="was expected; it was deleted"):
            cifar100.load("fine", None, published(url=server.url), IMPATIENT)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_or_missing_file_is_noticed(small, tmp_path, name):
    folder = unpack(tmp_path, {**FILES, name: FILES[name] + b" "})
    with pytest.raises(DamagedError, match=f"is damaged: {name} has the md5 [0-9a-f]{{32}}, not"):
        cifar100.load_data(path=folder)
    (folder / name).unlink()
    with pytest.raises(DamagedError, match=f"is not whole: {name} is missing"):
        cifar100.load_data(path=folder)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_archive_is_an_error(small, tmp_path, kept):
    content = packed()
    archive = tmp_path / "photos.tar.gz"
    archive.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(DamagedError, match=r"photos.tar.gz is not (a whole .tar.gz archive|whole)"):
        cifar100.load_data(path=archive)


def test_the_archive_may_have_larger_files_than_cifar_10(tmp_path):
    """The official training file has 155,249,918 bytes."""
    assert 155_249_918 < cifar100.OFFICIAL.largest < 2**29
    archive = tmp_path / "photos.tar.gz"
    archive.write_bytes(packed())
    known = published()
    small = Archive(known.url, known.sha256, FOLDER, known.md5s, largest=len(FILES["train"]))
    check(cifar100.load("fine", archive, small, IMPATIENT), FINE)
    smaller = Archive(known.url, known.sha256, FOLDER, known.md5s, len(FILES["train"]) - 1)
    with pytest.raises(DamagedError, match="'cifar-100-python/train' has .* bytes, more than any"):
        cifar100.load("fine", archive, smaller, IMPATIENT)


# Pickles that are broken or mean harm. Their hashes are right.


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_malicious_file_is_refused_and_does_not_run(tmp_path, name):
    harm = tmp_path / "harm"
    command = string(f"touch {harm}".encode())
    files = {**FILES, name: b"\x80\x02cos\nsystem\n" + command + b"\x85R" + STOP}
    wanted = f"{name} is not a batch of CIFAR-100: it asks for os.system, which was not run"
    with pytest.raises(DamagedError, match=wanted):
        cifar100.load("fine", unpack(tmp_path, files), published(files), IMPATIENT)
    assert not harm.exists()


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"", "Ran out of input"),
        (b"\x80\x02}.", "it has no rows of 3072 pixels"),
        (pickled(ROWS[:, :3000], FINE, COARSE), "it has no rows of 3072 pixels"),
        (pickled(ROWS, FINE[1:], COARSE), "it has not one class per image"),
        (pickled(ROWS, [*FINE[1:], 100], COARSE), "it has not one class per image"),
        (pickled(ROWS, [*FINE[1:], -1], COARSE), "it has not one class per image"),
        (
            pickled_dictionary({b"labels": pickled_list(FINE), b"data": pickled_array(ROWS)}),
            "it has not one class per image",
        ),
        (
            pickled_dictionary(
                {b"fine_labels": b"](" + b"]" * 10 + b"e", b"data": pickled_array(ROWS)}
            ),
            "it has not one class per image",
        ),
    ],
)
def test_a_file_that_is_no_batch_is_an_error(tmp_path, content, fault):
    files = {**FILES, "test": content}
    with pytest.raises(DamagedError, match=f"test is not a batch of CIFAR-100: {fault}"):
        cifar100.load("fine", unpack(tmp_path, files), published(files), IMPATIENT)


def test_groups_from_20_on_are_an_error(tmp_path):
    files = {**FILES, "test": pickled(ROWS, FINE, [*COARSE[1:], 20])}
    folder = unpack(tmp_path, files)
    cifar100.load("fine", folder, published(files), IMPATIENT)
    with pytest.raises(DamagedError, match="it has not one class per image"):
        cifar100.load("coarse", folder, published(files), IMPATIENT)


# The real thing


def official_meta() -> bytes:
    """The archive's file `meta`, written anew from our names, as Python 2 wrote it."""
    places = iter(range(1, 256))  # where Python 2 put each value, to name it again

    def noted(code: bytes) -> bytes:
        return code + b"q" + bytes([next(places)])

    def short(text: str) -> bytes:
        return noted(b"U" + bytes([len(text)]) + text.encode())

    content = b"\x80\x02" + noted(b"}") + MARK
    for key, names in (
        ("fine_label_names", cifar100.CLASS_NAMES),
        ("coarse_label_names", cifar100.COARSE_CLASS_NAMES),
    ):
        content += short(key) + noted(b"]") + MARK + b"".join(map(short, names)) + b"e"
    return content + b"u" + STOP


def test_the_classes_have_the_published_names_in_the_published_order():
    assert hashlib.md5(official_meta()).hexdigest() == cifar100.OFFICIAL.md5s["meta"]
    assert read_batch(official_meta(), "meta")[b"fine_label_names"][99] == b"worm"
    assert len(cifar100.CLASS_NAMES) == 100 and len(cifar100.COARSE_CLASS_NAMES) == 20


@pytest.mark.skipif(REAL is None, reason="CIFAR-100 is not on this machine")
def test_the_real_data_set_is_what_its_authors_describe():
    (x_train, fine), (x_test, fine_test) = cifar100.load_data(path=REAL)
    (_, coarse), _ = cifar100.load_data("coarse", path=REAL)
    assert x_train.shape == (50000, 32, 32, 3) and x_test.shape == (10000, 32, 32, 3)
    assert np.bincount(fine[:, 0]).tolist() == [500] * 100
    assert np.bincount(fine_test[:, 0]).tolist() == [100] * 100
    assert np.bincount(coarse[:, 0]).tolist() == [2500] * 20
