"""What stands before every request."""

import asyncio
import io
import json
import time

import pytest
from small_service import asking, photograph, problem, small_service

from sam_mprompt.serve.guard import Guard
from sam_mprompt.serve.limits import Limits
from sam_mprompt.serve.logs import json_lines
from sam_mprompt.serve.metrics import Metrics

TOKEN = "a-token-of-sixteen-and-more"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/adapters", "/metrics", "/openapi.json", "/nowhere"])
def test_without_the_token_nothing_is_answered_but_the_two_states(path):
    with asking(token=TOKEN) as client:
        for headers in ({}, bearer("another"), bearer(TOKEN + "x"), {"Authorization": f"Basic {TOKEN}"}):
            response = client.run(client.get(path, headers=headers))
            assert "Authorization: Bearer" in problem(response, 401, "unauthorised")
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.run(client.get(path, headers=bearer(TOKEN))).status_code == (404 if path == "/nowhere" else 200)
        assert client.run(client.get("/healthz")).json() == {"status": "ok"}
        assert client.run(client.get("/readyz")).json() == {"status": "ready"}


def test_an_image_of_somebody_without_the_token_is_neither_read_nor_counted():
    async def never():
        raise AssertionError("it was read")
        yield b""

    with asking(token=TOKEN) as client:
        problem(client.run(client.count(never())), 401, "unauthorised")
        assert client.run(client.count(photograph(), headers=bearer(TOKEN))).status_code == 200


@pytest.mark.parametrize(("host", "known"), [("localhost:8000", True), ("[::1]:80", True), ("evil.example", False)])
def test_a_name_that_is_led_to_this_machine_is_not_answered_to(host, known):
    with asking(hosts={"localhost", "[::1]"}) as client:
        response = client.run(client.get("/adapters", headers={"Host": host}))
        assert response.status_code == (200 if known else 400)
        if not known:
            assert "evil.example" in problem(response, 400, "unknown-host")


def test_a_request_has_a_number_which_its_sender_may_choose():
    with asking() as client:
        ids = {client.run(client.get("/adapters")).headers["x-request-id"] for _ in range(2)}
        assert len(ids) == 2
        own = client.run(client.get("/adapters", headers={"X-Request-ID": "mine-1"}))
        assert own.headers["x-request-id"] == "mine-1"
        forged = client.run(client.get("/adapters", headers={"X-Request-ID": 'a"b'}))
        assert forged.headers["x-request-id"] not in ('a"b', "")
        assert own.headers["cache-control"] == "no-store"


def test_other_addresses_and_methods_are_told_what_there_is():
    with asking() as client:
        assert "POST /count" in problem(client.run(client.get("/")), 404, "no-such-address")
        wrong = client.run(client.get("/count"))
        assert "got GET '/count'" in problem(wrong, 405, "no-such-address")
        assert wrong.headers["allow"] == "POST"


def test_a_fault_of_the_program_is_told_in_the_log_alone_and_the_service_goes_on(monkeypatch):
    stream = io.StringIO()
    with json_lines(stream), asking() as client:
        with monkeypatch.context() as patch:
            patch.setattr(type(client.service), "count", lambda *_: 1 / 0)
            response = client.run(client.count(photograph()))
        assert "ZeroDivisionError" not in problem(response, 500, "fault")
        assert client.run(client.count(photograph())).status_code == 200
    fault = json.loads(stream.getvalue().splitlines()[0])
    assert fault["request_id"] == response.headers["x-request-id"]
    assert "ZeroDivisionError" in fault["traceback"]


def test_a_request_that_the_end_of_the_server_cuts_off_is_told_to_come_again_and_is_no_fault():
    async def endless(_scope, _receive, _send):
        await asyncio.sleep(1000)

    async def cut_off():
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": "/count", "method": "POST", "headers": []}
        asked = asyncio.ensure_future(Guard(endless, Metrics(), routes=())(scope, None, send))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asked
        return sent

    stream = io.StringIO()
    with json_lines(stream):
        start, body = asyncio.run(cut_off())
    assert start["status"] == 503
    assert json.loads(body["body"])["type"].endswith(":shutting-down")
    assert [json.loads(line)["status"] for line in stream.getvalue().splitlines()] == [503]


def test_metrics_tell_requests_batches_and_the_queue():
    with asking(small_service(None, "station", "gate")) as client:
        for adapter in ("station", "station", "gate"):
            client.run(client.count(photograph(), adapter=adapter))
        client.run(client.count(b""))
        client.run(client.get("/made/up"))
        for _ in range(1000):  # a batch is noted after its answers went out
            response = client.run(client.get("/metrics"))
            told = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
            if told["sam_mprompt_batch_images_count"] == "3.0":
                break
            time.sleep(0.01)
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert told['sam_mprompt_requests_total{route="/count",status="200"}'] == "3.0"
    assert told['sam_mprompt_requests_total{route="/count",status="422"}'] == "1.0"
    assert told['sam_mprompt_requests_total{route="other",status="404"}'] == "1.0"
    assert told['sam_mprompt_images_total{adapter="station"}'] == "2.0"
    assert told["sam_mprompt_batch_images_count"] == "3.0"
    assert told["sam_mprompt_queue"] == "0.0"
    assert told["sam_mprompt_inside"] == "0.0"


def test_adapters_are_listed_without_their_folders():
    with asking(small_service(None, "station", "gate")) as client:
        response = client.run(client.get("/adapters"))
    first, second = response.json()["adapters"]
    assert (first["name"], first["default"], first["calibrated_on"]) == ("station", True, 20)
    assert (second["name"], second["default"]) == ("gate", False)
    assert "adapters/" not in response.text


def test_a_service_that_shuts_down_is_not_ready_and_takes_nothing_more():
    with asking() as client:
        client.service.drain()
        problem(client.run(client.get("/readyz")), 503, "not-ready")
        assert client.run(client.get("/healthz")).status_code == 200
        refused = client.run(client.count(photograph()))
        assert "shuts down" in problem(refused, 503, "shutting-down")
        assert refused.headers["retry-after"] == "1"


def test_a_service_that_is_stuck_or_lost_its_thread_is_not_healthy(monkeypatch):
    monkeypatch.setattr(Limits, "stuck_after", 0.02)
    service = small_service()
    with asking(service) as client:
        counter = service.served["station"].counter
        counter.gate.clear()

        async def stuck():
            waiting = asyncio.create_task(client.count(photograph()))
            await asyncio.to_thread(counter.begun.wait)
            await asyncio.sleep(0.05)
            states = [await client.get(path) for path in ("/healthz", "/readyz")]
            counter.gate.set()
            return states, await waiting

        (health, ready), answer = client.run(stuck())
        assert "does not work" in problem(health, 503, "stuck")
        assert problem(ready, 503, "not-ready")
        assert answer.status_code == 200
        monkeypatch.undo()
        assert client.run(client.get("/healthz")).status_code == 200
    ended = asking(service)
    with pytest.raises(RuntimeError):  # a service runs once
        ended.__enter__()
    assert service.fault() == "expected a thread that counts, but it has ended"
