"""Data sets that others published: found on this machine or fetched, and verified either way.

`InArchive` comes as one .tar.gz (CIFAR), `InFiles` as files that are fetched one by one (MNIST).
What both do the same way is in `Published`.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from minicnn.datasets.archives import LARGEST_MEMBER, Archive, DamagedError
from minicnn.datasets.cache import (
    datasets_folder,
    notice,
    one_process_at_a_time,
    set_aside,
    store,
)
from minicnn.datasets.download import DownloadError, Patience, download, sha256_of

Files = dict[str, bytes]


def keras_folder() -> Path:
    """The folder of Keras' data sets: $KERAS_HOME/datasets, or ~/.keras/datasets."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def address_variable(name: str) -> str:
    """The environment variable that replaces the address of a data set.

    >>> address_variable("cifar10")
    'MINICNN_CIFAR10_URL'
    """
    return f"MINICNN_{name.upper()}_URL"


def address(name: str, official: str) -> str:
    """Where the data set is fetched from: the environment's address, or the `official` one."""
    return os.environ.get(address_variable(name)) or official


class Published(ABC):
    """A data set of somebody else. A place is a folder or a file that should hold all of it."""

    name: str  # that of its module, for messages

    def load(self, path: str | os.PathLike[str] | None, patience: Patience) -> Files:
        """Read the files at `path`; without one, find them on this machine or download them.

        Raises:
            FileNotFoundError: there is nothing at `path`.
            DamagedError: what is at `path` is not this data set.
            DownloadError: the download failed; the message says how to help yourself.
        """
        if path is not None:
            return self.read_given(Path(path).expanduser())
        return self.read_found() or self.fetch(patience)

    def find(self) -> Path | None:
        """The place that would be tried first; None if there is none."""
        return next(self.places(), None)

    def read_given(self, path: Path) -> Files:
        """Read the files at `path`, or in a folder there; see `load`."""
        if not path.exists():
            raise FileNotFoundError(
                f"{self.name}.load_data: there is nothing at path={str(path)!r}. "
                f"Give {self.acceptable()}."
            )
        return self.read(self.place_within(path) or path)

    def read_found(self) -> Files | None:
        """Read the first place that is not damaged, with a word about those that are."""
        for place in self.places():
            try:
                return self.take(place)
            except (DamagedError, OSError) as error:
                notice(f"{self.name}: {error} Looking on.")
        return None

    def fetch(self, patience: Patience) -> Files:
        """Download the data set, unless another process is doing it already."""
        try:
            with one_process_at_a_time(self.lock()) as waited:
                files = self.read_found() if waited else None  # what the other process has put
                return files or self.download(patience)
        except (OSError, ValueError) as error:
            raise DownloadError(
                f"{self.name}.load_data: could not get the data set. {error}\n"
                "Call again to go on where the download stopped, set "
                f"{address_variable(self.name)} to {self.by_hand()}\n"
                f'     or keep it anywhere and call {self.name}.load_data(path="...") '
                "with its place."
            ) from error

    def take(self, place: Path) -> Files:
        """Read a place that was found."""
        return self.read(place)

    @abstractmethod
    def places(self) -> Iterator[Path]:
        """Places on this machine, the likeliest first; only looked for, not verified."""

    @abstractmethod
    def place_within(self, path: Path) -> Path | None:
        """The place in the folder at `path`, None if there is none."""

    @abstractmethod
    def read(self, place: Path) -> Files:
        """Read and verify a place; DamagedError if something is missing or different."""

    @abstractmethod
    def download(self, patience: Patience) -> Files:
        """Fetch the files, put them into minicnn's folder and read them."""

    @abstractmethod
    def lock(self) -> Path:
        """The file that is held by the process that downloads."""

    @abstractmethod
    def acceptable(self) -> str:
        """What a path may lead to, in words."""

    @abstractmethod
    def by_hand(self) -> str:
        """What another address must offer, and how to place the files by hand, in words."""


