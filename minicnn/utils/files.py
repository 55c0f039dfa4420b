"""Files from the internet, kept for the next time."""

from __future__ import annotations

import os
import re
from pathlib import Path

from minicnn.datasets.cache import datasets_folder, one_process_at_a_time
from minicnn.datasets.download import Patience, download, sha256_of


def get_file(
    fname: str,
    origin: str,
    *,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    cache_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Download a file, unless it is there already, and return its path.

    Args:
        fname: the name that it gets, a plain file name.
        origin: its address, http:// or https://.
        file_hash: its sha256, 64 hexadecimal digits, which must be given. A file with another one
            is not accepted, and one that lies there already is loaded anew.
        cache_subdir: the folder within cache_dir.
        cache_dir: $MINICNN_HOME or ~/.minicnn if not given.

    Returns:
        The path of the file.

    Raises:
        ValueError: fname is no plain name, file_hash no sha256, or origin no such address.
        OSError: the file could not be had, or not be written.

    Differs from Keras: a hash is wanted, since nothing is believed that comes over the net without
        one; and archives are not unpacked.

    >>> get_file("weights.h5", "https://example.org/weights.h5", file_hash="?")
    Traceback (most recent call last):
    ValueError: get_file: file_hash must be a sha256, 64 hexadecimal digits, but is '?'.
    """
    if file_hash is None:
        raise ValueError(
            "get_file: file_hash is missing, the sha256 of the file: nothing that comes over the "
            "net is believed without it. Of a file that you trust, `sha256sum FILE` prints it."
        )
    if not re.fullmatch("[0-9a-f]{64}", file_hash):
        raise ValueError(
            f"get_file: file_hash must be a sha256, 64 hexadecimal digits, but is {file_hash!r}."
        )
    if Path(fname).name != fname or fname in ("", ".", ".."):
        raise ValueError(f"get_file: fname must be a plain file name, but is {fname!r}.")
    home = datasets_folder().parent if cache_dir is None else Path(cache_dir).expanduser()
    target = home / cache_subdir / fname
    with one_process_at_a_time(target.with_name(f"{fname}.lock")):
        if not target.is_file() or sha256_of(target) != file_hash:
            download(origin, target, file_hash, Patience())
    return str(target)
