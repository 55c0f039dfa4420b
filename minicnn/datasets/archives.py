"""Reading published files without trusting them: archives, hashes and CIFAR's pickles.

Nothing that is read here can run code or choose where it is written. An archive gives only the
members that were asked for, as bytes in memory. A batch is a pickle, a little program that may
call anything it names; `read_batch` gives it nothing to call but two stand-ins that hold numbers.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tarfile import TarInfo

LARGEST_MEMBER = 64 * 2**20  # bytes; those of CIFAR-10 and MNIST are smaller
MOST_MEMBERS = 100


class DamagedError(ValueError):
    """A file is not what was published."""


@dataclass(frozen=True)
class Archive:
    """A published .tar.gz, as its publisher describes it.

    Args:
        url: its address.
        sha256: the hash of the archive.
        folder: the folder inside that holds the files.
        md5s: file name -> hash, of every file that is needed.
        largest: more bytes than any file inside has.
    """

    url: str
    sha256: str
    folder: str
    md5s: Mapping[str, str]
    largest: int = LARGEST_MEMBER

    def read_archive(self, path: Path) -> dict[str, bytes]:
        """Read the files in the archive at `path`; DamagedError if one is missing or different."""
        wanted = {f"{self.folder}/{name}" for name in self.md5s}
        members = read_members(path, wanted, self.largest)
        return self._verified(path, {PurePosixPath(name).name: b for name, b in members.items()})

    def read_folder(self, path: Path) -> dict[str, bytes]:
        """Read the files in the folder at `path`; DamagedError if one is missing or different."""
        present = [name for name in self.md5s if (path / name).is_file()]
        return self._verified(path, {name: (path / name).read_bytes() for name in present})

    def _verified(self, path: Path, files: dict[str, bytes]) -> dict[str, bytes]:
        for name, md5 in self.md5s.items():
            if name not in files:
                raise DamagedError(f"{path} is not whole: {name} is missing.")
            found = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
            if found != md5:
                raise DamagedError(f"{path} is damaged: {name} has the md5 {found}, not {md5}.")
        return files


def read_members(
    path: Path, wanted: Collection[str], largest: int = LARGEST_MEMBER
) -> dict[str, bytes]:
    """Read the `wanted` members of a .tar.gz into memory; nothing is written.

    An honest archive of data has plain files and folders only. One with a link, a path that leaves
    the archive or a member of more than `largest` bytes was made to do harm, and is refused as a
    whole.

    Raises:
        DamagedError: the archive is refused, or is no whole .tar.gz.
    """
    import gzip
    import tarfile
    import zlib

    try:
        with tarfile.open(path, "r:gz") as tar:
            files = {}
            for position, member in enumerate(tar):
                _refuse_if_strange(member, position, path, largest)
                content = tar.extractfile(member) if member.name in wanted else None
                if content is not None:
                    files[member.name] = content.read()
            return files
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DamagedError(f"{path} is not a whole .tar.gz archive ({error}).") from error


def _refuse_if_strange(member: TarInfo, position: int, path: Path, largest: int) -> None:
    place = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        fault = "is neither a file nor a folder"
    elif place.is_absolute() or ".." in place.parts or "\\" in member.name:
        fault = "points out of the archive"
    elif member.size > largest:
        fault = f"has {member.size} bytes, more than any file of this data set"
    elif position >= MOST_MEMBERS:
        fault = f"comes after {MOST_MEMBERS} others, far too many"
    else:
        return
    raise DamagedError(f"{path} is refused: its member {member.name!r} {fault}.")


def read_batch(content: bytes, name: str, title: str = "CIFAR-10") -> dict[bytes, Any]:
    """Read one batch of CIFAR-10 or CIFAR-100: a pickled dictionary whose keys are bytes.

    Args:
        content: the bytes of the file.
        name: its name, for messages.
        title: which data set it should belong to, for messages.

    Returns:
        The dictionary; `b"data"` is an array uint8 (N, 3072), `b"labels"` (or `b"fine_labels"` and
        `b"coarse_labels"`) a list of N integers.

    Raises:
        DamagedError: the file is no such pickle, or it asks for anything but an array of bytes.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a broken pickle can raise anything
        raise DamagedError(f"{name} is not a batch of {title}: {error}") from error
    if not isinstance(batch, dict):
        raise DamagedError(f"{name} is not a batch of {title}: it holds a {type(batch).__name__}.")
    return {key: getattr(value, "array", value) for key, value in batch.items()}


class _StoredType:
    """Stands in for numpy.dtype; the pixels are bytes, and nothing else is accepted."""

    def __init__(self, code: bytes, *settings: object) -> None:
        if code != b"u1":
            raise pickle.UnpicklingError(f"its array holds {code!r} where bytes (u1) are expected.")

    def __setstate__(self, state: object) -> None:
        pass  # byte order and the like, which a byte does not have


class _StoredArray:
    """Stands in for numpy.ndarray: NumPy's own would also build arrays of objects."""

    array: np.ndarray[Any, np.dtype[np.uint8]]

    def __init__(self, *settings: object) -> None:
        pass  # shape and type follow in the state

    def __setstate__(self, state: tuple[int, tuple[int, int], _StoredType, bool, bytes]) -> None:
        _version, shape, _stored_type, _column_order, content = state
        self.array = np.frombuffer(content, np.uint8).reshape(shape)


class _BatchUnpickler(pickle.Unpickler):
    """Knows the three names that CIFAR's pickles use; refuses all others without a look."""

    stand_ins = {
        ("numpy.core.multiarray", "_reconstruct"): _StoredArray,
        ("numpy", "ndarray"): _StoredArray,
        ("numpy", "dtype"): _StoredType,
    }

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in self.stand_ins:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was not run.")
        return self.stand_ins[module, name]
