"""Cold starts of the command line: python -m benchmarks.start

Each is a process of its own. `count` on one image with the bundled base stands against a process that imports torch and
OpenCV and does the same forward pass.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.data.synthetic import write_dataset

_COMMAND = [sys.executable, "-m", "sam_mprompt"]
_BARE = """
import cv2, torch
from sam_mprompt.models.sam_encoder import SamEncoder
with torch.inference_mode():
    SamEncoder.from_checkpoint("sam-tiny")(torch.zeros(1, 3, 448, 448))
"""


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure the three starts that users wait for."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", seed=0, splits={"train": 1, "val": 1}, size=(448, 448))
        image = next(path for path in sorted(Path(folder).rglob("*")) if path.suffix in (".jpg", ".png"))
        seconds = alternate(
            {
                "python": partial(_run, sys.executable, "-c", "pass"),
                "help": partial(_run, *_COMMAND, "--help"),
                "recipes": partial(_run, *_COMMAND, "recipes", "list"),
                "bare": partial(_run, sys.executable, "-c", _BARE),
                "count": partial(_run, *_COMMAND, "count", "adapters/demo", str(image)),
            },
            rounds=7,
        )
    best = {name: min(values) for name, values in seconds.items()}
    write_row(
        "start",
        [
            Result(
                "`count` on one image, bundled base, cold",
                "importing torch, OpenCV and the encoder, and its forward pass",
                Spread.of(seconds["bare"], seconds["count"]),
                aim=1 / 1.3,
            ),
            Result(
                "`--help`",
                "an empty Python process",
                Spread.of(seconds["python"], seconds["help"]),
                note=f"{best['help']:.2f} s in the best round; 0.3 s was aimed at.",
            ),
            Result(
                "`recipes list`",
                "an empty Python process",
                Spread.of(seconds["python"], seconds["recipes"]),
                note=f"{best['recipes']:.2f} s in the best round; 0.3 s was aimed at.",
            ),
        ],
    )


if __name__ == "__main__":
    main()
