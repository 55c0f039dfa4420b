"""Writing files: a kill at any moment, or a full disk, leaves the old file or the new one."""

import os


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file completely beside the old one, then let it take its place in one step.

    Args:
        path: the file; a link is followed, not replaced.
        content: what will stand in it.

    Raises:
        OSError: the file cannot be written; an old file is left as it was.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(f"{folder}/note.txt", b"hello")
    ...     pathlib.Path(folder, "note.txt").read_text()
    'hello'
    """
    target = os.path.realpath(path)
    unfinished = f"{target}.{os.getpid()}.unfinished"
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"The file could not be saved ({error.strerror}), and an old one is unchanged. "
            f"Is there such a folder, may you write to it, and is there space on the disk?",
            os.fspath(path),
        ) from error
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)