@dataclass(frozen=True)
class InArchive(Published):
    """A data set in one archive, which is unpacked once.

    Args:
        name: that of its module.
        archive: where it is, and what must be in it.
        archive_name: its file name.
    """

    name: str
    archive: Archive
    archive_name: str

    def places(self) -> Iterator[Path]:
        """Folders and archives where minicnn, Keras and torchvision put them."""
        folder, keras = self.archive.folder, keras_folder()
        unpacked_by_keras = keras / f"{folder}-target"
        for place in (datasets_folder(), unpacked_by_keras, keras, Path("data"), Path("~/data")):
            if (unpacked := place.expanduser() / folder).is_dir():
                yield unpacked
            for name in (self.archive_name, f"{folder}.tar.gz", f"{folder}-target_archive"):
                if (packed := place.expanduser() / name).is_file():
                    yield packed

    def place_within(self, path: Path) -> Path | None:
        """The folder of the archive, if it lies in the one at `path`."""
        inner = path / self.archive.folder
        return inner if inner.is_dir() else None

    def read(self, place: Path) -> Files:
        """Read a folder or an archive."""
        if place.is_dir():
            return self.archive.read_folder(place)
        return self.archive.read_archive(place)

    def take(self, place: Path) -> Files:
        """Read a place; what was packed is kept unpacked."""
        files = self.read(place)
        if place.is_file():
            self._keep(files)
        return files

    def _keep(self, files: Files) -> bool:
        """Put files into minicnn's folder, so that the next time is quick; False if that fails."""
        try:
            store(files, datasets_folder() / self.archive.folder)
        except OSError as error:  # all that is lost is time
            notice(
                f"{self.name}: cannot keep the unpacked files ({error}); they will be unpacked "
                "each time."
            )
            return False
        return True

    def download(self, patience: Patience) -> Files:
        """Fetch the archive, and unpack it."""
        target = datasets_folder() / self.archive_name
        notice(f"{self.name}: downloading {self.archive.url} to {target.parent}.")
        download(self.archive.url, target, self.archive.sha256, patience)
        files = self.archive.read_archive(target)
        if self._keep(files):
            target.unlink()
        return files

    def lock(self) -> Path:
        """Beside the archive that is downloaded."""
        return datasets_folder() / f"{self.archive_name}.lock"

    def acceptable(self) -> str:
        """The folder, one around it, or the archive."""
        return (
            f"the folder {self.archive.folder}, a folder that holds it, or the archive "
            f"{self.archive_name}"
        )

    def by_hand(self) -> str:
        """See `Published.by_hand`."""
        target = datasets_folder()
        return (
            "another address of the same archive, or place it by hand:\n"
            f"  1. get {self.archive.url} (sha256 {self.archive.sha256}) in any way you like;\n"
            f"  2. put it at {target / self.archive_name}, or unpack it so that "
            f"{target / self.archive.folder} holds the batches,"
        )


@dataclass(frozen=True)
class InFiles(Published):
    """A data set in files that are fetched one by one, and stay as they are.

    Args:
        name: that of its module.
        url: the address of the folder that holds the files.
        sha256s: file name -> hash, of every file.
        folder: the folder within that of minicnn, and that of Keras, which holds them; "" if they
            lie there themselves.
        torchvision: the folder within that of torchvision's data which holds them.
    """

    name: str
    url: str
    sha256s: Mapping[str, str]
    folder: str
    torchvision: str

    def places(self) -> Iterator[Path]:
        """Folders that have all files, or the file if there is only one."""
        own = (datasets_folder() / self.folder, keras_folder() / self.folder)
        data = (Path(root).expanduser() / self.torchvision for root in ("data", "~/data", ""))
        return filter(None, map(self._place_at, (*own, *data)))

    def _place_at(self, folder: Path) -> Path | None:
        if not all((folder / name).is_file() for name in self.sha256s):
            return None
        return folder if len(self.sha256s) > 1 else folder / next(iter(self.sha256s))

    def place_within(self, path: Path) -> Path | None:
        """The folder at `path`, or that of Keras or torchvision in it, if it has all files."""
        folders = (path, path / self.folder, path / self.torchvision)
        return next(filter(None, map(self._place_at, folders)), None)

    def read(self, place: Path) -> Files:
        """Read the files in a folder, or the only file itself."""
        if place.is_dir():
            return {name: self._read_file(place / name, name) for name in self.sha256s}
        if len(self.sha256s) > 1:
            raise DamagedError(f"{place} is a single file; give {self.acceptable()}.")
        return {name: self._read_file(place, name) for name in self.sha256s}

    def _read_file(self, path: Path, name: str) -> bytes:
        if not path.is_file():
            raise DamagedError(f"{path.parent} is not whole: {name} is missing.")
        if (size := path.stat().st_size) > LARGEST_MEMBER:
            raise DamagedError(
                f"{path} is refused: it has {size} bytes, more than any file of this data set."
            )
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256s[name]:
            raise DamagedError(
                f"{path} is damaged: it has the sha256 {found}, not {self.sha256s[name]}."
            )
        return content

    def download(self, patience: Patience) -> Files:
        """Fetch those files that are not there yet."""
        folder = datasets_folder() / self.folder
        notice(f"{self.name}: downloading {', '.join(self.sha256s)} from {self.url} to {folder}.")
        folder.mkdir(parents=True, exist_ok=True)
        for name, sha256 in self.sha256s.items():
            target = folder / name
            if not (target.is_file() and sha256_of(target) == sha256):
                set_aside(target)
                download(self._url_of(name), target, sha256, patience)
        return self.read(self._place_at(folder) or folder)

    def _url_of(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"

    def lock(self) -> Path:
        """In minicnn's folder, beside the files or beside their folder."""
        return datasets_folder() / f"{self.folder or next(iter(self.sha256s))}.lock"

    def acceptable(self) -> str:
        """The file, or the folder that holds all of them."""
        names = ", ".join(self.sha256s)
        if len(self.sha256s) == 1:
            return f"the file {names} or a folder that holds it"
        return f"a folder that holds {names}"

    def by_hand(self) -> str:
        """See `Published.by_hand`."""
        files = "".join(
            f"     {self._url_of(name)} (sha256 {sha256})\n"
            for name, sha256 in self.sha256s.items()
        )
        return (
            "another folder of the same files, or place them by hand:\n"
            f"  1. get in any way you like\n{files}"
            f"  2. put what you got into {datasets_folder() / self.folder},"
        )
