import errno
import hashlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sam_mprompt.bases import download as module
from sam_mprompt.bases.download import download
from sam_mprompt.bases.pull import fetch as fetch_base
from sam_mprompt.bases.pull import pull
from sam_mprompt.errors import RunError, UsageError

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`, and misbehaves as the test asks."""

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        time.sleep(server.delay)
        if server.status:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.resumes else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.tells_length:
            self.send_header("Content-Length", server.length or str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut])

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    content, cut, status, resumes, tells_length, delay = CONTENT, None, 0, True, True, 0.0
    length: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/sam.pth"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


fetch = partial(download, size=len(CONTENT), sha256=SHA256)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_arrives_whole_and_progress_counts_its_bytes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4096)
    seen: list[tuple[int, int]] = []
    target = tmp_path / "new" / "folder" / "sam.pth"
    fetch(server.url, target, progress=lambda *done: seen.append(done))
    assert target.read_bytes() == CONTENT
    assert files(target.parent) == ["sam.pth"]
    assert seen == [(4096, 10240), (8192, 10240), (10240, 10240)]
    assert server.ranges == [None]


@example(have=len(CONTENT) + 5, resumes=True, tells_length=True)
@example(have=len(CONTENT), resumes=True, tells_length=True)
@given(have=st.integers(0, len(CONTENT) + 5), resumes=st.booleans(), tells_length=st.booleans())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_download_continues_from_any_point(
    have: int, resumes: bool, tells_length: bool, server: Server, tmp_path: Path
) -> None:
    server.ranges, server.resumes, server.tells_length = [], resumes, tells_length
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    (tmp_path / "sam.pth.part").write_bytes((CONTENT + b"extra")[:have])
    seen = [0]
    fetch(server.url, tmp_path / "sam.pth", progress=lambda done, _: seen.append(done))
    assert (tmp_path / "sam.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["sam.pth"]
    if have == len(CONTENT):
        assert server.ranges == []
    else:
        partial_file = 0 < have < len(CONTENT)
        assert server.ranges == [f"bytes={have}-" if partial_file else None]
        assert seen[1] == len(CONTENT)


def test_a_broken_connection_keeps_what_arrived_and_the_next_call_continues(server: Server, tmp_path: Path) -> None:
    server.cut = 4000
    with pytest.raises(RunError, match=r"broke after 4,000 of 10,240 bytes.*Run the command again"):
        fetch(server.url, tmp_path / "sam.pth")
    assert files(tmp_path) == ["sam.pth.part"]
    server.cut = None
    fetch(server.url, tmp_path / "sam.pth")
    assert server.ranges == [None, "bytes=4000-"]
    assert (tmp_path / "sam.pth").read_bytes() == CONTENT


def test_content_with_another_hash_is_deleted_and_both_hashes_are_named(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(RunError) as refused:
        fetch(server.url, tmp_path / "sam.pth")
    assert hashlib.sha256(server.content).hexdigest() in str(refused.value)
    assert SHA256 in str(refused.value)
    assert "deleted" in str(refused.value)
    assert files(tmp_path) == []


def test_a_page_of_another_size_is_refused_before_it_is_stored(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam.pth.part").write_bytes(CONTENT[:100])
    server.content, server.resumes = b"<html>Log in</html>", False
    with pytest.raises(UsageError, match=r"offers 19 bytes instead of 10,240: perhaps a login page.*put sam.pth"):
        fetch(server.url, tmp_path / "sam.pth")
    assert (tmp_path / "sam.pth.part").read_bytes() == CONTENT[:100]


@pytest.mark.parametrize("length", ["many", "-1", "9" * 5000, "1e9", ""])
def test_a_length_that_is_no_number_is_another_file(server: Server, tmp_path: Path, length: str) -> None:
    server.length = length or " "
    with pytest.raises(UsageError, match=r"Cannot fetch|offers (\?|[\d,]+) bytes instead of"):
        download(server.url, tmp_path / "sam.pth", size=len(CONTENT), sha256=SHA256)
    assert not (tmp_path / "sam.pth").exists()


@pytest.mark.parametrize("status", [403, 404, 416, 500])
def test_a_refusing_server_is_quoted_with_what_to_put_where(status: int, server: Server, tmp_path: Path) -> None:
    server.status = status
    with pytest.raises(UsageError, match=rf"Cannot fetch {server.url} \(") as refused:
        fetch(server.url, tmp_path / "sam.pth")
    assert f"sam.pth (10,240 bytes, SHA-256 {SHA256}) into '{tmp_path}'" in str(refused.value)


def test_a_damaged_file_is_replaced_only_by_a_whole_one(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "sam.pth"
    target.write_bytes(b"old")
    server.cut = 10
    with pytest.raises(RunError):
        fetch(server.url, target)
    assert target.read_bytes() == b"old"
    server.cut = None
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT


def test_an_intact_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        fetch(server.url, tmp_path / "sam.pth")
    assert len(server.ranges) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks there")
def test_of_several_callers_one_downloads(server: Server, tmp_path: Path) -> None:
    server.delay = 0.05
    callers = [threading.Thread(target=fetch, args=(server.url, tmp_path / "sam.pth")) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(server.ranges) == 1
    assert (tmp_path / "sam.pth").read_bytes() == CONTENT


def test_too_little_room_is_noticed_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(RunError, match="room for 100 bytes and 10,240 are needed"):
        fetch(server.url, tmp_path / "sam.pth")
    assert server.ranges == []


def test_a_disk_that_fills_up_keeps_what_arrived(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4096)

    def fill(done: int, _: int) -> None:
        if done > 8000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"No space left on device. Make room for 10,240 bytes"):
        fetch(server.url, tmp_path / "sam.pth", progress=fill)
    assert (tmp_path / "sam.pth.part").read_bytes() == CONTENT[:8192]


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"Cannot write '.*file/sam.pth.part'"):
        fetch(server.url, tmp_path / "file" / "sam.pth")


def test_pull_and_obtain_fetch_a_registered_checkpoint(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_MPROMPT_CHECKPOINTS", str(tmp_path / "cache"))
    registry = tmp_path / "registry.toml"
    registry.write_text(
        f"[sam]\nfile = 'sam.pth'\nurl = '{server.url}'\nsize = {len(CONTENT)}\nsha256 = '{SHA256}'\n"
        "licence = 'Apache-2.0'\ndescription = 'for tests'\n",
        encoding="utf-8",
    )
    target = tmp_path / "cache" / "sam.pth"
    seen: list[tuple[int, int]] = []
    assert pull("sam", registry=registry, progress=lambda *done: seen.append(done)) == target
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    target.write_bytes(CONTENT[::-1])  # damaged without another size: only pull looks that closely
    assert pull("sam", registry=registry) == target
    assert target.read_bytes() == CONTENT
    target.write_bytes(b"cut")
    assert fetch_base("sam", registry=registry) == target
    assert target.read_bytes() == CONTENT
