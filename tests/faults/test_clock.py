"""A clock that goes backwards, or leaps: no span is measured by it, and nothing is lost by it."""

import itertools
import json
import os
import re
import time
from pathlib import Path

import pytest
from small_training import small_session

import sam_mprompt
from sam_mprompt.data.cache.hashes import RememberedHashes
from sam_mprompt.files import recover_within, replacing, sha256_of

PACKAGE = Path(sam_mprompt.__file__).parent
BY_THE_WALL = {"data/cache/hashes.py", "files/leftovers.py"}
"""What compares the wall clock with the times of files, and does nothing worse than work twice where it is wrong."""


def test_no_span_of_time_is_measured_by_the_wall_clock():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\btime\.time(_ns)?\b(?!`)", path.read_text(encoding="utf-8"))
    }
    assert found == BY_THE_WALL


@pytest.fixture(params=[-3600.0, -1e8, 1e8], ids=["an hour back", "years back", "years on"])
def wrong(request, monkeypatch):
    """A wall clock that leaps each time that it is read."""
    now, number = time.time(), itertools.count(1)
    monkeypatch.setattr(time, "time", lambda: now + request.param * next(number))
    monkeypatch.setattr(time, "time_ns", lambda: int((now + request.param * next(number)) * 1e9))


def test_a_training_tells_its_time_and_ends_in_the_same_weights(tmp_path, wrong, monkeypatch):
    small_session(tmp_path / "wrong", {"ema": 0.9}).fit()
    monkeypatch.undo()
    small_session(tmp_path / "right", {"ema": 0.9}).fit()
    states = [(tmp_path / name / "state" / "state.safetensors").read_bytes() for name in ("wrong", "right")]
    assert states[0] == states[1]
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "wrong" / "metrics.jsonl").read_text().splitlines()]
    assert 0 < seconds[0] < seconds[1] < 600


def test_what_is_remembered_of_files_is_right_whatever_their_times(tmp_path, wrong, monkeypatch):
    monkeypatch.setenv("SAM_MPROMPT_CACHE", str(tmp_path / "cache"))
    dataset = tmp_path / "data"
    dataset.mkdir()
    for when in (1, 1_600_000_000, 4_000_000_000):
        (dataset / "a.png").write_text(str(when))
        os.utime(dataset / "a.png", (when, when))
        for _ in range(2):
            memory = RememberedHashes(dataset)
            assert memory.sha256(dataset / "a.png") == sha256_of(dataset / "a.png")
            memory.save()


def test_what_this_process_writes_is_never_taken_for_old(tmp_path, wrong):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
        os.utime(temporary, (1, 1))
        recover_within(tmp_path)
        assert temporary.exists()
    assert (tmp_path / "a.txt").read_text() == "x"
