"""The commands of the guide to the page, in its order: pages are opened, and what they save is used."""

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
from docs_pages import ROOT, commands
from small_service import photograph

from sam_mprompt.ui.limits import PageLimits

GUIDE = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
COMMANDS = [command.words for command in commands("docs/page.md", GUIDE)]
PAGES = [words for words in COMMANDS if words[0] == "ui"]
SHORT = {"finetune": ("--minutes", "0.05", "--out", "runs/market", "--set", "train.workers=0")}
TOKEN = "a-token-of-sixteen-and-more"


def asked(port, ended, found):
    """Ask a page for its state once it answers, save two photographs, and end it."""
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            while not ended.is_set():
                try:
                    found.append(client.get("/api/state").json())
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            for seed in range(2):
                files = {"image": (f"{seed}.png", photograph(seed, (96, 128)))}
                photo = client.post("/api/photos", files=files).json()["id"]
                points = [[20 + 9 * seed, 30], [60, 60], [100, 20]]
                saved = client.post("/api/datasets/market/photos", json={"photo": photo, "points": points})
                found.append(saved.status_code)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_the_pages_of_the_guide_open_and_its_commands_take_what_they_save(run_cli, trained_run, tmp_path, monkeypatch):
    shutil.copytree(trained_run, tmp_path / "runs" / "shb")
    shutil.copytree(trained_run / "adapter", tmp_path / "adapters" / "gate-7")
    shutil.copytree(trained_run, tmp_path / "page" / "runs" / "market")
    (tmp_path / "token.txt").write_text(TOKEN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    states = []
    for words in COMMANDS:
        if words[0] != "ui":
            outcome = run_cli(*words, *SHORT.get(words[0], ()))
            assert outcome.code == 0, f"{' '.join(words)}: {outcome.err}"
            continue
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        usual = signal.signal(signal.SIGTERM, lambda *_: None)  # should the page have ended by itself
        ended, found = threading.Event(), []
        asking = threading.Thread(target=asked, args=(port, ended, found))
        asking.start()
        outcome = run_cli(*words, "--port", port, "--device", "cpu")
        ended.set()
        asking.join(60)
        signal.signal(signal.SIGTERM, usual)
        assert outcome.code == 0, outcome.err
        assert f"open http://{'0.0.0.0' if '--host' in words else '127.0.0.1'}:{port}/ in a browser" in outcome.err
        assert TOKEN not in outcome.err
        assert found[1:] == [200, 200]
        states.append(found[0])
    assert [[one["name"] for one in state["adapters"]] for state in states] == [
        ["street", "dense", "demo", "market"],
        ["station", "gate"],
        ["gate-7", "market"],
    ]
    assert states[2]["datasets"][0]["name"] == "market"
    assert (tmp_path / "counting" / "datasets" / "market").is_dir()


def test_what_the_guide_says_is_taken_is_what_is_taken():
    limits = PageLimits()
    for text in (
        f"{limits.photos} photographs are held",
        f"{limits.waiting} wait to be counted",
        "at most 20,000 frames",
    ):
        assert text in GUIDE
    assert limits.frames == 20_000
    assert len(PAGES) == 3


def test_every_command_line_of_the_guide_is_one_of_ours_or_pips():
    blocks = re.findall(r"^```bash\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    programs = {shlex.split(line)[0] for block in blocks for line in block.splitlines()}
    assert programs == {"pip", "sam-mprompt"}
