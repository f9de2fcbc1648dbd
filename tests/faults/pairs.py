"""Two processes of this machine that train together."""

import os
import socket
import sys
from pathlib import Path

from faults.killing import Child, Job

from sam_mprompt.cli.app import main


def rank_of_two(number: int, port: int, work: Job) -> Job:
    """Return a job that does its work as one of two processes, as torchrun starts them."""

    def job(folder: Path) -> None:
        from accelerate.state import AcceleratorState, GradientState, PartialState

        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()  # what earlier tests of this process have begun
        told = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        os.environ.update({name: str(value) for name, value in told.items()})
        work(folder)

    return job


def pair_of(folder: Path, work: Job) -> list[Child]:
    """Start two processes that do a work together, each in a folder of its own below one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [Child(rank_of_two(number, port, work), folder / f"rank-{number}") for number in (0, 1)]


def pair(folder: Path, words: list[object]) -> list[Child]:
    """Start a command in two processes."""

    def command(_folder: Path) -> None:
        sys.argv = ["sam-mprompt", *map(str, words)]
        main()

    return pair_of(folder, command)
