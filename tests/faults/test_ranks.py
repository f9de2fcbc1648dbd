"""Two processes train one counter, and one of them is killed."""

import json
import signal
import time
from pathlib import Path

import pytest
from faults.killing import leftovers
from faults.pairs import pair

pytestmark = pytest.mark.slow


def test_where_the_main_process_refuses_the_other_ends_with_a_line(tmp_path, tiny_recipe, crowd_folder):
    words = ["finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--resume", "--out", tmp_path / "none"]
    main_one, other = [child.end() for child in pair(tmp_path, words)]
    assert main_one.code == 2, main_one.said
    assert other.code == 1, other.said
    assert "another process of this training has ended" in other.said
    assert "Traceback" not in main_one.said + other.said


def step_of(run: Path) -> int:
    try:
        return int(json.loads((run / "state" / "progress.json").read_text())["progress"]["step"])
    except (OSError, ValueError):
        return 0


@pytest.mark.parametrize("dead", [0, 1])
def test_where_one_of_two_is_killed_the_other_ends_with_a_line_and_the_training_goes_on(
    tmp_path, tiny_recipe, crowd_folder, dead
):
    words = ["finetune", "--recipe", tiny_recipe, "--data", crowd_folder, "--set", "train.preview_every=0"]
    words += ["--set", "train.save_minutes=1e-9"]
    run = tmp_path / "cut"
    both = pair(tmp_path, [*words, "--out", run])
    until = time.monotonic() + 300
    while step_of(run) < 2:
        assert time.monotonic() < until
        assert not both[0].wait(0.005), both[0].said()
    both[dead].kill()
    ended = [child.end() for child in both]
    assert ended[dead].code == -signal.SIGKILL
    other = ended[1 - dead]
    assert "Traceback" not in other.said, other.said
    assert other.code == 1, other.said
    assert "another process of this training has ended" in other.said
    for child in pair(tmp_path, [*words, "--out", run, "--resume"]):
        assert child.end().code == 0
    for child in pair(tmp_path, [*words, "--out", tmp_path / "whole"]):
        assert child.end().code == 0
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors"):
        assert (run / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert leftovers(run) == []
