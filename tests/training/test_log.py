import io
import json

import torch
from rich.console import Console

from sam_mprompt.training.log import RunLog, peak_memory_mb


def log(path, console, kept=0, active=True):
    return RunLog(path, console, epochs=4, batches=2, kept_lines=kept, active=active)


def test_lines_after_the_saved_state_are_dropped_on_resuming(tmp_path):
    path = tmp_path / "metrics.jsonl"
    quiet = Console(quiet=True)
    with log(path, quiet) as first:
        for epoch in (1, 2, 3):
            first.epoch({"epoch": epoch})
    with log(path, quiet, kept=2) as second:
        second.epoch({"epoch": 3, "again": True})
        assert second.lines == 3
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert "again" in records[2]


def test_only_the_main_process_writes(tmp_path):
    with log(tmp_path / "metrics.jsonl", Console(quiet=True), active=False) as other:
        other.batch(1, {"loss": 1.0})
        other.epoch({"epoch": 1})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_terminal_sees_progress_rates_terms_and_validation(tmp_path):
    screen = io.StringIO()
    with log(tmp_path / "m.jsonl", Console(file=screen, force_terminal=True, width=100)) as shown:
        shown.batch(1, {"epoch": 1, "lr": 1e-4, "images_per_s": 3.0, "memory_mb": 9.0, "loss": 0.5, "density": 0.25})
        shown.epoch({"epoch": 1, "val_mae": 12.5, "val_rmse": 20.0})
    text = screen.getvalue()
    assert all(word in text for word in ("ETA", "1/8", "images_per_s", "memory_mb", "0.0001", "density", "12.5"))


def test_elsewhere_an_epoch_is_one_plain_line(tmp_path):
    screen = io.StringIO()
    with log(tmp_path / "m.jsonl", Console(file=screen, width=40)) as shown:
        shown.batch(1, {"loss": 0.5})
        shown.epoch({"epoch": 1, "loss": 0.5, "val_mae": None, "val_rmse": 20.0})
    assert screen.getvalue() == "epoch 1 · loss 0.5 · val_rmse 20\n"


def test_memory_is_that_of_this_process():
    assert 50 < peak_memory_mb(torch.device("cpu")) < 100_000
