"""MNIST and Fashion-MNIST: found where they lie, or downloaded, and read as they were published."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from loopback import serve
from small_mnist import FOUR, make_small, with_hashes, write

from minicnn.datasets import fashion_mnist, mnist, published
from minicnn.datasets.archives import DamagedError
from minicnn.datasets.download import DownloadError

FOUND = {module: module.find() for module in (mnist, fashion_mnist)}
REAL = {module: found and found.resolve() for module, found in FOUND.items()}


@pytest.fixture(scope="module")
def small():
    return make_small()


@pytest.fixture(autouse=True)
def home(empty_home):
    return empty_home


@pytest.fixture(autouse=True)
def hashes(small, monkeypatch):
    """The published hashes are those of the small data set, and no address leads out."""
    monkeypatch.setattr(mnist, "IN_ONE_FILE", with_hashes(mnist.IN_ONE_FILE, small.one))
    monkeypatch.setattr(mnist, "IN_FOUR_FILES", with_hashes(mnist.IN_FOUR_FILES, small.four))
    monkeypatch.setattr(fashion_mnist, "OFFICIAL", with_hashes(fashion_mnist.OFFICIAL, small.four))


def own_folder(home: Path) -> Path:
    return home / ".minicnn" / "datasets"


# A path that is given


@pytest.mark.parametrize("inner", ["", "fashion-mnist", "FashionMNIST/raw"])
def test_path_may_be_the_folder_of_the_files_or_the_one_around_it(small, tmp_path, home, inner):
    write(small.four, tmp_path / "a" / inner)
    small.check(fashion_mnist.load_data(path=tmp_path / "a"))
    assert list(home.iterdir()) == []


def test_path_may_be_the_npz_file_under_any_name(small, tmp_path, home):
    (tmp_path / "digits").write_bytes(small.one["mnist.npz"])
    small.check(mnist.load_data(tmp_path / "digits"))
    small.check(mnist.load_data(path=str(tmp_path / "digits")))
    assert list(home.iterdir()) == []


def test_path_may_begin_with_a_tilde(small, home):
    write(small.one, home / "here")
    write(small.four, home / "there")
    small.check(mnist.load_data("~/here/mnist.npz"))
    small.check(mnist.load_data("~/there"))
    small.check(fashion_mnist.load_data("~/there"))


@pytest.mark.parametrize("inner", ["", "MNIST/raw", "mnist"])
def test_path_may_be_a_folder_of_either_edition_of_mnist(small, tmp_path, inner):
    small.check(mnist.load_data(write(small.one, tmp_path / "one")))
    write(small.four, tmp_path / "four" / inner)
    small.check(mnist.load_data(tmp_path / "four"))


def test_a_missing_path_is_an_error_that_says_what_to_give():
    wanted = (
        r"mnist.load_data: there is nothing at path='here'. Give the file mnist.npz or a folder"
    )
    with pytest.raises(FileNotFoundError, match=wanted):
        mnist.load_data("here")
    wanted = r"nothing at path='here'. Give a folder that holds train-images-idx3-ubyte.gz, train-"
    with pytest.raises(FileNotFoundError, match=wanted):
        fashion_mnist.load_data("here")


def test_one_file_is_not_fashion_mnist(small, tmp_path):
    folder = write(small.four, tmp_path / "a")
    with pytest.raises(DamagedError, match="ubyte.gz is a single file; give a folder that holds"):
        fashion_mnist.load_data(folder / FOUR[0])


@pytest.mark.parametrize("missing", FOUR)
def test_a_folder_that_lacks_one_file_is_an_error(small, tmp_path, missing):
    folder = write(small.four, tmp_path / "a")
    (folder / missing).unlink()
    with pytest.raises(DamagedError, match=f"a is not whole: {missing} is missing"):
        fashion_mnist.load_data(folder)


def test_a_folder_without_mnist_is_an_error(tmp_path):
    with pytest.raises(DamagedError, match="work is not whole: mnist.npz is missing"):
        mnist.load_data(tmp_path / "work")


@pytest.mark.parametrize("name", FOUR)
def test_one_changed_bit_is_noticed(small, tmp_path, name):
    content = bytearray(small.four[name])
    content[-1] ^= 1
    folder = write({**small.four, name: bytes(content)}, tmp_path / "a")
    fault = f"{name} is damaged: it has the sha256 [0-9a-f]{{64}}, not [0-9a-f]{{64}}"
    with pytest.raises(DamagedError, match=fault):
        fashion_mnist.load_data(folder)


def test_one_changed_bit_of_mnist_is_noticed(small, tmp_path):
    content = bytearray(small.one["mnist.npz"])
    content[-1] ^= 1
    folder = write({"mnist.npz": bytes(content)}, tmp_path / "a")
    with pytest.raises(DamagedError, match="mnist.npz is damaged: it has the sha256"):
        mnist.load_data(folder)


def test_a_giant_file_is_refused_before_it_is_read(small, tmp_path):
    folder = write(small.four, tmp_path / "a")
    os.truncate(folder / FOUR[1], 2**40)  # of holes; nothing is written
    with pytest.raises(DamagedError, match="labels.* is refused: it has 1099511627776 bytes, more"):
        fashion_mnist.load_data(folder)


# Places that are searched


@pytest.mark.parametrize(
    "place",
    [
        "~/.minicnn/datasets/fashion-mnist",
        "~/.keras/datasets/fashion-mnist",
        "data/FashionMNIST/raw",
        "~/data/FashionMNIST/raw",
        "FashionMNIST/raw",
    ],
)
def test_fashion_mnist_is_found_where_minicnn_keras_and_torchvision_put_it(small, place):
    folder = write(small.four, Path(place).expanduser())
    assert fashion_mnist.find() == folder
    small.check(fashion_mnist.load_data())


@pytest.mark.parametrize(
    "place", ["~/.minicnn/datasets", "~/.keras/datasets", "data", "~/data", "."]
)
def test_mnist_is_found_in_one_file(small, place):
    folder = write(small.one, Path(place).expanduser())
    assert mnist.find() == folder / "mnist.npz"
    small.check(mnist.load_data())
    small.check(mnist.load_data("mnist.npz"))


@pytest.mark.parametrize(
    "place", ["~/.minicnn/datasets/mnist", "data/MNIST/raw", "~/data/MNIST/raw", "MNIST/raw"]
)
def test_mnist_is_found_in_four_files(small, place):
    folder = write(small.four, Path(place).expanduser())
    assert mnist.find() == folder
    small.check(mnist.load_data())


@pytest.mark.parametrize("variable", ["MINICNN_HOME", "KERAS_HOME"])
def test_the_folders_can_be_moved(small, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    write(small.one, tmp_path / "moved" / "datasets")
    write(small.four, tmp_path / "moved" / "datasets" / "fashion-mnist")
    small.check(mnist.load_data())
    small.check(fashion_mnist.load_data())


def test_minicnns_folder_comes_first(small, home):
    write(small.four, Path("data/FashionMNIST/raw"))
    write(small.four, home / ".keras" / "datasets" / "fashion-mnist")
    own = write(small.four, own_folder(home) / "fashion-mnist")
    assert fashion_mnist.find() == own


def test_a_damaged_copy_is_passed_over_with_a_word(small, home, capsys):
    write({"mnist.npz": b""}, home / ".keras" / "datasets")
    write(small.four, Path("data/MNIST/raw"))
    small.check(mnist.load_data())
    assert re.search(r"mnist: .*mnist.npz is damaged: .* Looking on\.", capsys.readouterr().err)


def test_nothing_is_found_in_an_empty_home():
    assert mnist.find() is None and fashion_mnist.find() is None


def test_a_folder_with_three_of_four_files_is_no_place(small, home):
    folder = write(small.four, own_folder(home) / "fashion-mnist")
    (folder / FOUR[2]).unlink()
    assert fashion_mnist.find() is None


# Downloads


@pytest.fixture
def server(small, monkeypatch):
    """Serves the small data set, and is where load_data downloads from."""
    with serve(b"") as running:
        running.others = {**small.one, **small.four}
        folder = running.url.rsplit("/", 1)[0]
        monkeypatch.setenv("MINICNN_MNIST_URL", f"{folder}/")
        monkeypatch.setenv("MINICNN_FASHION_MNIST_URL", folder)
        yield running


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_mnist_is_downloaded_once_and_found_afterwards(small, home, server):
    small.check(mnist.load_data())
    small.check(mnist.load_data())
    assert server.requests == ["all"]
    assert names_in(own_folder(home)) == ["mnist.npz", "mnist.npz.lock"]


def test_fashion_mnist_is_downloaded_once_and_found_afterwards(small, home, server):
    small.check(fashion_mnist.load_data())
    small.check(fashion_mnist.load_data())
    assert server.requests == ["all"] * 4
    assert names_in(own_folder(home)) == ["fashion-mnist", "fashion-mnist.lock"]
    assert names_in(own_folder(home) / "fashion-mnist") == sorted(FOUR)


def test_a_truncated_download_is_resumed(small, server):
    server.cuts = [1000]
    small.check(fashion_mnist.load_data())
    assert server.requests == ["all", "bytes=1000-", "all", "all", "all"]


def test_files_that_are_there_are_not_downloaded_again(small, home, server):
    folder = write(small.four, own_folder(home) / "fashion-mnist")
    (folder / FOUR[2]).unlink()
    small.check(fashion_mnist.load_data())
    assert server.requests == ["all"]


def test_a_damaged_file_is_set_aside_and_replaced(small, home, server, capsys):
    folder = write({**small.four, FOUR[3]: b"?"}, own_folder(home) / "fashion-mnist")
    small.check(fashion_mnist.load_data())
    assert server.requests == ["all"]
    (aside,) = folder.glob("*.damaged-*")
    assert aside.name.startswith(FOUR[3]) and aside.read_bytes() == b"?"
    assert "it is replaced, and the old one is now" in capsys.readouterr().err


def test_a_file_with_another_hash_is_refused(server):
    server.others = make_small(seed=1).one
    with pytest.raises(DownloadError, match="was expected; it was deleted"):
        mnist.load_data()


@pytest.mark.parametrize("end", ["", "/"])
def test_a_failed_download_says_how_to_place_the_files_by_hand(home, server, monkeypatch, end):
    server.statuses = [404]
    address = server.url.rsplit("/", 1)[0]
    monkeypatch.setenv("MINICNN_FASHION_MNIST_URL", address + end)
    with pytest.raises(DownloadError) as caught:
        fashion_mnist.load_data()
    message = str(caught.value)
    assert "fashion_mnist.load_data: could not get the data set. http://127" in message
    assert "the server answers 404 Not Found" in message
    for name, sha256 in fashion_mnist.OFFICIAL.sha256s.items():
        assert f" {address}/{name} (sha256 {sha256})\n" in message
    for hint in (
        f"put what you got into {own_folder(home) / 'fashion-mnist'}",
        'fashion_mnist.load_data(path="...")',
        "set MINICNN_FASHION_MNIST_URL to another folder of the same files",
    ):
        assert hint in message


def test_what_another_process_downloads_meanwhile_is_used(small, home, monkeypatch):
    """The address is dead, so only what appears while the lock is held can end the waiting well."""

    class Waited:
        def __init__(self, lock: Path) -> None:
            assert lock == own_folder(home) / "fashion-mnist.lock"

        def __enter__(self) -> bool:
            write(small.four, own_folder(home) / "fashion-mnist")
            return True

        def __exit__(self, *reason: object) -> None:
            pass

    monkeypatch.setattr(published, "one_process_at_a_time", Waited)
    small.check(fashion_mnist.load_data())


def test_a_cache_that_cannot_be_written_is_an_error_with_the_hints(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="Not a directory.*(\n.*)*or place them by hand"):
        mnist.load_data()


# The real thing


def test_the_classes_have_their_names_in_order():
    assert mnist.CLASS_NAMES == tuple("0123456789")
    assert len(fashion_mnist.CLASS_NAMES) == 10
    assert fashion_mnist.CLASS_NAMES[0] == "T-shirt/top"
    assert fashion_mnist.CLASS_NAMES[9] == "Ankle boot"


def check_the_form(data) -> None:
    (x_train, y_train), (x_test, y_test) = data
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert y_train.shape == (60000,) and y_test.shape == (10000,)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}


@pytest.mark.skipif(REAL[mnist] is None, reason="MNIST is not on this machine")
def test_the_real_mnist_is_what_its_authors_describe(monkeypatch):
    monkeypatch.undo()
    data = mnist.load_data(path=REAL[mnist])
    check_the_form(data)
    (x_train, y_train), _ = data
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.isclose(x_train.mean() / 255, 0.1307, atol=1e-4)  # as in many programs


@pytest.mark.skipif(REAL[fashion_mnist] is None, reason="Fashion-MNIST is not on this machine")
def test_the_real_fashion_mnist_is_what_its_authors_describe(monkeypatch):
    monkeypatch.undo()
    data = fashion_mnist.load_data(path=REAL[fashion_mnist])
    check_the_form(data)
    (x_train, y_train), (_, y_test) = data
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert np.isclose(x_train.mean() / 255, 0.2860, atol=1e-4)  # as in many programs
    assert [fashion_mnist.CLASS_NAMES[label] for label in y_train[:2]] == [
        "Ankle boot",
        "T-shirt/top",
    ]
