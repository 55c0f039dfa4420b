"""A web server on this machine that fails on command, for the tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback(ThreadingHTTPServer):
    """Serves `content` at any path but those of `others`.

    Args:
        content: the one file.

    Attributes:
        others: file name -> content, for addresses that end with that name.
        statuses: answers to give, one for each request to come, before the server works normally.
        cuts: for each request to come, after how many bytes the line breaks.
        with_range: whether the server can begin in the middle.
        wrong_range: whether it begins at another byte than it was asked for.
        with_length: whether it says how long the file is.
        silence: seconds to wait before each answer.
        requests: what was asked for, the Range of each request or "all".
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.others: dict[str, bytes] = {}
        self.statuses: list[int] = []
        self.cuts: list[int] = []
        self.with_range, self.wrong_range, self.with_length = True, False, True
        self.silence = threading.Event()
        self.silence.set()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """The address of the file."""
        return f"http://127.0.0.1:{self.server_port}/photos.tar.gz"


class _Handler(BaseHTTPRequestHandler):
    server: Loopback

    def do_GET(self) -> None:  # noqa: N802
        wanted = self.headers.get("Range", "all")
        self.server.requests.append(wanted)
        self.server.silence.wait(5)
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        start = 0
        if wanted != "all" and self.server.with_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        content = self.server.others.get(self.path.rsplit("/", 1)[-1], self.server.content)
        size = len(content)
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(content, start)

    def _send(self, content: bytes, start: int) -> None:
        size = len(content)
        self.send_response(206 if start else 200)
        if start:
            said = start + 1 if self.server.wrong_range else start
            self.send_header("Content-Range", f"bytes {said}-{size - 1}/{size}")
        if self.server.with_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        length = self.server.cuts.pop(0) if self.server.cuts else size
        self.wfile.write(content[start : start + length])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""


@contextmanager
def serve(content: bytes) -> Iterator[Loopback]:
    """Run a server for as long as the `with` block lasts."""
    with Loopback(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.silence.set()
            server.shutdown()
            thread.join()
