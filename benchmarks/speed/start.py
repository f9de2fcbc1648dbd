"""Cold starts of the command line: python -m benchmarks.speed.start

Each is a process of its own. `count` on one image with the bundled base stands against a process that imports torch and
OpenCV and does a forward pass of the same size with the official encoder, and against one that also imports peft, which
counting with prompt modules does without. Help and lists stand against an empty process and against the imports that
Typer cannot do without.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
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
# Command: what it cannot do without (what typer imports to show a help page; what it and a table of rich need), what
# the table says of it, and the command's words.
_LIGHT = {
    "--help": ("import typer.rich_utils", ", which shows every help page", ["--help"]),
    "recipes list": ("import typer, rich.console, rich.table", "", ["recipes", "list"]),
}


def measure(rounds: int = 7) -> list[Result]:
    """Measure the three starts that users wait for."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", seed=0, splits={"train": 1, "val": 1}, size=(448, 448))
        image = next(path for path in sorted(Path(folder).rglob("*")) if path.suffix in (".jpg", ".png"))
        starts = {"python": _python("pass"), "bare": _python(_BARE), "with peft": _python("import peft" + _BARE)}
        for name, (floor, _, words) in _LIGHT.items():
            starts |= {floor: _python(floor), name: partial(_run, *_COMMAND, *words)}
        starts["count"] = partial(_run, *_COMMAND, "count", "adapters/demo", str(image))
        seconds = alternate(starts, rounds=rounds)
    rows = [
        Result(
            "`count` on one image, bundled base, cold",
            "importing torch and OpenCV, and a forward pass",
            Spread.of(seconds["bare"], seconds["count"]),
            aim=1 / 1.1,
            note="the official encoder's package imports torchvision, and ours does not.",
        ),
        Result(
            "`count` on one image, bundled base, cold",
            "importing torch, OpenCV and peft, and a forward pass",
            Spread.of(seconds["with peft"], seconds["count"]),
        ),
    ]
    for name, (floor, what, _) in _LIGHT.items():
        rows += [
            Result(
                f"`{name}`",
                "an empty Python process",
                Spread.of(seconds["python"], seconds[name]),
                note=f"{min(seconds[name]):.2f} s in the best round; 0.3 s was aimed at.",
            ),
            Result(
                f"`{name}`",
                f"`{floor}`{what}",
                Spread.of(seconds[floor], seconds[name]),
                note=f"the imports alone are {min(seconds[floor]):.2f} s in the best round.",
            ),
        ]
    return rows


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _python(code: str) -> partial[None]:
    return partial(_run, sys.executable, "-c", code)


if __name__ == "__main__":
    write_row("start", measure())
