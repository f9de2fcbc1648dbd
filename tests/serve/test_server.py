"""A service on a port of this machine: the mistakes of a day, and how it ends."""

import asyncio
import errno
import io
import json
import os
import shutil
import signal
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from pooling_backend import noise
from small_service import (
    PoolingCounter,
    eventually,
    file_of,
    flat_png,
    listening,
    memory_files,
    open_descriptors,
    photograph,
    small_service,
)

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.serve.limits import Limits
from sam_mprompt.serve.loading import load_all, loader
from sam_mprompt.serve.logs import json_lines
from sam_mprompt.serve.server import check_address, is_loopback, run, token_of
from sam_mprompt.serve.service import Service

BODY = {"Content-Type": "image/png"}


def post(address, content, **options):
    return httpx.post(f"{address}/count", content=content, headers=BODY, timeout=60, verify=False, **options)


def answered(address):
    response = post(address, photograph())
    return response.status_code == 200 and response.json()["count"] > 0


def raw(address, text):
    """Open a connection and send what stands there."""
    url = httpx.URL(address)
    connection = socket.create_connection((url.host, url.port), timeout=30)
    connection.sendall(text)
    return connection


def head(length, path="/count"):
    lines = f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {length}", "", ""
    return "\r\n".join(lines).encode()


def test_requests_over_one_connection_are_answered():
    with listening(small_service()) as (_, address), httpx.Client(base_url=address, verify=False) as client:
        counts = {client.post("/count", content=photograph(), headers=BODY).json()["count"] for _ in range(3)}
        assert len(counts) == 1
        assert client.get("/readyz").json() == {"status": "ready"}
        assert "server" not in client.get("/healthz").headers


def test_a_client_that_hangs_up_while_it_waits_is_not_counted_for():
    counter = PoolingCounter()
    counter.gate.clear()
    service = small_service(counter)
    before = memory_files()
    image = photograph()
    with listening(service) as (_, address), ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, address, photograph(1))
        assert counter.begun.wait(10)
        leaving = raw(address, head(len(image)) + image)
        eventually(lambda: service.waiting == 1)
        leaving.close()
        eventually(lambda: service.waiting == 0)
        eventually(lambda: service.admission.inside == 1)
        counter.gate.set()
        assert first.result().status_code == 200
        assert answered(address)
        assert sum(images for _, images in counter.calls) == 2
        eventually(lambda: memory_files() == before)


def test_a_client_that_hangs_up_in_the_middle_of_its_image_leaves_nothing():
    stream = io.StringIO()
    service = small_service()
    image = photograph()
    with json_lines(stream), listening(service) as (_, address):
        leaving = raw(address, head(len(image)) + image[:100])
        eventually(lambda: service.admission.bytes == 100)
        leaving.close()
        eventually(lambda: (service.admission.inside, service.admission.bytes) == (0, 0))
        assert answered(address)
    statuses = [json.loads(line).get("status") for line in stream.getvalue().splitlines()]
    assert [status for status in statuses if status] == [499, 200]


def test_more_requests_at_once_than_are_taken_are_all_answered():
    crowd(requests=60, queue=8)


@pytest.mark.slow
def test_five_hundred_requests_at_once_are_all_answered():
    crowd(requests=500, queue=64)


def crowd(*, requests, queue):
    """Send requests at once to a counter that waits until the queue is full: some are counted, the others refused."""
    counter = PoolingCounter()
    counter.gate.clear()
    service = small_service(counter, queue=queue)
    image = photograph()
    files = len(open_descriptors())

    async def together(address):
        limits = httpx.Limits(max_connections=requests)
        async with httpx.AsyncClient(limits=limits, timeout=120, verify=False) as client:
            sent = [
                asyncio.create_task(client.post(f"{address}/count", content=image, headers=BODY))
                for _ in range(requests)
            ]
            while sum(task.done() for task in sent) < requests - queue:
                await asyncio.sleep(0.01)
            counter.gate.set()
            return await asyncio.gather(*sent)

    with listening(service) as (_, address):
        responses = asyncio.run(together(address))
        statuses = [response.status_code for response in responses]
        assert (statuses.count(200), statuses.count(429)) == (queue, requests - queue)
        assert len({response.json()["count"] for response in responses if response.status_code == 200}) == 1
        assert all(int(r.headers["retry-after"]) >= 1 for r in responses if r.status_code == 429)
        assert answered(address)
        assert service.admission.inside == 0
    eventually(lambda: len(open_descriptors()) <= files + 2)


def test_a_file_of_too_many_bytes_is_refused_before_it_is_sent():
    too_large(content=1 << 21, limit=1 << 16)


@pytest.mark.slow
def test_a_file_of_100_megabytes_is_refused_before_it_is_sent():
    too_large(content=100_000_000, limit=32_000_000)


