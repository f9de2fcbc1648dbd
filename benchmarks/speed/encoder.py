"""SAM-base's image encoder, ours against three libraries: python -m benchmarks.encoder

    python -m benchmarks.encoder                         # all, more than an hour on one core
    python -m benchmarks.encoder --sides 448 --batches 1 # one of them; the other rows stay as they are

Time from one process that alternates between the four; memory is how far the peak of a process that runs one of them
once rises above its weights. Random weights (speed does not depend on them), float32.
"""

import argparse
import re
from collections.abc import Callable

import torch

from benchmarks.pairs import (
    HERE,
    Result,
    Spread,
    alternate,
    in_fresh_process,
    matrix_rate,
    multiply_adds,
    peak_bytes,
    read_row,
    write_row,
)
from benchmarks.sam_encoders import LIBRARIES, features_of
from sam_mprompt.models.sam_config import CONFIGS, SamConfig

_SIDES, _BATCHES = (448, 1024, 896), (1, 4)
_AGAINST = [name for name in LIBRARIES if name != "ours"]


def prepared(name: str, config: SamConfig, side: int, batch: int) -> Callable[[], torch.Tensor]:
    """Return a function that encodes random images with one of the encoders."""
    torch.manual_seed(0)
    encoder = LIBRARIES[name](config, side).eval().requires_grad_(False)
    images = torch.randn(batch, 3, side, side)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return features_of(encoder(images))

    return run


def memory(name: str, config: SamConfig, side: int, batch: int) -> int:
    """Return the bytes by which the peak of this process rises in one forward pass."""
    run = prepared(name, config, side, batch)
    before = peak_bytes()
    run()
    return peak_bytes() - before


def compare(config: SamConfig, side: int, batch: int, rounds: int) -> list[Result]:
    """Return the rows of one image size and batch."""
    runs = {name: prepared(name, config, side, batch) for name in LIBRARIES}
    seconds = alternate(runs, rounds=rounds, warm=batch == 1)  # four images at once take minutes
    limit = multiply_adds(runs["ours"]) / min(seconds["ours"]) / matrix_rate()
    peaks = {name: in_fresh_process(memory, name, config, side, batch) for name in LIBRARIES}
    what = f"encoder, {_which(side, batch)}"
    largest = side == 1024
    times = [
        Result(
            what,
            name,
            Spread.of(seconds[name], seconds["ours"]),
            aim=1.5 if name == "segment_anything" and largest else 1.0,
            limit=limit,
        )
        for name in _AGAINST
    ]
    saved = {name: peaks[name] / peaks["ours"] for name in _AGAINST}
    return times + [
        Result(
            f"its peak memory ({peaks['ours'] / 1e9:.2f} GB), {_which(side, batch)}",
            name,
            Spread(ratio, ratio, ratio),
            aim=1 / 0.6 if name == "segment_anything" and largest else None,
        )
        for name, ratio in saved.items()
    ]


def main() -> None:
    """Measure sizes and batches; what is done is kept after each, as are the rows of those that are not asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=_SIDES, help="pixels, multiples of 16")
    parser.add_argument("--batches", type=int, nargs="+", default=_BATCHES)
    options = parser.parse_args()
    for batch in options.batches:
        for side in options.sides:
            new = compare(CONFIGS["vit_b"], side, batch, rounds=3 if batch == 1 else 1)
            kept = read_row(HERE / "speed" / "encoder.json")
            others = [row for row in kept if not row.what.endswith(_which(side, batch))]
            write_row("encoder", sorted(others + new, key=_size))


def _which(side: int, batch: int) -> str:
    return f"{side} px, batch {batch}"


def _size(row: Result) -> list[int]:
    """Batch and side of a row, to sort by."""
    return [int(number) for number in re.findall(r"\d+", row.what)][:-3:-1]


if __name__ == "__main__":
    main()
