"""`serve`: what is wrong is told before anything is loaded."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from small_service import photograph

from sam_mprompt.data import packages


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    monkeypatch.delenv("SAM_MPROMPT_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["adapters/nowhere"], "No adapter 'adapters/nowhere'"),
        (["a=adapters/demo", "a=adapters/demo"], "Two adapters are called 'a'"),
        (
            ["adapters/demo", "--host", "0.0.0.0"],
            "Set $SAM_MPROMPT_TOKEN or give --token-file FILE; or --without-token",
        ),
        (["adapters/demo", "--token-file", "nowhere"], "Cannot read the token from 'nowhere'"),
        (["adapters/demo", "--max-batch", "0"], "max-batch"),
        (["adapters/demo", "--timeout", "1e9"], "timeout: expected more than 0 and at most 86400 seconds"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(run_cli, words, said):
    outcome = run_cli("serve", *words)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_a_token_that_is_too_short_is_refused_without_being_shown(run_cli, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_TOKEN", "secret")
    outcome = run_cli("serve", "adapters/demo")
    assert outcome.code == 2
    assert "$SAM_MPROMPT_TOKEN, got one of 6" in outcome.err
    assert "secret." not in outcome.err.replace("secrets.token", "")


def test_without_the_packages_of_the_extra_it_says_what_to_install(run_cli, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(packages, "import_module", missing)
    outcome = run_cli("serve", "adapters/demo")
    assert outcome.code == 2
    assert "needs the package 'uvicorn'" in outcome.err
    assert "pip install 'sam-mprompt[serve]'" in outcome.err


@pytest.mark.slow
def test_sigterm_answers_what_was_let_in_and_ends_with_0():
    command = [sys.executable, "-m", "sam_mprompt", "serve", "adapters/demo", "--port", "0", "--max-batch", "1"]
    command += ["--timeout", "300"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, ThreadPoolExecutor(6) as pool:
        lines = map(json.loads, process.stderr)
        port = next(line["port"] for line in lines if line["event"] == "listening")
        address = f"http://127.0.0.1:{port}"
        image = photograph(size=(300, 400))
        asked = [pool.submit(httpx.post, f"{address}/count", content=image, timeout=300) for _ in range(6)]
        while "sam_mprompt_inside 6.0" not in httpx.get(f"{address}/metrics").text:
            assert not any(one.done() for one in asked[3:])
        process.send_signal(signal.SIGTERM)
        counts = {one.result().json()["count"] for one in asked}
        rest = list(lines)
    assert len(counts) == 1
    assert process.returncode == 0
    assert rest[-1]["event"] == "ended"
    assert [line["status"] for line in rest if line.get("route") == "/count"][-1] == 200
