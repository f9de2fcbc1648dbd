"""SIGTERM, SIGINT and SIGHUP, to a process and to its group: one line, no traceback, and nothing is lost."""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from faults.killing import Child, leftovers, whole_job

from sam_mprompt.cli.app import main
from sam_mprompt.counting.counter import load

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def command(*words: object) -> None:
    sys.argv = ["sam-mprompt", *map(str, words)]
    main()


def wait_until(true, child: Child) -> None:
    until = time.monotonic() + 300
    while not true():
        assert not child.wait(0.01), child.said()
        assert time.monotonic() < until, child.said()


def send(child: Child, number: int, *, group: bool) -> None:
    if group:
        os.killpg(child.pid, number)
    else:
        child.kill(number)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_training_with_workers_saves_its_state_and_goes_on_to_the_same_weights(
    tmp_path, tiny_recipe, crowd_folder, number, group
):
    words = ["finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--set", "train.preview_every=0"]

    def train(folder: Path) -> None:
        resume = ["--resume"] if (folder / "run" / "state").is_dir() else []
        workers = ["--set", f"train.workers={0 if folder.name == 'whole' else 1}"]
        command(*words, *workers, "--out", folder / "run", *resume)

    child = Child(train, tmp_path / "cut", group=True)
    wait_until(lambda: lines_of(tmp_path / "cut" / "run" / "metrics.jsonl") >= 1, child)
    send(child, number, group=group)
    ended = child.end()
    assert ended.code == 130, ended.said
    assert "the state is saved. Go on with --resume" in ended.said
    assert "Traceback" not in ended.said
    whole_job(train, tmp_path / "cut")
    whole_job(train, tmp_path / "whole")
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "cut" / "run" / file).read_bytes() == (tmp_path / "whole" / "run" / file).read_bytes()
    assert leftovers(tmp_path / "cut") == []


@pytest.fixture
def counting(monkeypatch, trained_run):
    """A counter that every child finds loaded, and that takes its time."""
    counter = load(trained_run)
    whole = type(counter).count_many

    def slowly(self, *arguments, **options):
        for result in whole(self, *arguments, **options):
            yield result
            time.sleep(0.2)

    monkeypatch.setattr("sam_mprompt.deploy.load.load", lambda *_arguments, **_options: counter)
    monkeypatch.setattr(type(counter), "count_many", slowly)
    return trained_run


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_count_that_is_stopped_keeps_its_rows_and_writes_what_it_writes_in_the_end(
    tmp_path, counting, crowd_folder, number, group
):
    images = sorted(crowd_folder.glob("*.png"))

    def count(folder: Path) -> None:
        command("count", counting, *images, "--csv", folder / "c.csv", "--points", folder / "p.json")

    child = Child(count, tmp_path / "out", group=True)
    wait_until(lambda: lines_of(tmp_path / "out" / "c.csv") >= 3, child)
    send(child, number, group=group)
    ended = child.end()
    assert ended.code == 130, ended.said
    assert "stopped; " in ended.said
    assert "Traceback" not in ended.said
    rows = list(csv.reader((tmp_path / "out" / "c.csv").open()))[1:]
    assert 2 <= len(rows) < len(images)
    assert len(json.loads((tmp_path / "out" / "p.json").read_text())) in (len(rows), len(rows) + 1)
    assert leftovers(tmp_path / "out") == []


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_masks_that_are_stopped_leave_whole_ones_and_no_litter(tmp_path, crowd_folder, monkeypatch, number):
    from sam_mprompt.masks import folder

    read = folder.read_image

    def slowly(*arguments):
        time.sleep(0.2)
        return read(*arguments)

    monkeypatch.setattr(folder, "read_image", slowly)

    def masks(out: Path) -> None:
        command("masks", "--source", "points", "--data", crowd_folder, "--out", out / "masks")

    child = Child(masks, tmp_path / "out", group=True)
    wait_until(lambda: len(list((tmp_path / "out").rglob("*.png"))) >= 2, child)
    send(child, number, group=True)
    ended = child.end()
    assert ended.code == 130, ended.said
    assert "interrupted" in ended.said
    assert "Traceback" not in ended.said
    assert leftovers(tmp_path / "out") == []


def test_a_signal_that_is_ignored_stays_so_and_handlers_come_back():
    from sam_mprompt.cli.interrupts import signals_interrupt

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    usual = signal.getsignal(signal.SIGTERM)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is usual
    finally:
        signal.signal(signal.SIGHUP, before)
