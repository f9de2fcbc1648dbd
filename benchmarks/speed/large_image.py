"""Counting a 16,000 x 12,000 image: python -m benchmarks.large_image

Peak memory above model and image, and time against four times as few pixels: linear work has a ratio of four.
"""

import time

import numpy as np

from benchmarks.pairs import Result, Spread, in_fresh_process, peak_bytes, write_row


def count(height: int, width: int) -> tuple[float, int]:
    """Return seconds, and the bytes by which the peak rises above the model and the image."""
    import sam_mprompt
    from sam_mprompt.counting.predict import predict_density
    from sam_mprompt.geometry import Geometry

    counter = sam_mprompt.load("adapters/demo", device="cpu")
    small = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    image = np.tile(small, (height // 500, width // 500, 1))
    geometry = Geometry(max_side=20_000, min_side=224, tile=896, overlap=112)
    predict_density(counter.model, image[:896, :896], geometry, device="cpu")
    before, started = peak_bytes(), time.perf_counter()
    predict_density(counter.model, image, geometry, device="cpu")
    return time.perf_counter() - started, peak_bytes() - before


def main() -> None:
    """Measure the large image and a quarter of it, each in a process of its own."""
    (quarter, _), (whole, risen) = in_fresh_process(count, 6000, 8000), in_fresh_process(count, 12_000, 16_000)
    ratio = 4 * quarter / whole
    write_row(
        "large_image",
        [
            Result(
                "a 16,000 x 12,000 image, sam-tiny",
                "four times the time of a quarter of it",
                Spread(ratio, ratio, ratio),
                note=f"1 is linear. Peak memory {risen / 1e9:.2f} GB above model and image; 1.5 GB was aimed at.",
            )
        ],
    )


if __name__ == "__main__":
    main()
