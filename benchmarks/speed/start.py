"""Cold starts of the command line: python -m benchmarks.start

Each is a process of its own. `count` on one image with the bundled base stands against a process that imports torch and
OpenCV and does a forward pass of the same size with the official encoder, and against one that also imports what every
adapter needs, peft. Help and lists stand against an empty process and against the imports that Typer cannot do without.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.data.scenes.crowd import write_dataset

_COMMAND = [sys.executable, "-m", "sam_mprompt"]
_BARE = """
import cv2, torch
from segment_anything.modeling import ImageEncoderViT
encoder = ImageEncoderViT(
    img_size=448, embed_dim=192, depth=9, num_heads=3, use_rel_pos=True, window_size=14, global_attn_indexes=(2, 5, 8)
)
with torch.inference_mode():
    encoder.eval()(torch.zeros(1, 3, 448, 448))
"""
# What typer imports to show a help page, and what it and a table of rich need.
_HELP_FLOOR = "import typer.rich_utils"
_LIST_FLOOR = "import typer, rich.console, rich.table"


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
                "help floor": partial(_run, sys.executable, "-c", _HELP_FLOOR),
                "list floor": partial(_run, sys.executable, "-c", _LIST_FLOOR),
                "help": partial(_run, *_COMMAND, "--help"),
                "recipes": partial(_run, *_COMMAND, "recipes", "list"),
                "bare": partial(_run, sys.executable, "-c", _BARE),
                "with peft": partial(_run, sys.executable, "-c", "import peft" + _BARE),
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
                "importing torch and OpenCV, and a forward pass",
                Spread.of(seconds["bare"], seconds["count"]),
                aim=1 / 1.3,
                note="adapters are peft's, and importing peft imports transformers: see the next row.",
            ),
            Result(
                "`count` on one image, bundled base, cold",
                "importing torch, OpenCV and peft, and a forward pass",
                Spread.of(seconds["with peft"], seconds["count"]),
            ),
            Result(
                "`--help`",
                "an empty Python process",
                Spread.of(seconds["python"], seconds["help"]),
                note=f"{best['help']:.2f} s in the best round; 0.3 s was aimed at.",
            ),
            Result(
                "`--help`",
                f"`{_HELP_FLOOR}`, which shows every help page",
                Spread.of(seconds["help floor"], seconds["help"]),
                note=f"the imports alone are {best['help floor']:.2f} s in the best round.",
            ),
            Result(
                "`recipes list`",
                "an empty Python process",
                Spread.of(seconds["python"], seconds["recipes"]),
                note=f"{best['recipes']:.2f} s in the best round; 0.3 s was aimed at.",
            ),
            Result(
                "`recipes list`",
                f"`{_LIST_FLOOR}`",
                Spread.of(seconds["list floor"], seconds["recipes"]),
                note=f"the imports alone are {best['list floor']:.2f} s in the best round.",
            ),
        ],
    )


if __name__ == "__main__":
    main()
