"""Training on a quiet machine and beside another process: python -m benchmarks.speed.busy_core

PyTorch's threads meet after every operation. By OpenMP's default those that come first spin until the last one is
there; when another process has taken its core, they spin for that process' time slices. The command line asks for
passive waiting instead (`sam_mprompt.cli.app.main`). Both are measured here: a short training of the demo, alone and
while a process counts on one core.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row

_WAYS = {
    "OpenMP's default": ["-c", "from sam_mprompt.cli.app import app; app()"],  # past what `main` sets
    "passive": ["-m", "sam_mprompt"],
}


def train(start: list[str], scenes: int) -> None:
    """Train the demo for an epoch, by a command line that starts in one of the ways."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    settings = ("train.epochs=1", "train.validate_every=1", "loss.kappa=1", f"synthetic.train={scenes}")
    with tempfile.TemporaryDirectory() as folder:
        words = [word for setting in settings for word in ("--set", setting)]
        training = ["finetune", "--recipe", "demo", *words, "--out", str(Path(folder) / "run")]
        subprocess.run(
            [sys.executable, *start, *training],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def measure(scenes: int = 48, rounds: int = 4) -> list[Result]:
    """Measure both ways of waiting, alone and beside a busy process."""
    ways = {name: partial(train, start, scenes) for name, start in _WAYS.items()}
    alone = alternate(ways, rounds=rounds)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            beside = alternate(ways, rounds=rounds, warm=False)
        finally:
            busy.kill()
    return [
        Result(f"a short training of the demo, {where}", "OpenMP's default waiting", Spread.of(*seconds.values()))
        for where, seconds in (("alone", alone), ("beside a busy process", beside))
    ]


if __name__ == "__main__":
    write_row("busy_core", measure())
