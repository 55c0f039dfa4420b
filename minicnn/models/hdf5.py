"""Reading HDF5 files that nobody vouches for: plain arrays of this very file, of known sizes.

A file can claim anything: that its numbers stand in another file, that an array is larger than all
memory, or that a small piece of it unpacks to one. So no link is followed, and nothing is read
before its shape is known to be the one that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError, MemoryError)
PACKED = (None, "gzip", "lzf")  # forms of compression that need no plug-in


def hdf5() -> Any:
    """The library h5py, imported only when a file is read or written."""
    import h5py

    return h5py


@contextmanager
def opened(source: Any, path: str) -> Iterator[Any]:
    """Open an HDF5 file, and turn what h5py says of a broken one into an error with its path.

    Args:
        source: a path, or a file object with the content.
        path: what messages call it.

    Raises:
        OSError: it is broken, or no HDF5 file; or what happens in the block shows that.
    """
    try:
        with hdf5().File(source, "r") as file:
            yield file
    except BROKEN as error:
        raise OSError(
            f"{path}: cannot be read, so no weight was loaded. It is broken, was cut off or is no "
            f"HDF5 file ({error})."
        ) from error


def names(group: Any) -> list[str]:
    """What is in a group; nothing, if it is none."""
    return list(group) if hasattr(group, "keys") else []


def child(group: Any, name: str) -> Any:
    """What is called `name` in the group; None if nothing is, or only a link to elsewhere."""
    if name not in names(group):
        return None
    link = group.get(name, getlink=True)
    return group[name] if isinstance(link, hdf5().HardLink) else None


def found(group: Any, place: str) -> Any:
    """What stands at a place as "layers/dense/vars"; None if nothing does."""
    for name in place.split("/"):
        group = child(group, name) if name else group
    return group


def numbered_in(group: Any) -> list[Any]:
    """The entries "0", "1", ... of a group; None for those that are missing."""
    return [child(group, str(k)) for k in range(len(names(group)))]


def is_plain(dataset: Any) -> bool:
    """Whether this is an array of numbers, stored in this very file, and no bomb."""
    return (
        isinstance(dataset, hdf5().Dataset)
        and dataset.dtype.kind in "fiu"
        and dataset.dtype.subdtype is None
        and dataset.external is None
        and not dataset.is_virtual
        and dataset.compression in PACKED
        and (dataset.chunks is None or np.prod(dataset.chunks, dtype=float) <= 2**24)
    )