def too_large(*, content, limit):
    with listening(small_service(max_bytes=limit)) as (_, address):
        waiting = raw(address, head(content))
        answer = ""
        while not answer.endswith("}"):
            answer += waiting.recv(4096).decode()
        waiting.close()
        assert answer.startswith("HTTP/1.1 413 ")
        assert f"at most {limit} bytes, got {content}" in answer
        tracemalloc.start()
        impatient = raw(address, head(content))  # sends all the same
        piece = bytes(1 << 16)
        for _ in range(content >> 16):
            impatient.sendall(piece)
        assert impatient.recv(4096).startswith(b"HTTP/1.1 413 ")
        impatient.close()
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()
        assert answered(address)


@pytest.mark.slow
def test_a_picture_of_30000_by_30000_pixels_is_refused_in_no_time():
    content = flat_png(30_000, 30_000)
    with listening(small_service()) as (_, address):
        started = time.monotonic()
        response = post(address, content)
        assert time.monotonic() - started < 5
        assert response.status_code == 422
        assert "has 30000x30000 pixels" in response.json()["detail"]
        assert answered(address)


def test_adapters_that_are_deleted_underneath_count_on(trained_run, tmp_path):
    folder = tmp_path / "station"
    shutil.copytree(trained_run / "adapter", folder)
    service = Service(load_all({"station": str(folder)}, loader(device="cpu")), Limits())
    image = file_of(noise(80, 75))
    with listening(service) as (_, address):
        before = post(address, image).json()
        shutil.rmtree(folder)
        assert post(address, image).json() == before
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_where_there_is_no_room_for_a_request_it_is_told_and_the_next_one_is_counted(monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with listening(small_service()) as (_, address):
        with monkeypatch.context() as patch:
            patch.setattr(os, "memfd_create", full)
            response = post(address, photograph())
        assert response.status_code == 503
        assert response.json()["type"].endswith(":no-space")
        assert answered(address)


def test_what_is_no_http_is_refused_and_does_no_harm():
    with listening(small_service()) as (_, address):
        for text in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000,
        ):
            connection = raw(address, text)
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
            connection.close()
        assert answered(address)


def test_the_end_answers_what_was_let_in_and_refuses_what_comes_later():
    counter = PoolingCounter()
    counter.gate.clear()
    service = small_service(counter)
    with listening(service) as (server, address), ThreadPoolExecutor(4) as pool:
        kept = httpx.Client(base_url=address, verify=False)
        kept.get("/readyz")
        inside = [pool.submit(post, address, photograph(seed)) for seed in range(3)]
        eventually(lambda: service.admission.inside == 3)
        server.handle_exit(signal.SIGTERM, None)
        with pytest.raises(httpx.HTTPError):
            eventually(lambda: post(address, photograph()).status_code != 503)
        counter.gate.set()
        assert [answer.result().status_code for answer in inside] == [200, 200, 200]
        kept.close()


def test_a_process_ends_with_its_server_and_sigterm_is_no_failure():
    service = small_service()

    def stop():
        eventually(lambda: stream.getvalue().count('"listening"'))
        os.kill(os.getpid(), signal.SIGTERM)

    stream = io.StringIO()
    stopping = threading.Thread(target=stop)
    before = signal.getsignal(signal.SIGTERM)
    with json_lines(stream):
        stopping.start()
        run(service, host="127.0.0.1", port=0)
    stopping.join(10)
    assert signal.getsignal(signal.SIGTERM) is before
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()][-1] == "ended"
    assert service.fault() is not None


def test_a_port_that_is_taken_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunError, match="Cannot listen at 127"):
            run(small_service(), host="127.0.0.1", port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("camera", False),
    ],
)
def test_other_addresses_than_this_machines_own_ask_for_a_token(host, own):
    assert is_loopback(host) == own
    check_address(host, "a-token-of-sixteen", without_token=False)
    check_address(host, None, without_token=True)
    if own:
        check_address(host, None, without_token=False)
    else:
        with pytest.raises(UsageError, match="Expected a token where others reach the service"):
            check_address(host, None, without_token=False)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text("from-a-file-of-its-own\n")
    variable = {"SAM_MPROMPT_TOKEN": "from-the-environment"}
    assert token_of(file, variable) == "from-a-file-of-its-own"
    assert token_of(None, variable) == "from-the-environment"
    assert token_of(None, {}) is None
    for wrong in ("", "short", "with a blank in it, and long", "x" * 5000, "ümlaute-sind-keine-zeichen"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(UsageError, match="16 to 4096 visible ASCII") as told:
            token_of(file, {})
        assert wrong == "" or wrong not in str(told.value)
    with pytest.raises(UsageError, match=r"Cannot read the token from '.*nowhere'"):
        token_of(Path(tmp_path / "nowhere"), {})


def test_names_that_are_led_to_this_machine_are_not_answered_to_where_there_is_no_token():
    with listening(small_service()) as (_, address):
        assert httpx.get(f"{address}/adapters", headers={"Host": "evil.example"}).status_code == 400
        assert httpx.get(f"{address}/adapters", headers={"Host": "localhost:1"}).status_code == 200
    with listening(small_service(), token="a-token-of-sixteen") as (_, address):
        headers = {"Host": "camera.example", "Authorization": "Bearer a-token-of-sixteen"}
        assert httpx.get(f"{address}/adapters", headers=headers).status_code == 200
