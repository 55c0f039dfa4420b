"""The folder in which minicnn keeps data sets, and how one gets into it whole or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def datasets_folder() -> Path:
    """The folder of the data sets: $MINICNN_HOME/datasets, or ~/.minicnn/datasets."""
    home = Path(os.environ.get("MINICNN_HOME") or "~/.minicnn")
    return home.expanduser() / "datasets"


def notice(message: str) -> None:
    """Tell the user what happens to files, beside the output of the program."""
    print(message, file=sys.stderr, flush=True)


def store(files: Mapping[str, bytes], folder: Path) -> None:
    """Write `files` as `folder`, in one step: whoever looks sees the whole folder or none.

    A folder that stands there already is set aside as `NAME.damaged-TIME`, never deleted.

    Raises:
        OSError: the folder cannot be written; what was there before is still there.
    """
    import tempfile

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary, folder.name)
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        if _holds(folder, files):  # another process was quicker
            return
        set_aside(folder)
        new.rename(folder)


def set_aside(place: Path) -> None:
    """Rename what stands at `place`, if anything does, to `NAME.damaged-TIME`, and say so.

    Raises:
        OSError: it cannot be renamed.
    """
    if os.path.lexists(place):
        aside = place.rename(f"{place}.damaged-{time.time_ns()}")
        notice(f"{place} was damaged; it is replaced, and the old one is now {aside}.")


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == content
        for name, content in files.items()
    )


@contextmanager
def one_process_at_a_time(lock: Path) -> Iterator[bool]:
    """Hold the file `lock`; other processes that want it wait, e.g. while this one downloads.

    Gives True if it had to wait. The operating system takes the lock back when a process ends,
    however it ends.

    Raises:
        OSError: the file cannot be written.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "wb") as file:
        waited = False
        while not _try_to_lock(file):
            if not waited:
                notice(f"Another process holds {lock}; waiting for it ...")
            waited = True
            time.sleep(0.1)
        yield waited  # closing the file gives the lock back


if sys.platform == "win32":

    def _try_to_lock(file: IO[bytes]) -> bool:
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:

    def _try_to_lock(file: IO[bytes]) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
