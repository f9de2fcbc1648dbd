import json

import torch

from sam_mprompt.training.log import MetricsLog, peak_memory_mb


def test_lines_after_the_saved_state_are_dropped_on_resuming(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, kept_lines=0) as first:
        for epoch in (1, 2, 3):
            first.append({"epoch": epoch})
    with MetricsLog(path, kept_lines=2) as second:
        second.append({"epoch": 3, "again": True})
        assert second.lines == 3
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert "again" in records[2]


def test_only_the_main_process_writes(tmp_path):
    with MetricsLog(tmp_path / "metrics.jsonl", kept_lines=0, active=False) as other:
        other.append({"epoch": 1})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_memory_is_that_of_this_process():
    assert 50 < peak_memory_mb(torch.device("cpu")) < 100_000


def test_a_line_that_the_disk_has_damaged_is_kept_as_it_is(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": \xff}\n{"epoch": 2}\n{"epoch": 3}\n')
    with MetricsLog(path, kept_lines=2) as log:
        log.append({"epoch": 3})
    assert path.read_bytes() == b'{"epoch": \xff}\n{"epoch": 2}\n{"epoch": 3}\n'
