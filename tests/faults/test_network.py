"""Two machines train one counter, as far as one machine can play both: the network between them is cut."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.killing import leftovers
from faults.networks import ADDRESSES, Network, two_namespaces

from sam_mprompt.tensor_files import read_tensors

pytestmark = pytest.mark.slow

HANG = 600.0
"""Seconds after which what has not ended is taken to wait for ever: gloo's own limit is half an hour."""


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with two_namespaces() as made:
            yield made
    except PermissionError as error:
        pytest.skip(f"no network namespaces here: {error}")


class Node:
    """torchrun on one of two machines, with one process; what that says is in a file of its own."""

    def __init__(self, network: Network, number: int, folder: Path, words: list[object]) -> None:
        self.folder = folder / f"node-{number}"
        self.folder.mkdir(parents=True)
        launch = ["--nnodes", "2", "--node-rank", number, "--nproc-per-node", "1"]
        launch += ["--rdzv-endpoint", f"{ADDRESSES[0]}:29500", "--redirects", "3"]
        launch += ["--log-dir", self.folder / "log", "-m", "sam_mprompt", *words]
        told = {"GLOO_SOCKET_IFNAME": network.ends[number], "SAM_MPROMPT_RANK_MINUTES": "0.5", "OMP_NUM_THREADS": "1"}
        told["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [*network.inside(number), sys.executable, "-m", "torch.distributed.run", *map(str, launch)]
        with (self.folder / "torchrun.txt").open("w") as said:
            self.process = subprocess.Popen(command, env=os.environ | told, stdout=said, stderr=said)

    def ended(self) -> int:
        """Wait for its end and return the exit code; one that does not end is killed, and fails the test."""
        try:
            return self.process.wait(HANG)
        finally:
            self.process.kill()

    def said(self) -> str:
        """Return what the process that trains wrote on stderr."""
        return "".join(path.read_text() for path in self.folder.glob("log/*/*/*/stderr.log"))


def pair(network: Network, folder: Path, words: list[object]) -> list[Node]:
    return [Node(network, number, folder, words) for number in (0, 1)]


def step_of(run: Path) -> int:
    try:
        return int(json.loads((run / "state" / "progress.json").read_text())["progress"]["step"])
    except (OSError, ValueError):
        return 0


def training_of(recipe: Path, data: Path) -> list[object]:
    """Return the command of a training that saves after each of its twenty steps."""
    settings = ("epochs=10", "validate_every=10", "preview_every=0", "save_minutes=1e-9")
    return ["finetune", "--recipe", recipe, "--data", data, *(f"--set=train.{setting}" for setting in settings)]


def started(network: Network, folder: Path, run: Path, words: list[object]) -> list[Node]:
    """Start a training on both machines, and come back when it has saved its second step."""
    nodes = pair(network, folder, [*words, "--out", run])
    until = time.monotonic() + HANG
    while step_of(run) < 2:
        assert time.monotonic() < until
        assert all(node.process.poll() is None for node in nodes), nodes[0].said() + nodes[1].said()
        time.sleep(0.005)
    return nodes


def test_where_the_network_is_cut_both_machines_end_with_a_line_and_the_training_goes_on(
    tmp_path, tiny_recipe, crowd_folder, network
):
    words, run = training_of(tiny_recipe, crowd_folder), tmp_path / "cut"
    nodes = started(network, tmp_path / "first", run, words)
    network.cut()
    for node in nodes:
        assert node.ended() != 0
        assert "Traceback" not in node.said(), node.said()
        assert node.said().count("another process of this training has ended or cannot be reached") == 1, node.said()
    assert 2 <= step_of(run) < 20
    assert read_tensors(run / "state" / "state.safetensors")

    network.mend()
    whole = tmp_path / "whole"
    for folder, more in ("second", ["--out", run, "--resume"]), ("third", ["--out", whole]):
        for node in pair(network, tmp_path / folder, [*words, *more]):
            assert node.ended() == 0, node.said()
    for file in ("state/state.safetensors", "adapter/adapter_model.safetensors"):
        assert (run / file).read_bytes() == (whole / file).read_bytes()
    assert leftovers(run) == []


def test_where_one_machine_is_told_to_stop_both_save_the_state_and_end(tmp_path, tiny_recipe, crowd_folder, network):
    words, run = training_of(tiny_recipe, crowd_folder), tmp_path / "run"
    nodes = started(network, tmp_path, run, words)
    nodes[1].process.send_signal(signal.SIGTERM)
    for node in nodes:
        assert node.ended() != 0
        assert "Traceback" not in node.said(), node.said()
        assert node.said().count("stopped; the state is saved") == 1, node.said()
    assert 2 <= step_of(run) < 20
