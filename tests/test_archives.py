"""Archives and pickles that are broken or mean harm: refused, and nothing of them runs."""

import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from small_cifar10 import (
    FOLDER,
    IMPATIENT,
    STOP,
    make_small,
    pack,
    pickled_array,
    pickled_batch,
    string,
)

from minicnn.datasets import cifar10
from minicnn.datasets.archives import DamagedError, read_batch, read_members


@pytest.fixture(scope="module")
def small():
    return make_small()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


@pytest.mark.parametrize(
    "strange, fault",
    [
        (member("../outside"), "'../outside' points out of the archive"),
        (member(f"{FOLDER}/../../outside"), "outside' points out of the archive"),
        (member("/outside"), "'/outside' points out of the archive"),
        (member("..\\outside"), "outside' points out of the archive"),
        (member(f"{FOLDER}/x", tarfile.SYMTYPE, "/etc"), "x' is neither a file nor a folder"),
        (member(f"{FOLDER}/x", tarfile.LNKTYPE, "/etc/hosts"), "x' is neither a file nor a folder"),
        (member(f"{FOLDER}/x", tarfile.CHRTYPE), "x' is neither a file nor a folder"),
    ],
)
def test_an_archive_with_a_strange_member_is_refused(small, tmp_path, strange, fault):
    files = {f"{FOLDER}/{name}": content for name, content in small.files.items()}
    packed = tmp_path / "evil.tar.gz"
    packed.write_bytes(pack(files, strange))
    with pytest.raises(
        DamagedError, match=f"evil.tar.gz is refused: its member .*{re.escape(fault)}"
    ):
        cifar10.load(packed, small.archive(), IMPATIENT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["evil.tar.gz"]


def test_a_giant_member_is_refused_before_it_is_read(tmp_path):
    packed = tmp_path / "evil.tar.gz"
    packed.write_bytes(pack({}, member("x", size=2**40)))
    with pytest.raises(DamagedError, match="'x' has 1099511627776 bytes, more than any file"):
        read_members(packed, {"x"})


def test_an_archive_with_very_many_members_is_refused(tmp_path):
    packed = tmp_path / "evil.tar.gz"
    packed.write_bytes(pack({f"{number}": b"" for number in range(101)}))
    with pytest.raises(DamagedError, match="'100' comes after 100 others, far too many"):
        read_members(packed, {"0"})


def test_members_that_nobody_asked_for_are_left_out(tmp_path):
    packed = tmp_path / "photos.tar.gz"
    packed.write_bytes(pack({"a": b"1", "readme.html": b"2"}))
    assert read_members(packed, {"a"}) == {"a": b"1"}


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.99])
def test_a_truncated_archive_is_an_error(small, tmp_path, kept):
    content = small.packed()
    packed = tmp_path / "photos.tar.gz"
    packed.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(DamagedError, match=r"photos.tar.gz is not (a whole .tar.gz archive|whole)"):
        cifar10.load(packed, small.archive(), IMPATIENT)


@pytest.mark.parametrize("position", [0.2, 0.8])
def test_a_changed_archive_is_an_error(small, tmp_path, position):
    content = bytearray(small.packed())
    place = int(position * len(content))
    content[place : place + 50] = bytes(50)
    packed = tmp_path / "photos.tar.gz"
    packed.write_bytes(content)
    with pytest.raises(
        DamagedError, match="photos.tar.gz is (not a whole|not whole|damaged|refused)"
    ):
        cifar10.load(packed, small.archive(), IMPATIENT)


# Pickles that mean harm. Their hashes are right, so that only the unpickler stands in the way.


def call(function: str, argument: bytes) -> bytes:
    module, name = function.split(".")
    return f"c{module}\n{name}\n".encode() + string(argument) + b"\x85R"


@pytest.mark.parametrize("function", ["os.system", "posix.system", "builtins.eval", "numpy.save"])
def test_a_malicious_batch_is_refused_and_does_not_run(small, tmp_path, function):
    harm = tmp_path / "harm"
    evil = b"\x80\x02" + call(function, f"touch {harm}".encode()) + STOP
    changed = replace(small, files={**small.files, "data_batch_1": evil})
    folder = changed.unpack(tmp_path)
    wanted = f"data_batch_1 is not a batch of CIFAR-10: it asks for {function}, which was not run"
    with pytest.raises(DamagedError, match=wanted):
        cifar10.load(folder, changed.archive(), IMPATIENT)
    assert not harm.exists()


def test_a_malicious_global_of_protocol_4_is_refused_too():
    evil = b"\x80\x04\x8c\x02os\x8c\x06system\x93."
    with pytest.raises(DamagedError, match="it asks for os.system, which was not run"):
        read_batch(evil, "data_batch_1")


def test_an_array_of_objects_is_refused():
    rows = np.zeros((1, 3072), np.uint8)
    evil = pickled_batch(rows, [0], pickled_array(rows, code=b"O8"))
    with pytest.raises(
        DamagedError, match=r"its array holds b'O8' where bytes \(u1\) are expected"
    ):
        read_batch(evil, "data_batch_1")


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"", "data_batch_1 is not a batch of CIFAR-10: Ran out of input"),
        (b"<html>", "data_batch_1 is not a batch of CIFAR-10: "),
        (b"\x80\x02N.", "data_batch_1 is not a batch of CIFAR-10: it holds a NoneType"),
        (b"\x80\x02}.", "data_batch_1 is not a batch of CIFAR-10: it has no rows of 3072 pixels"),
        (
            pickled_batch(np.zeros((2, 3000), np.uint8), [0, 1]),
            "data_batch_1 is not a batch of CIFAR-10: it has no rows of 3072 pixels",
        ),
        (
            pickled_batch(np.zeros((2, 3072), np.uint8), [0]),
            "data_batch_1 is not a batch of CIFAR-10: it has not one class per image",
        ),
        (
            pickled_batch(np.zeros((2, 3072), np.uint8), [0, 10]),
            "data_batch_1 is not a batch of CIFAR-10: it has not one class per image",
        ),
    ],
)
def test_a_file_that_is_no_batch_is_an_error(small, tmp_path, content, fault):
    changed = replace(small, files={**small.files, "data_batch_1": content})
    with pytest.raises(DamagedError, match=fault):
        cifar10.load(changed.unpack(tmp_path), changed.archive(), IMPATIENT)
