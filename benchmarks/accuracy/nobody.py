"""What a counter makes of photographs without people: crops of crowd photographs, far from every annotated head.

    python -m benchmarks.accuracy.nobody --data DIR --adapter ADAPTER

Of each training image the crop of 256 pixels a side that lies the farthest from all heads, where that is at least 40
pixels: walls, roads, leaves, sky, cars. Prints what they are counted as: mean, median, most, and the share below 2.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.pages import parser, table
from sam_mprompt.arrays import ByteImage
from sam_mprompt.counting.counter import load
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.image import read_image

SIDE, MARGIN, STEP, CROPS = 256, 40, 64, 40


def crowd_free(folder: Path, *, most: int = CROPS) -> Iterator[ByteImage]:
    """Yield crops without people of a dataset's training images, one of an image at most, uint8 RGB (256, 256, 3)."""
    found = 0
    for sample in read_split(folder, "train", val_fraction=0.0).samples:
        height, width = sample.size
        rows, columns = (range(0, side - SIDE + 1, STEP) for side in (height, width))
        corners = np.array([(x, y) for y in rows for x in columns])
        if found == most or not len(corners) or sample.points is None or not len(sample.points):
            continue
        low, high = corners[:, None] - sample.points, sample.points - corners[:, None] - SIDE
        away = np.maximum(low, high).max(axis=2).min(axis=1)  # pixels to the nearest head; below 0 where one is inside
        if away.max() >= MARGIN:
            found += 1
            x, y = corners[away.argmax()]
            yield read_image(sample.image)[y : y + SIDE, x : x + SIDE]


def main() -> None:
    """Print a Markdown table of one row."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="the dataset's folder")
    arguments.add_argument("--adapter", required=True, help="folder or name")
    options = arguments.parse_args()
    counter = load(options.adapter)
    counts = np.array([counter.count(crop).count for crop in crowd_free(options.data)])
    figures = [f"{counts.mean():.2f}", f"{np.median(counts):.2f}", f"{counts.max():.1f}"]
    row = [str(len(counts)), *figures, f"{100 * (counts < 2).mean():.0f} %"]
    print(table(["crops", "mean", "median", "most", "below 2"], [row]))


if __name__ == "__main__":
    main()
