"""A day's mistakes on a service in a process of its own: nothing dies, and nothing is left."""

import asyncio
import json
import shutil
import socket
import struct
import time

import httpx
import pytest
from small_service import flat_png, photograph
from watched_process import command

from sam_mprompt.resources import bundled

pytestmark = pytest.mark.slow

DEMO = bundled("adapters") / "demo"
IMAGE = photograph(size=(96, 128), kind="JPEG")
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n" * 500


def post(address, content, kind="image/jpeg", **more):
    headers = {"Content-Type": kind, **more.pop("headers", {})}
    return httpx.post(f"{address}/count", content=content, headers=headers, timeout=120, verify=False, **more)


def status(address, content, **more):
    """The status of an answer; 413 where the service stopped listening before all was sent."""
    try:
        return post(address, content, **more).status_code
    except httpx.WriteError:
        return 413


def counted(address):
    """The count; asked for again while the service says that it is busy."""
    end = time.monotonic() + 120
    while (answer := post(address, IMAGE)).status_code in (429, 503, 504) and time.monotonic() < end:
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    assert answer.status_code == 200, answer.text
    return answer.json()["count"]


def line(address):
    url = httpx.URL(address)
    return socket.create_connection((url.host, url.port), timeout=60)


def head(length, *more):
    lines = "POST /count HTTP/1.1", "Host: localhost", "Content-Type: image/jpeg", f"Content-Length: {length}", *more
    return "\r\n".join([*lines, "", ""]).encode()


def hang_up(connection):
    """Close a connection as a machine does that has crashed: at once, with what is on its way lost."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def at_once(address, number):
    limits = httpx.Limits(max_connections=number)
    async with httpx.AsyncClient(limits=limits, timeout=300, verify=False) as client:
        headers = {"Content-Type": "image/jpeg"}
        asked = [client.post(f"{address}/count", content=IMAGE, headers=headers) for _ in range(number)]
        return [response.status_code for response in await asyncio.gather(*asked)]


def pieces(megabytes):
    for _ in range(megabytes):
        yield bytes(1_000_000)


def a_day(address):
    assert status(address, bytes(100_000_000)) == 413
    assert status(address, pieces(100)) == 413
    assert post(address, PDF, "application/pdf").status_code == 415
    assert post(address, PDF).status_code == 422
    assert "30000x30000 pixels" in post(address, flat_png(30_000, 30_000), "image/png").json()["detail"]
    for part in (0, 100, len(IMAGE) // 2, len(IMAGE)):
        leaving = line(address)
        leaving.sendall(head(len(IMAGE)) + IMAGE[:part])
        hang_up(leaving)
    leaving = line(address)
    leaving.sendall(head(len(IMAGE), "Accept: image/png") + IMAGE)
    assert leaving.recv(100).startswith(b"HTTP/1.1 200 ")
    hang_up(leaving)
    statuses = asyncio.run(at_once(address, 500))
    assert len(statuses) == 500
    assert set(statuses) <= {200, 429, 503, 504}  # the last two where the machine is too busy to answer in time
    assert 200 in statuses
    idle = [line(address) for _ in range(600)]
    count = counted(address)
    for one in idle:
        one.close()
    return count


def test_after_a_day_of_mistakes_a_service_counts_as_before_and_holds_what_it_held(tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    with command(tmp_path, "serve", folder, "--port", 0, "--queue", 16, "--timeout", 300, says='"listening"') as (
        process,
        told,
    ):
        address = f"http://127.0.0.1:{json.loads(told)['port']}"
        before = pytest.approx(counted(address), rel=1e-5)
        time.sleep(2)  # until its end of what was asked is closed
        files = process.files()
        assert a_day(address) == before
        assert process.holds_beyond(files) == []
        shutil.rmtree(folder)
        threads, memory = process.threads(), process.megabytes()
        assert a_day(address) == before
        assert process.holds_beyond(files) == []
        assert process.threads() <= threads
        assert process.megabytes() - memory < 50
        assert process.temporary_files() == []
        assert httpx.get(f"{address}/healthz").status_code == 200
        metrics = httpx.get(f"{address}/metrics").text
    assert "sam_mprompt_inside 0.0" in metrics
    assert "sam_mprompt_held_bytes 0.0" in metrics
    assert '"fault"' not in (tmp_path / "log").read_text()
