"""The commands of the page about the service, in its order: services are started, and asked what the page asks."""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import threading
import time

import httpx
import pytest
from docs_pages import ROOT

from sam_mprompt.resources import bundled

PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.splitlines()]
STARTS = [at for at, line in enumerate(LINES) if line.startswith("sam-mprompt serve")]


def curl():
    """The options of curl that the page uses."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-F", action="append", default=[], dest="fields")
    parser.add_argument("-H", action="append", default=[], dest="headers")
    parser.add_argument("--data-binary")
    parser.add_argument("-o", dest="output")
    return parser


def asked(line, port, token):
    """The answer to a line of curl, sent without it."""
    words = shlex.split(line.replace("$(cat token.txt)", token))
    assert words[0] == "curl"
    given = curl().parse_args(words[1:])
    headers = dict(header.split(": ", 1) for header in given.headers)
    sent = {}
    if given.data_binary:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        sent["content"] = open(given.data_binary[1:], "rb").read()  # noqa: SIM115, PTH123 - as curl opens it
    if given.fields:
        pairs = [field.split("=", 1) for field in given.fields]
        sent["files"] = [(n, (v[1:], open(v[1:], "rb")) if v[0] == "@" else (None, v)) for n, v in pairs]  # noqa: SIM115, PTH123
    url = given.url.replace(":8000", f":{port}")
    response = httpx.post(url, headers=headers, timeout=60, verify=False, **sent)
    if given.output:
        with open(given.output, "wb") as file:  # noqa: PTH123
            file.write(response.content)
    return response


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("start", STARTS, ids=lambda at: LINES[at])
def test_a_service_that_the_page_starts_answers_what_it_asks(start, run_cli, trained_run, tmp_path, monkeypatch):
    examples = bundled("adapters") / "demo" / "examples"
    for name in ("street.jpg", "street.csv"):
        shutil.copy(examples / name, tmp_path)
    shutil.copytree(trained_run, tmp_path / "runs" / "shb")
    shutil.copytree(trained_run / "adapter", tmp_path / "adapters" / "gate-7")
    token = "a-token-of-sixteen-and-more"
    (tmp_path / "token.txt").write_text(token)
    monkeypatch.chdir(tmp_path)
    end = next((at for at in STARTS if at > start), len(LINES))
    requests, port, responses = LINES[start + 1 : end], free_port(), []

    usual = signal.signal(signal.SIGTERM, lambda *_: None)  # should the service have ended by itself
    ended = threading.Event()

    def ask():
        try:
            while not ended.is_set():
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/readyz", verify=False).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.05)
            headers = {"Authorization": f"Bearer {token}"}
            adapters = httpx.get(f"http://127.0.0.1:{port}/adapters", headers=headers, verify=False)
            responses.append(adapters)
            responses.extend(asked(line, port, token) for line in requests)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    outcome = run_cli(*shlex.split(LINES[start])[1:], "--port", port, "--device", "cpu")
    ended.set()
    asking.join(60)
    signal.signal(signal.SIGTERM, usual)
    assert outcome.code == 0, outcome.err
    assert [response.status_code for response in responses] == [200] * (1 + len(requests))
    names = [one["name"] for one in responses[0].json()["adapters"]]
    assert names == (["station", "gate", "demo"] if "runs/shb" in LINES[start] else ["demo"])
    for line, response in zip(requests, responses[1:], strict=True):
        if "-o" in line.split():
            assert (tmp_path / "heat.jpg").read_bytes().startswith(b"\xff\xd8")
        else:
            found = response.json()
            assert found["count"] > 0
            assert bool(found["points"]) == ("points=true" in line)
            assert bool(found["regions"]) == ("regions=" in line)


def test_what_the_page_shows_of_an_answer_is_what_an_answer_has():
    from sam_mprompt.serve.answer import Answer
    from sam_mprompt.serve.limits import Limits

    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert Answer.model_validate(json.loads(shown)).model_dump(mode="json").keys() == json.loads(shown).keys()
    limits = Limits()
    for name, value in (("--max-batch", limits.max_batch), ("--queue", limits.queue)):
        assert f"`{name}` ({value})" in PAGE
    assert "(2²⁶)" in PAGE
    assert limits.max_pixels == 2**26
    assert limits.overlay_side == 2048
