"""The ".keras" file: a zip archive of three members, none of them compressed.

    metadata.json       who wrote it, and when
    config.json         the model without its weights, see serialization.py
    model.weights.h5    its weights, and the state of its optimizer, see weight_files.py

Members are only ever read into memory, by these names, and never unpacked to the disk, so a member
called "../../x" goes nowhere. The checksums of a zip archive tell a damaged file from a whole one.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
LARGEST_CONFIG = 2**26  # bytes; that of a network of a thousand layers is one hundredth of it
LARGEST_GAIN = 100  # how many times its size on the disk a packed member may unpack to
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    RuntimeError,  # an encrypted member
    NotImplementedError,  # some other way of packing
    OverflowError,
)


def archive_as_bytes(members: Mapping[str, bytes]) -> bytes:
    """The content of an archive with these members.

    >>> sorted(zipfile.ZipFile(io.BytesIO(archive_as_bytes({"a": b"1", "b": b""}))).namelist())
    ['a', 'b']
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def read_member(path: str | os.PathLike[str], name: str) -> bytes:
    """Read one member of a ".keras" file.

    Args:
        path: the file.
        name: of the member.

    Raises:
        OSError: the file is not there, or is no such archive, or was cut off or damaged.
        ValueError: the member is missing, or would unpack to something huge.
    """
    path = os.fspath(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            if name not in archive.namelist():
                raise KeyError(f"it has no {name}")
            _check_size(path, archive.getinfo(name))
            return archive.read(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: there is no such file.") from error
    except SuspiciousError as error:
        raise ValueError(str(error)) from error
    except BROKEN as error:
        raise OSError(
            f"{path}: cannot be read. It is broken, was cut off or is no file of a model ({error})."
        ) from error


class SuspiciousError(Exception):
    """The archive is whole, but made to do harm."""


def _check_members(path: str, members: list[zipfile.ZipInfo]) -> None:
    counts = Counter(member.filename for member in members)
    for name, count in counts.items():
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise SuspiciousError(
                f"{path}: has a member {name!r}, which leads out of the archive. No file of a "
                f"model has that: do not trust it."
            )
        if count > 1:
            raise SuspiciousError(f"{path}: has {count} members called {name!r}.")


def _check_size(path: str, member: zipfile.ZipInfo) -> None:
    packed, unpacked = member.compress_size, member.file_size
    gain = LARGEST_GAIN * packed + 2**20
    limit = LARGEST_CONFIG if member.filename.endswith(".json") else gain
    if unpacked > min(limit, gain) or packed > os.path.getsize(path):
        raise SuspiciousError(
            f"{path}: its member {member.filename} has {packed} bytes and claims to unpack to "
            f"{unpacked}. No file of a model does: do not trust it."
        )
