"""Training in bfloat16 against float32 on a CPU: python -m benchmarks.speed.mixed_precision

Recipe `shb-lite0-full` with random weights, whole epochs on the same procedural images. It is for a CPU that has
products in bfloat16 (avx512_bf16 or AMX).
"""

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.speed.cached_epoch import epoch, opened
from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.data.scenes.crowd import write_dataset


def measure(crop: int = 384, images: int = 16, rounds: int = 5) -> list[Result]:
    """Measure an epoch of each, alternating."""
    shared = ["data.format=points", f"data.crop={crop}", "data.scale=1.0", "data.cache=none", "train.workers=0"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root / "data", seed=0, splits={"train": images, "val": 1}, size=(crop, crop))
        settings = [*shared, "model.pretrained=false"]
        sessions = {
            precision: opened(root, precision, [*settings, f"train.precision={precision}"], "shb-lite0-full")
            for precision in ("no", "bf16")
        }
        seconds = alternate({name: partial(epoch, session) for name, session in sessions.items()}, rounds=rounds)
    what = f"epoch of shb-lite0-full, {crop} px, train.precision = bf16"
    return [Result(what, "the same in float32", Spread.of(seconds["no"], seconds["bf16"]))]


if __name__ == "__main__":
    write_row("mixed_precision", measure())
