"""Downloads over a slow and unreliable line: resumed, tried again, believed only by hash."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING

from minicnn.datasets.cache import notice

if TYPE_CHECKING:
    from http.client import HTTPResponse

PIECE = 2**16  # bytes read at a time
WORTH_WAITING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}  # of the 4xx answers


class DownloadError(OSError):
    """The file could not be had from its address."""


class _Interrupted(Exception):
    """The line broke, which another try may mend."""


@dataclass(frozen=True)
class Patience:
    """How long to go on when the line breaks.

    Args:
        tries: how often in a row it may break without one new byte.
        wait: seconds before the second try; twice as long before the third, and so on.
        timeout: seconds of silence after which the line counts as broken.
    """

    tries: int = 5
    wait: float = 1.0
    timeout: float = 30.0


def download(url: str, target: Path, sha256: str, patience: Patience) -> None:
    """Fetch `url` to `target`, which appears only when it is whole and has the right hash.

    What has arrived is kept in `target` + ".part", even if the program is killed; the next try, in
    this call or another, asks the server for the rest only (a Range request). A server that cannot
    do that sends everything again.

    Args:
        url: an address that begins with http:// or https://.
        target: where the file goes; its folder exists.
        sha256: the hash of the whole file, 64 hexadecimal digits.
        patience: how often and how long to try.

    Raises:
        ValueError: the address begins with something else.
        DownloadError: the server refuses, the line stays broken, or the file has another hash.
        OSError: the disk is full or the folder cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"download: the address must begin with http:// or https://, but is {url!r}."
        )
    part = target.with_name(target.name + ".part")
    _fetch_patiently(url, part, patience)
    found = sha256_of(part)
    if found != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} gave a file with the sha256 {found}, but {sha256} was expected; it was deleted."
        )
    part.replace(target)


def _fetch_patiently(url: str, part: Path, patience: Patience) -> None:
    failures, most = 0, _size(part)
    while True:
        try:
            return _fetch(url, part, patience.timeout)
        except _Interrupted as error:
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= patience.tries:
                raise DownloadError(f"{url}: {error}, {failures} times in a row.") from error
            pause = patience.wait * 2 ** (failures - 1)
            notice(f"{url}: {error}. Trying again in {pause:g} s ...")
            time.sleep(pause)


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Add to `part` what is missing; _Interrupted if the line breaks."""
    response = _ask(url, part, timeout)
    if response is None:
        return
    with response:
        start = _size(part) if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        progress = ProgressLine(part.name.removesuffix(".part"), start, total)
        with open(part, "ab" if start else "wb") as file:
            try:
                for piece in _pieces(response):
                    file.write(piece)
                    progress.add(len(piece))
            finally:
                progress.close()
    if total is not None and progress.done < total:
        raise _Interrupted(f"the line broke after {progress.done} of {total} bytes")


def _ask(url: str, part: Path, timeout: float) -> HTTPResponse | None:
    """The server's answer to a request for what `part` lacks; None if it lacks nothing."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    start = _size(part)
    headers = {"User-Agent": "minicnn", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _check_that_whole(part, error.headers.get("Content-Range", ""))
            return None
        if error.code < 500 and error.code not in WORTH_WAITING:
            raise DownloadError(
                f"{url}: the server answers {error.code} {error.reason}."
            ) from error
        raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"no connection ({getattr(error, 'reason', error)})") from error
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        _check_range(response, part)
    return response


def _check_that_whole(part: Path, content_range: str) -> None:
    """The server has nothing from our size on: `part` is whole, or of another file."""
    if content_range != f"bytes */{_size(part)}":
        part.unlink()
        raise _Interrupted("the part that was here is longer than the file; it was deleted")


def _check_range(response: HTTPResponse, part: Path) -> None:
    content_range = response.headers.get("Content-Range", "")
    if not re.match(rf"bytes {_size(part)}-", content_range):
        response.close()
        part.unlink()
        raise _Interrupted(f"the server sent another piece than was asked for ({content_range!r})")


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    """The body, piece by piece. Only reading can be interrupted; a full disk is another matter."""
    from http.client import HTTPException

    while True:
        try:
            piece = response.read(PIECE)
        except (OSError, HTTPException) as error:
            raise _Interrupted(f"the line broke ({error or type(error).__name__})") from error
        if not piece:
            return
        yield piece


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def sha256_of(path: Path) -> str:
    """The hash of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


class ProgressLine:
    """How far a download is: percent, megabytes, speed, time left.

    On a terminal one line is written over and over; elsewhere (a log file, a notebook) a new line
    comes now and then.

    Args:
        title: what is loaded.
        start: bytes that were there already.
        total: bytes of the whole file, or None if the server does not say.
        stream: where to write; standard error if not given.
        clock: seconds that pass, to be replaced in tests.
    """

    def __init__(
        self,
        title: str,
        start: int,
        total: int | None,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.start, self.total = title, start, total
        self.stream = stream or sys.stderr
        self.clock = clock
        self.on_terminal = self.stream.isatty()
        self.pause = 0.1 if self.on_terminal else 10.0  # seconds between two lines
        self.done = start
        self.began = self.last = clock()

    def add(self, count: int) -> None:
        """Count bytes that have arrived; show them if the last line is old enough."""
        self.done += count
        if self.clock() - self.last >= self.pause:
            self.last = self.clock()
            self._write("" if self.on_terminal else "\n")

    def close(self) -> None:
        """Show where it ended, and end the line."""
        self._write("\n")

    def _write(self, end: str) -> None:
        line = f"\r{self.text():<78}" if self.on_terminal else self.text()
        print(line, end=end, file=self.stream, flush=True)

    def text(self) -> str:
        """The line itself.

        >>> clock = iter([0.0, 2.0, 2.0]).__next__
        >>> progress = ProgressLine("photos.tar.gz", 0, 8_000_000, clock=clock)
        >>> progress.done = 2_000_000
        >>> progress.text()
        'photos.tar.gz: 25 %, 2.0 of 8.0 MB, 1.0 MB/s, 0:06 left'
        """
        speed = (self.done - self.start) / max(self.clock() - self.began, 1e-3)
        shown = f"{self.done / 1e6:.1f}"
        if self.total is None:
            return f"{self.title}: {shown} MB, {speed / 1e6:.1f} MB/s"
        percent = 100 * self.done // max(self.total, 1)
        seconds = round((self.total - self.done) / speed) if speed else None
        return (
            f"{self.title}: {percent} %, {shown} of {self.total / 1e6:.1f} MB, "
            f"{speed / 1e6:.1f} MB/s, {_clock_time(seconds)} left"
        )


def _clock_time(seconds: int | None) -> str:
    """0:06, 12:34 or 1:02:03; ? if nobody can know."""
    if seconds is None:
        return "?"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
