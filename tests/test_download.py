"""Downloads: resumed, tried again, believed only by their hash; progress and locks."""

import hashlib
import io
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from loopback import serve

from minicnn.datasets import cache
from minicnn.datasets.download import DownloadError, Patience, ProgressLine, download

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes, so several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IMPATIENT = Patience(tries=3, wait=0.001, timeout=5)


@pytest.fixture
def server():
    with serve(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "photos.tar.gz"


def part_of(target: Path) -> Path:
    return target.with_name("photos.tar.gz.part")


def test_a_file_arrives_whole_and_leaves_no_part(server, target):
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == ["photos.tar.gz"]
    assert server.requests == ["all"]


def test_a_download_goes_on_from_the_part_of_an_earlier_run(server, target):
    part_of(target).write_bytes(CONTENT[:100_000])
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["bytes=100000-"]


def test_a_broken_line_is_resumed_where_it_broke(server, target, capsys):
    server.cuts = [200_000]
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["all", "bytes=200000-"]
    assert "the line broke after 200000 of 512000 bytes. Trying again" in capsys.readouterr().err


def test_a_line_that_breaks_often_but_brings_new_bytes_is_not_given_up(server, target):
    server.cuts = [50_000] * 9
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 10 > IMPATIENT.tries


def test_a_server_that_cannot_resume_sends_everything_again(server, target):
    server.with_range = False
    server.cuts = [200_000]
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["all", "bytes=200000-"]


def test_a_server_that_cannot_resume_and_always_breaks_is_given_up(server, target):
    server.with_range = False
    server.cuts = [200_000] * 9
    with pytest.raises(DownloadError, match="the line broke after 200000 of 512000 bytes, 3 times"):
        download(server.url, target, SHA256, IMPATIENT)
    assert not target.exists()


def test_a_server_that_does_not_say_the_length_is_believed_by_the_hash(server, target):
    server.with_length = False
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT


def test_a_wrong_hash_deletes_the_file_and_says_so(server, target):
    wrong = "0" * 64
    with pytest.raises(DownloadError, match=f"sha256 {SHA256}, but {wrong} was expected; it was d"):
        download(server.url, target, wrong, IMPATIENT)
    assert list(target.parent.iterdir()) == []


def test_a_missing_page_is_not_asked_for_again(server, target):
    server.statuses = [404] * 3
    with pytest.raises(DownloadError, match="photos.tar.gz: the server answers 404 Not Found"):
        download(server.url, target, SHA256, IMPATIENT)
    assert server.requests == ["all"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, target, status):
    server.statuses = [status]
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up_and_the_part_is_kept(server, target):
    part_of(target).write_bytes(CONTENT[:100_000])
    server.statuses = [503] * 9
    with pytest.raises(DownloadError, match="503 Service Unavailable, 3 times in a row"):
        download(server.url, target, SHA256, IMPATIENT)
    assert part_of(target).read_bytes() == CONTENT[:100_000]


def test_the_pauses_double(server, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server.statuses = [503] * 3
    download(server.url, target, SHA256, Patience(tries=4, wait=1, timeout=5))
    assert pauses == [1, 2, 4]


def test_no_server_is_said_to_be_no_connection(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/photos.tar.gz"
    with pytest.raises(DownloadError, match=r"no connection \(.*refused\), 3 times in a row"):
        download(url, target, SHA256, IMPATIENT)


def test_a_silent_server_is_given_up(server, target):
    server.silence.clear()
    with pytest.raises(DownloadError, match=r"no connection \(timed out\), 1 times in a row"):
        download(server.url, target, SHA256, Patience(tries=1, wait=0, timeout=0.05))


def test_a_part_that_is_whole_already_is_used(server, target):
    part_of(target).write_bytes(CONTENT)
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["bytes=512000-"]


def test_a_part_that_is_too_long_is_thrown_away(server, target):
    part_of(target).write_bytes(CONTENT + b"more")
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["bytes=512004-", "all"]


def test_a_piece_from_another_place_is_not_glued_on(server, target):
    part_of(target).write_bytes(CONTENT[:100_000])
    server.wrong_range = True
    download(server.url, target, SHA256, IMPATIENT)
    assert target.read_bytes() == CONTENT
    assert server.requests == ["bytes=100000-", "all"]


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://host/photos.tar.gz", "photos.tar.gz"])
def test_only_web_addresses_are_accepted(url, target):
    with pytest.raises(ValueError, match=f"must begin with http:// or https://, but is '{url}'"):
        download(url, target, SHA256, IMPATIENT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_reported_at_once_and_not_taken_for_a_broken_line(server, target):
    part_of(target).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        download(server.url, target, SHA256, IMPATIENT)
    assert server.requests == ["all"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def shown(stream, start=0, total=10_000_000, seconds=(1, 1)):
    """What appears on `stream` when a megabyte arrives after each of the `seconds`."""
    clock = Clock()
    progress = ProgressLine("photos", start, total, stream, clock)
    for pause in seconds:
        clock.now += pause
        progress.add(1_000_000)
    progress.close()
    return stream.getvalue()


def test_on_a_terminal_progress_is_one_line_written_over_and_over():
    text = shown(Terminal())
    assert text.count("\n") == 1 and text.endswith("\n")
    assert [line.strip() for line in text.split("\r")[1:3]] == [
        "photos: 10 %, 1.0 of 10.0 MB, 1.0 MB/s, 0:09 left",
        "photos: 20 %, 2.0 of 10.0 MB, 1.0 MB/s, 0:08 left",
    ]


def test_in_a_log_progress_is_a_line_now_and_then():
    text = shown(io.StringIO(), seconds=[1] * 9)
    assert text == "photos: 90 %, 9.0 of 10.0 MB, 1.0 MB/s, 0:01 left\n"
    assert shown(io.StringIO(), seconds=[10, 10]).count("\n") == 3
    assert "\r" not in text


def test_the_speed_of_a_resumed_download_counts_new_bytes_only():
    text = shown(io.StringIO(), start=5_000_000, seconds=[2])
    assert text == "photos: 60 %, 6.0 of 10.0 MB, 0.5 MB/s, 0:08 left\n"


def test_progress_without_a_total_shows_what_it_knows():
    assert shown(io.StringIO(), total=None) == "photos: 2.0 MB, 1.0 MB/s\n"


def test_hours_are_shown_as_hours():
    assert "2:46:40 left" in shown(io.StringIO(), total=10_001_000_000, seconds=[1])


def test_a_download_shows_its_progress(server, target, capsys):
    download(server.url, target, SHA256, IMPATIENT)
    line = r"photos\.tar\.gz: 100 %, 0\.5 of 0\.5 MB, [\d.]+ MB/s, 0:00 left\n"
    assert re.fullmatch(line, capsys.readouterr().err)


def test_a_second_process_waits_for_the_lock(tmp_path):
    order = []

    def second():
        with cache.one_process_at_a_time(tmp_path / "lock") as waited:
            order.append(("second", waited))

    with cache.one_process_at_a_time(tmp_path / "lock") as waited:
        order.append(("first", waited))
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.15)
        assert thread.is_alive() and len(order) == 1
    thread.join()
    assert order == [("first", False), ("second", True)]


def test_storing_is_all_or_nothing(tmp_path, monkeypatch):
    def full_disk(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        cache.store({"data": b"1"}, tmp_path / "photos")
    assert list(tmp_path.iterdir()) == []


def test_storing_over_another_folder_sets_it_aside(tmp_path, capsys):
    cache.store({"data": b"old"}, tmp_path / "photos")
    cache.store({"data": b"new"}, tmp_path / "photos")
    assert (tmp_path / "photos" / "data").read_bytes() == b"new"
    (aside,) = tmp_path.glob("photos.damaged-*")
    assert (aside / "data").read_bytes() == b"old"
    assert f"photos was damaged; it is replaced, and the old one is now {aside}" in (
        capsys.readouterr().err
    )


def test_storing_the_same_again_changes_nothing(tmp_path):
    cache.store({"data": b"1"}, tmp_path / "photos")
    cache.store({"data": b"1"}, tmp_path / "photos")
    assert [folder.name for folder in tmp_path.iterdir()] == ["photos"]
