"""Logs as lines of JSON."""

import io
import json
import logging
from pathlib import Path

import pytest
from small_service import asking, photograph

from sam_mprompt.serve.logs import event, json_lines


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_a_line_with_its_facts_and_where_it_failed():
    stream = io.StringIO()
    with json_lines(stream):
        event("loaded", adapters=["a\nb"])
        try:
            raise ValueError("why")
        except ValueError as error:
            event("fault", level=logging.ERROR, error=error)
        logging.getLogger("uvicorn.error").info("of the %s", "server")
        logging.getLogger("somebody").info("not told")
        logging.getLogger("somebody").warning("told")
    event("after")
    loaded, fault, server, other = lines(stream)
    assert (loaded["event"], loaded["level"], loaded["adapters"]) == ("loaded", "info", ["a\nb"])
    assert loaded["time"].endswith("+00:00")
    assert fault["traceback"].endswith("ValueError: why\n")
    assert (server["event"], other["event"]) == ("of the server", "told")


def test_a_request_is_a_line_without_what_is_in_the_picture():
    stream = io.StringIO()
    with json_lines(stream), asking() as client:
        response = client.run(client.form(("somebody.png", photograph()), points="true"))
        client.run(client.get("/healthz"))
    (line,) = lines(stream)
    assert line.keys() == {"time", "level", "event", "request_id", "method", "route", "status", "adapter", "seconds"}
    assert (line["method"], line["route"], line["status"], line["adapter"]) == ("POST", "/count", 200, "station")
    assert line["request_id"] == response.headers["x-request-id"]
    assert "somebody" not in stream.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_under_the_log_costs_lines_and_nothing_else():
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - closing it fails as writing does
    with json_lines(full), asking() as client:
        assert client.run(client.count(photograph())).status_code == 200
        assert client.run(client.count(b"")).status_code == 422
    with pytest.raises(OSError, match="No space left"):
        full.close()
