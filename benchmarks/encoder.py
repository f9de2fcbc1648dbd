"""SAM-base's image encoder, ours against three libraries: python -m benchmarks.encoder

Time from one process that alternates between the four; memory is how far the peak of a process that runs one of them
once rises above its weights. Random weights (speed does not depend on them), float32.
"""

from collections.abc import Callable

import torch

from benchmarks.pairs import (
    Result,
    Spread,
    alternate,
    in_fresh_process,
    matrix_rate,
    multiply_adds,
    peak_bytes,
    write_row,
)
from benchmarks.sam_encoders import LIBRARIES, features_of
from sam_mprompt.models.sam_config import CONFIGS, SamConfig

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
    seconds = alternate(runs, rounds=rounds)
    limit = multiply_adds(runs["ours"]) / min(seconds["ours"]) / matrix_rate()
    peaks = {name: in_fresh_process(memory, name, config, side, batch) for name in LIBRARIES}
    what = f"encoder, {side} px, batch {batch}"
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
            f"its peak memory ({peaks['ours'] / 1e9:.2f} GB), {side} px, batch {batch}",
            name,
            Spread(ratio, ratio, ratio),
            aim=1 / 0.6 if name == "segment_anything" and largest else None,
        )
        for name, ratio in saved.items()
    ]


def main() -> None:
    """Measure three sizes and two batches, the better part of an hour; what is done is kept after each."""
    results: list[Result] = []
    for batch, rounds in ((1, 3), (4, 1)):
        for side in (448, 1024, 896):
            results += compare(CONFIGS["vit_b"], side, batch, rounds)
            write_row("encoder", results)


if __name__ == "__main__":
    main()
