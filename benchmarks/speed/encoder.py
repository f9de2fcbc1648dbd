"""SAM-base's image encoder, ours against three libraries: python -m benchmarks.speed.encoder

    python -m benchmarks.speed.encoder                         # all, about an hour on one core
    python -m benchmarks.speed.encoder --sides 448 --batches 1 # one of them; the other rows stay as they are

Time from one process that alternates between the four; memory is how far the peak of a process that runs one of them
once rises above its weights. Random weights (speed does not depend on them), float32.
"""

import re
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.pages import parser
from benchmarks.speed.pairs import (
    Result,
    Spread,
    alternate,
    in_fresh_process,
    infer,
    matrix_rate,
    multiply_adds,
    peak_rise,
)
from benchmarks.speed.sam_encoders import LIBRARIES
from benchmarks.speed.table import read_row, record_of, write_row
from sam_mprompt.models.sam_config import CONFIGS, SamConfig

_SIDES, _BATCHES = (448, 1024, 896), (1, 4)
_WHY = (
    "most of what is left is products of frozen weights, at nearly the rate of the limit, and attention of the four "
    "global blocks, whose fused kernel is slower. Tried for it: pieces of other sizes, and products and softmax by "
    "themselves."
)
_AGAINST = [name for name in LIBRARIES if name != "ours"]


def prepared(name: str, config: SamConfig, side: int, batch: int) -> Callable[[], None]:
    """Return a function that encodes random images with one of the encoders."""
    torch.manual_seed(0)
    encoder = LIBRARIES[name](config, side).eval().requires_grad_(False)
    return partial(infer, encoder, torch.randn(batch, 3, side, side))


def memory(name: str, config: SamConfig, side: int, batch: int) -> int:
    """Return the bytes by which the peak of this process, which must be new, rises in one forward pass."""
    return peak_rise(prepared(name, config, side, batch))


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
            aim=2.0 if name == "segment_anything" and largest else 1.0,
            limit=limit,
            note=_WHY if name == "segment_anything" and largest and batch == 1 else "",
        )
        for name in _AGAINST
    ]
    saved = {name: peaks[name] / peaks["ours"] for name in _AGAINST}
    return times + [
        Result(
            f"its peak memory ({peaks['ours'] / 1e9:.2f} GB), {_which(side, batch)}",
            name,
            Spread.once(ratio),
            aim=1 / 0.6 if name == "segment_anything" and largest else None,
        )
        for name, ratio in saved.items()
    ]


def main() -> None:
    """Measure sizes and batches; what is done is kept after each, as are the rows of those that are not asked for."""
    arguments = parser(__doc__)
    arguments.add_argument("--sides", type=int, nargs="+", default=_SIDES, help="pixels, multiples of 16")
    arguments.add_argument("--batches", type=int, nargs="+", default=_BATCHES)
    options = arguments.parse_args()
    for batch in options.batches:
        for side in options.sides:
            new = compare(CONFIGS["vit_b"], side, batch, rounds=5)
            kept = read_row(record_of("encoder"))
            others = [row for row in kept if not row.what.endswith(_which(side, batch))]
            write_row("encoder", sorted(others + new, key=_size))


def _which(side: int, batch: int) -> str:
    return f"{side} px, batch {batch}"


def _size(row: Result) -> list[int]:
    """Batch and side of a row, to sort by."""
    return [int(number) for number in re.findall(r"\d+", row.what)][:-3:-1]


if __name__ == "__main__":
    main()
