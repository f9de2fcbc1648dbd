import json

import pytest


def test_describe_prints_a_line_a_part_and_their_sum(run_cli, trained_run):
    parts = json.loads(run_cli("describe", trained_run, "--size", 64, "--json").out)["parts"]
    done = run_cli("describe", trained_run, "--size", 64)
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[0] for line in lines[1:-2]] == [part["name"].split()[0] for part in parts]
    total = next(line for line in lines if line and line[0] == "all")
    assert float(total[1]) == pytest.approx(sum(part["total"] for part in parts) / 1e6, abs=0.005)
    assert "kept for the backward pass" in done.out
