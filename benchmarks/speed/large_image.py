"""Counting a 16,000 x 12,000 image: python -m benchmarks.speed.large_image

Peak memory above model and image, and time against four times as few pixels: linear work has a ratio of four.
"""

import time

import numpy as np

from benchmarks.speed.demo import count_tiles, demo, noise
from benchmarks.speed.pairs import Result, Spread, in_fresh_process, peak_rise
from benchmarks.speed.table import write_row


def count(height: int, width: int) -> tuple[float, int]:
    """Return seconds, and the bytes by which the peak rises above model and image, in this process, which is new."""
    counter, image = demo(), np.tile(noise(500, 500), (height // 500, width // 500, 1))
    count_tiles(counter, image[:896, :896])
    started = time.perf_counter()
    risen = peak_rise(lambda: count_tiles(counter, image))
    return time.perf_counter() - started, risen


def measure(height: int = 12_000, width: int = 16_000) -> list[Result]:
    """Measure an image and a quarter of it, each in a process of its own."""
    (quarter, _), (whole, risen) = (in_fresh_process(count, height // n, width // n) for n in (2, 1))
    return [
        Result(
            f"a {width:,} x {height:,} image, sam-tiny",
            "four times the time of a quarter of it",
            Spread.once(4 * quarter / whole),
            note=f"1 is linear. Peak memory {risen / 1e9:.2f} GB above model and image; 1.5 GB was aimed at.",
        )
    ]


if __name__ == "__main__":
    write_row("large_image", measure())
