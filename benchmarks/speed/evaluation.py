"""Counting a whole image against nine overlapping crops: python -m benchmarks.speed.evaluation

The released code of mPrompt cuts nine crops of half the image's sides at steps of a quarter, counts each and keeps the
middle of each; ours counts tiles whose weights sum to one. The same model, the bundled demo adapter, in both.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks.speed.demo import count_tiles, demo
from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.counting.counter import load
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.data.scenes.crowd import crowd_scene
from sam_mprompt.geometry import Geometry
from sam_mprompt.models.counter import CrowdCounter

_WHY = (
    "Nine crops compute 2.25 times the image. Tiles become smaller in steps of 224 px only: SAM's windows are padded "
    "where a side is no multiple of that, and heads were seen in the padding. Attention of the global blocks costs "
    "more per pixel in a large tile than in a crop of half the image's sides."
)


class OnePerCell:
    """Stands in for a model: a density of one in each cell of 8 x 8 pixels, so that a count is the area counted."""

    stride = 8

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def __call__(self, images: torch.Tensor) -> SimpleNamespace:
        height, width = images.shape[2:]
        return SimpleNamespace(density=torch.ones(1, 1, height // self.stride, width // self.stride))


def nine_crops(model: CrowdCounter | OnePerCell, image: np.ndarray) -> float:
    """Return the count by nine crops of half the sides; what lies between two centres is taken from the nearer crop."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    stride, total = model.stride, np.zeros((image.shape[0] // model.stride, image.shape[1] // model.stride))
    for row in range(3):
        for column in range(3):
            top, left = row * height // 2, column * width // 2
            crop = torch.from_numpy(image[top : top + height, left : left + width].copy()).permute(2, 0, 1)[None]
            with torch.inference_mode():
                density = model(model.normalise(crop)).density[0, 0].numpy()
            y0, y1 = (0 if row == 0 else height // 4), (height if row == 2 else 3 * height // 4)
            x0, x1 = (0 if column == 0 else width // 4), (width if column == 2 else 3 * width // 4)
            part = density[y0 // stride : y1 // stride, x0 // stride : x1 // stride]
            y, x = (top + y0) // stride, (left + x0) // stride
            total[y : y + part.shape[0], x : x + part.shape[1]] = part
    return float(total.sum())


def crowd(height: int, width: int) -> np.ndarray:
    """Return procedural scenes side by side, four in a row, cut to a size of at most 1536 x 2048."""
    rows = [
        np.concatenate(
            [crowd_scene(0, 4 * row + column, (512, 512)).image for column in range(-(-width // 512))], axis=1
        )
        for row in range(-(-height // 512))
    ]
    return np.concatenate(rows)[:height, :width]


def measure(
    sizes: Sequence[tuple[int, int, int]] = ((768, 1024, 896), (768, 1024, 1024), (1536, 2048, 896)), rounds: int = 5
) -> list[Result]:
    """Measure (height, width, tile): the tiles of most recipes and, where one does, a single tile."""
    counter = demo()
    covered = nine_crops(OnePerCell(), np.zeros((750, 1000, 3), np.uint8)) / (750 * 1000 / OnePerCell.stride**2)
    results = []
    for height, width, tile in sizes:
        image = crowd(height, width)
        ways = {
            "nine": partial(nine_crops, counter.model, image),
            "ours": partial(count_tiles, counter, image, tile),
        }
        seconds = alternate(ways, rounds=rounds)
        results.append(
            Result(
                f"counting a {width}x{height} image, sam-tiny, tiles of {tile} px",
                "nine half-size crops at quarter steps",
                Spread.of(seconds["nine"], seconds["ours"]),
                aim=2.0,
                note=f"a map of ones on 1000x750 pixels adds up to {100 * covered:.1f} % of its area by their crops: "
                "the centres do not meet unless sides are multiples of four cells; by ours to all of it.",
            )
        )
    results[-1] = replace(results[-1], note=f"{results[-1].note} {_WHY}")
    return results


def fitted(sizes: Sequence[tuple[int, int]] = ((1080, 1440), (1536, 2048)), rounds: int = 5) -> list[Result]:
    """Measure tiles that are as small as their number allows against whole ones, with a network of convolutions."""
    backend = load("adapters/street", device="cpu").ready("default").backend
    results = []
    for height, width in sizes:
        image = crowd(height, width)
        whole = Geometry(max_side=20_000, overlap=128)
        ways = {step: partial(predict_density, backend, image, replace(whole, tile_step=step)) for step in (0, 32)}
        off = abs(ways[32]().count / ways[0]().count - 1)
        seconds = alternate({str(step): way for step, way in ways.items()}, rounds=rounds)
        what = f"counting a {width}x{height} image, street, tiles as small as their number allows"
        ratio = Spread.of(seconds["0"], seconds["32"])
        results.append(
            Result(what, f"tiles of {whole.tile} px", ratio, note=f"the counts differ by {100 * off:.2f} %.")
        )
    return results


if __name__ == "__main__":
    write_row("evaluation", [*measure(), *fitted()])
