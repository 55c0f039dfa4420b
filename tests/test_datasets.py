"""CIFAR-10: found where it lies, or downloaded, and read as it was published."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from loopback import serve
from small_cifar10 import FOLDER, IMPATIENT, make_small

from minicnn.datasets import cifar10
from minicnn.datasets.archives import DamagedError
from minicnn.datasets.cache import one_process_at_a_time
from minicnn.datasets.download import DownloadError, Patience

FOUND = cifar10.find()
REAL = FOUND and FOUND.resolve()  # before the tests move the home folder


@pytest.fixture(scope="module")
def small():
    return make_small()


@pytest.fixture(autouse=True)
def home(empty_home):
    return empty_home


def own_folder(home: Path) -> Path:
    return home / ".minicnn" / "datasets"


# A path that is given


def test_path_may_be_the_folder(small, tmp_path):
    small.check(cifar10.load(small.unpack(tmp_path / "a"), small.archive(), IMPATIENT))


def test_path_may_be_the_folder_around_it(small, tmp_path):
    small.unpack(tmp_path / "a")
    small.check(cifar10.load(str(tmp_path / "a"), small.archive(), IMPATIENT))


def test_path_may_be_the_archive_and_nothing_is_written_then(small, tmp_path, home):
    packed = small.save(tmp_path / "a" / "any-name.tgz")
    small.check(cifar10.load(packed, small.archive(), IMPATIENT))
    assert list(home.iterdir()) == []


def test_path_may_begin_with_a_tilde(small, home):
    small.save(home / "photos.tar.gz")
    small.check(cifar10.load("~/photos.tar.gz", small.archive(), IMPATIENT))


def test_a_missing_path_is_an_error_that_says_what_to_give():
    wanted = (
        r"nothing at path='here'. Give the folder cifar-10-batches-py, a folder that holds it, or"
    )
    with pytest.raises(FileNotFoundError, match=wanted):
        cifar10.load_data(path="here")


def test_a_folder_without_batches_is_an_error(tmp_path):
    with pytest.raises(DamagedError, match=r"work is not whole: data_batch_1 is missing\."):
        cifar10.load_data(path=tmp_path / "work")


def test_a_folder_that_lacks_one_file_is_an_error(small, tmp_path):
    folder = small.unpack(tmp_path)
    (folder / "test_batch").unlink()
    with pytest.raises(DamagedError, match=f"{FOLDER} is not whole: test_batch is missing"):
        cifar10.load(folder, small.archive(), IMPATIENT)


def test_one_changed_pixel_is_noticed(small, tmp_path):
    folder = small.unpack(tmp_path)
    content = bytearray(small.files["data_batch_3"])
    content[-100] ^= 1
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(
        DamagedError, match="data_batch_3 has the md5 [0-9a-f]{32}, not [0-9a-f]{32}"
    ):
        cifar10.load(folder, small.archive(), IMPATIENT)


# Places that are searched


@pytest.mark.parametrize(
    "place",
    [
        "~/.minicnn/datasets",
        "~/.keras/datasets",
        "~/.keras/datasets/cifar-10-batches-py-target",
        "~/data",
        "data",
    ],
)
def test_a_folder_is_found_where_minicnn_keras_and_torchvision_put_it(small, place):
    small.unpack(Path(place).expanduser())
    assert cifar10.find() == Path(place).expanduser() / FOLDER
    small.check(cifar10.load(None, small.archive(), IMPATIENT))


@pytest.mark.parametrize(
    "place",
    [
        "~/.minicnn/datasets/cifar-10-python.tar.gz",
        "~/.keras/datasets/cifar-10-batches-py-target_archive",
        "~/.keras/datasets/cifar-10-batches-py.tar.gz",
        "data/cifar-10-python.tar.gz",
    ],
)
def test_an_archive_is_found_and_unpacked_into_minicnns_folder(small, home, place):
    packed = small.save(Path(place).expanduser())
    small.check(cifar10.load(None, small.archive(), IMPATIENT))
    assert packed.exists()
    small.check(cifar10.load(own_folder(home) / FOLDER, small.archive(), IMPATIENT))


@pytest.mark.parametrize("variable", ["MINICNN_HOME", "KERAS_HOME"])
def test_the_folders_can_be_moved(small, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    small.unpack(tmp_path / "moved" / "datasets")
    small.check(cifar10.load(None, small.archive(), IMPATIENT))


def test_a_damaged_copy_is_passed_over_with_a_word(small, home, capsys):
    folder = small.unpack(own_folder(home))
    (folder / "data_batch_1").write_bytes(b"")
    small.unpack(home / ".keras" / "datasets")
    small.check(cifar10.load(None, small.archive(), IMPATIENT))
    assert re.search(
        r"cifar10: .* is damaged: data_batch_1 has .* Looking on\.", capsys.readouterr().err
    )


def test_an_archive_is_read_even_if_it_cannot_be_kept(small, tmp_path, monkeypatch, capsys):
    small.save(tmp_path / "home" / "data" / "cifar-10-python.tar.gz")
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "file"))
    small.check(cifar10.load(None, small.archive(), IMPATIENT))
    assert "cifar10: cannot keep the unpacked files" in capsys.readouterr().err


def test_nothing_is_found_in_an_empty_home():
    assert cifar10.find() is None


# Downloads


def test_a_download_is_unpacked_once_and_found_afterwards(small, home):
    with serve(small.packed()) as server:
        archive = small.archive(server.url)
        small.check(cifar10.load(None, archive, IMPATIENT))
        small.check(cifar10.load(None, archive, IMPATIENT))
        assert server.requests == ["all"]
    files = sorted(file.name for file in own_folder(home).iterdir())
    assert files == [FOLDER, "cifar-10-python.tar.gz.lock"]
    assert sorted(file.name for file in (own_folder(home) / FOLDER).iterdir()) == sorted(
        small.files
    )


def test_a_truncated_download_is_resumed(small):
    with serve(small.packed()) as server:
        server.cuts = [1000]
        small.check(cifar10.load(None, small.archive(server.url), IMPATIENT))
        assert server.requests == ["all", "bytes=1000-"]


def test_a_damaged_folder_is_set_aside_and_replaced_by_a_download(small, home, capsys):
    folder = small.unpack(own_folder(home))
    (folder / "data_batch_1").write_bytes(b"")
    with serve(small.packed()) as server:
        small.check(cifar10.load(None, small.archive(server.url), IMPATIENT))
    small.check(cifar10.load(folder, small.archive(), IMPATIENT))
    assert len(list(own_folder(home).glob(f"{FOLDER}.damaged-*"))) == 1
    assert "it is replaced, and the old one is now" in capsys.readouterr().err


def test_a_failed_download_says_how_to_place_the_file_by_hand(small, home):
    archive = small.archive()
    with pytest.raises(DownloadError) as caught:
        cifar10.load(None, archive, Patience(tries=1, wait=0, timeout=5))
    message = str(caught.value)
    assert "could not get the data set. http://127.0.0.1:9/nothing.tar.gz: no connection" in message
    for hint in (
        archive.url,
        archive.sha256,
        str(own_folder(home) / "cifar-10-python.tar.gz"),
        str(own_folder(home) / FOLDER),
        'cifar10.load_data(path="...")',
        "MINICNN_CIFAR10_URL",
    ):
        assert hint in message


def test_what_another_process_downloads_meanwhile_is_used(small, home):
    """The address is dead, so only what appears while the lock is held can end the waiting well."""
    loaded = []
    lock = own_folder(home) / "cifar-10-python.tar.gz.lock"
    thread = threading.Thread(
        target=lambda: loaded.append(cifar10.load(None, small.archive(), IMPATIENT))
    )
    with one_process_at_a_time(lock):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        small.unpack(own_folder(home))
    thread.join()
    small.check(loaded[0])


def test_a_file_with_another_hash_is_refused(small):
    with serve(make_small(seed=1).packed()) as server:
        with pytest.raises(DownloadError, match="was expected; it was deleted"):
            cifar10.load(None, small.archive(server.url), IMPATIENT)


def test_a_cache_that_cannot_be_written_is_an_error_with_the_hints(small, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="Not a directory.*(\n.*)*or place it by hand"):
        cifar10.load(None, small.archive(), IMPATIENT)


def test_the_address_can_be_set(monkeypatch):
    with serve(b"") as server:
        server.statuses = [404]
        monkeypatch.setenv("MINICNN_CIFAR10_URL", server.url)
        with pytest.raises(DownloadError, match=f"{server.url}: the server answers 404 Not Found"):
            cifar10.load_data()


# The real thing


def test_the_classes_have_their_names_in_order():
    assert len(cifar10.CLASS_NAMES) == 10
    assert cifar10.CLASS_NAMES[0] == "airplane" and cifar10.CLASS_NAMES[9] == "truck"


@pytest.mark.skipif(REAL is None, reason="CIFAR-10 is not on this machine")
def test_the_real_data_set_is_what_its_authors_describe():
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(path=REAL)
    assert x_train.shape == (50000, 32, 32, 3) and x_test.shape == (10000, 32, 32, 3)
    assert y_train.shape == (50000, 1) and y_test.shape == (10000, 1)
    assert np.bincount(y_train[:, 0]).tolist() == [5000] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [1000] * 10
    published_mean = [0.4914, 0.4822, 0.4465]  # of red, green and blue, as in many programs
    assert np.allclose(x_train.mean((0, 1, 2)) / 255, published_mean, atol=1e-4)
    assert [cifar10.CLASS_NAMES[label] for label in y_train[:3, 0]] == ["frog", "truck", "truck"]


def test_importing_the_data_sets_does_not_load_the_network():
    program = (
        "import sys, minicnn.datasets.cifar10, minicnn.datasets.shapes10\n"
        "print({'http.client', 'urllib.request', 'tarfile'} & set(sys.modules))"
    )
    root = Path(cifar10.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
