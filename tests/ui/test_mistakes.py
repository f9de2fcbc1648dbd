"""A day's mistakes on the page in a process of its own: nothing dies, and nothing is left."""

import re
import shutil
import socket
import struct
import time

import httpx
import pytest
from small_service import flat_png, photograph
from watched_process import command

from sam_mprompt.files import write_text
from sam_mprompt.resources import bundled

pytestmark = pytest.mark.slow

DEMO = bundled("adapters") / "demo"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n" * 500


class Browser:
    """Asks as the page's scripts do."""

    def __init__(self, address):
        self.address = httpx.URL(address)
        self.http = httpx.Client(base_url=address, timeout=120, verify=False)

    def open(self, content, name="a.jpg"):
        """The answer to an upload; None where the page stopped listening before all was sent."""
        try:
            return self.http.post("/api/photos", files={"image": (name, content)})
        except httpx.WriteError:
            return None

    def count(self, content, adapter="demo"):
        photo = self.open(content).json()["id"]
        return self.http.post(f"/api/photos/{photo}/count", json={"adapter": adapter})

    def leave(self, path, length, content):
        """Begin to send something, and hang up as a machine does that has crashed."""
        lines = f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/octet-stream"
        connection = socket.create_connection((self.address.host, self.address.port), timeout=60)
        connection.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + content)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def send(self, path, content):
        """Send a video, again while the page says that others are being received."""
        end = time.monotonic() + 120
        while (answer := self.http.post(path, content=content)).status_code == 429 and time.monotonic() < end:
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def announce(self, path, length):
        """What is answered to the head of a request whose body is not sent."""
        host = f"{self.address.host}:{self.address.port}"
        lines = f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}", "", ""
        with socket.create_connection((self.address.host, self.address.port), timeout=60) as connection:
            connection.sendall("\r\n".join(lines).encode())
            return connection.recv(100)


def is_refused(answer, status, said=""):
    return answer is None or (answer.status_code == status and said in answer.json()["detail"])


def a_day(browser):
    assert is_refused(browser.open(bytes(100_000_000)), 413)
    assert is_refused(browser.open(PDF, "a.pdf"), 422, "'a.pdf': it is not an image of a known kind")
    assert is_refused(browser.open(flat_png(30_000, 30_000), "huge.png"), 422, "30000x30000 pixels")
    film = "/api/videos?name=a.mp4&adapter=demo"
    assert b" 413 " in browser.announce(film, 600_000_000)
    for part in (0, 1000, 50_000):
        browser.leave("/api/photos", 100_000, bytes(part))
        browser.leave(film, 100_000, bytes(part))
    sent = browser.send(film, PDF)
    while (told := browser.http.get(f"/api/videos/{sent}").json())["state"] == "counting":
        pass
    assert told["state"] == "failed"
    for _ in range(40):  # more than are held
        assert browser.open(photograph(), "b.png").status_code == 200
    return browser.count(photograph(size=(96, 128), kind="JPEG")).json()["count"]


def test_after_a_day_of_mistakes_the_page_counts_as_before_and_holds_what_it_held(tmp_path):
    workspace = tmp_path / "page"
    trained, other = (workspace / "runs" / name for name in ("market", "square"))
    for run in (trained, other):
        shutil.copytree(DEMO, run / "adapter")
        write_text(run / "overlay.jpg", "")
    words = "ui", DEMO, "--workspace", workspace, "--port", 0, "--device", "cpu"
    with command(tmp_path, *words, says="in a browser") as (process, told):
        browser = Browser(re.search(r"http://[\d.:]+/", told)[0])
        browser.http.headers["Connection"] = "close"
        before = a_day(browser)
        threads, memory, files = process.threads(), process.megabytes(), process.files()
        assert browser.count(photograph(), "market").status_code == 200
        shutil.rmtree(trained)  # while it is loaded
        assert browser.count(photograph(), "market").status_code == 200
        shutil.rmtree(other)  # before it is
        assert is_refused(browser.count(photograph(), "square"), 422, "No adapter 'square'")
        assert is_refused(browser.count(photograph(), "nothing"), 422, "No adapter 'nothing'")
        assert a_day(browser) == pytest.approx(before, abs=1e-3)
        assert process.holds_beyond(files) == []
        assert process.threads() <= threads
        assert process.megabytes() - memory < 100
        assert process.temporary_files() == []
        assert browser.http.get("/").status_code == 200
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()
