"""Two processes train one counter, and one of them is killed."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from faults.killing import Child, leftovers

from sam_mprompt.cli.app import main

pytestmark = pytest.mark.slow


def rank_of_two(number: int, port: int, words: list[object]):
    """Return a job that is one of two processes, as torchrun starts them."""

    def job(_folder: Path) -> None:
        from accelerate.state import AcceleratorState, GradientState, PartialState

        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()  # what earlier tests of this process have begun
        told = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        os.environ.update({name: str(value) for name, value in told.items()})
        sys.argv = ["sam-mprompt", *map(str, words)]
        main()

    return job


def pair(tmp_path: Path, words: list[object]) -> list[Child]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [Child(rank_of_two(number, port, words), tmp_path / f"rank-{number}") for number in (0, 1)]


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
