"""Training on a quiet machine and beside another process: python -m benchmarks.busy_core

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

from benchmarks.pairs import Result, Spread, alternate, write_row

_TRAIN = [
    *("finetune", "--recipe", "demo", "--set", "train.epochs=1", "--set", "train.validate_every=1"),
    *("--set", "loss.kappa=1", "--set", "synthetic.train=48", "--out"),
]
_WAYS = {
    "OpenMP's default": ["-c", "from sam_mprompt.cli.app import app; app()"],  # past what `main` sets
    "passive": ["-m", "sam_mprompt"],
}


def _train(start: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *start, *_TRAIN, str(Path(folder) / "run")]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure both ways of waiting, alone and beside a busy process."""
    ways = {name: partial(_train, start) for name, start in _WAYS.items()}
    alone = alternate(ways, rounds=4)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            beside = alternate(ways, rounds=4, warm=False)
        finally:
            busy.kill()
    write_row(
        "busy_core",
        [
            Result(f"a short training of the demo, {where}", "OpenMP's default waiting", Spread.of(*seconds.values()))
            for where, seconds in (("alone", alone), ("beside a busy process", beside))
        ],
    )


if __name__ == "__main__":
    main()
