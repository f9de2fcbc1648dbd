"""Targets of one 400x400 crop of an image with many heads: python -m benchmarks.speed.targets

Ours makes density, context mask and point mask of the crop from a radius per head that is computed once per image. The
other is whole-image code as it is often written: distances between all pairs of heads, one kernel added per head over
the whole image, discs drawn over the whole image, then the crop.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.data.augment import AnnotatedImage
from sam_mprompt.data.dataset import frame_targets
from sam_mprompt.recipe.schema import TargetRecipe
from sam_mprompt.targets import context_radius

_SIZE, _CROP, _TOP, _LEFT = (2048, 3072), 400, 600, 900
_RECIPE = TargetRecipe(point_dilation=8)


def straightforward(points: np.ndarray, top: int, left: int) -> tuple[np.ndarray, ...]:
    """Return density, context mask and point mask of the crop, all made for the whole image first."""
    height, width = _SIZE
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    nearest = np.sort(distances, axis=1)[:, 1:4]
    density, context, dots = np.zeros(_SIZE), np.zeros(_SIZE, bool), np.zeros(_SIZE, bool)
    offsets = np.arange(-7, 8)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * _RECIPE.sigma**2))
    kernel /= kernel.sum()
    for (x, y), reach in zip(points, nearest, strict=True):
        radius = reach[2]
        if radius > 2 * reach[:2].mean():
            radius = reach[1] if reach[1] <= 2 * reach[0] else reach[0]
        row, column = int(y), int(x)
        y0, y1, x0, x1 = max(row - 7, 0), min(row + 8, height), max(column - 7, 0), min(column + 8, width)
        density[y0:y1, x0:x1] += kernel[y0 - row + 7 : y1 - row + 7, x0 - column + 7 : x1 - column + 7]
        for mask, r in ((context, radius), (dots, _RECIPE.point_dilation)):
            y0, y1 = max(int(y - r), 0), min(int(y + r) + 2, height)
            x0, x1 = max(int(x - r), 0), min(int(x + r) + 2, width)
            rows, columns = np.ogrid[y0:y1, x0:x1]
            mask[y0:y1, x0:x1] |= (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= r * r
    cut = np.s_[top : top + _CROP, left : left + _CROP]
    return density[cut], context[cut], dots[cut]


def annotated(points: np.ndarray, radius: np.ndarray) -> AnnotatedImage:
    """Return a black image with heads and their context radii."""
    return AnnotatedImage(np.zeros((*_SIZE, 3), np.uint8), points, radius, None)


def crop_targets(whole: AnnotatedImage) -> object:
    """Make the targets of the crop."""
    cut = whole.image[_TOP : _TOP + _CROP, _LEFT : _LEFT + _CROP]
    return frame_targets(whole.moved(cut, (1.0, 1.0), (_LEFT, _TOP)), _RECIPE, stride=1)


def scattered(heads: int, seed: int) -> np.ndarray:
    """Return heads anywhere in the image, float32 (N, 2)."""
    return np.random.default_rng(seed).uniform((0, 0), (_SIZE[1], _SIZE[0]), (heads, 2)).astype(np.float32)


def against_whole_image(heads: int) -> Result:
    """Compare the crop's targets with those of the whole image, cut out."""
    points = scattered(heads, seed=heads)
    seconds = alternate(
        {
            "whole": partial(straightforward, points, _TOP, _LEFT),
            "ours": partial(crop_targets, annotated(points, context_radius(points, k=3))),
        },
        rounds=3 if heads > 3000 else 7,
    )
    return Result(
        f"targets of a crop, {heads:,} heads in the image",
        "straightforward whole-image code",
        Spread.of(seconds["whole"], seconds["ours"]),
        aim=50.0 if heads == 3000 else None,
    )


def against_nothing_outside(heads: int) -> Result:
    """Compare a crop with 100 heads with the same crop where the image has many more."""
    rng = np.random.default_rng(0)
    inside = rng.uniform((_LEFT, _TOP), (_LEFT + _CROP, _TOP + _CROP), (100, 2)).astype(np.float32)
    outside = rng.uniform((1500, 0), (3072, 2048), (heads, 2)).astype(np.float32)
    places = {"none": inside, "many": np.concatenate([inside, outside])}
    seconds = alternate(
        {name: partial(crop_targets, annotated(points, np.full(len(points), 12.0))) for name, points in places.items()},
        rounds=9,
    )
    return Result(
        "targets of a crop with 100 heads, none outside it",
        f"the same crop, {heads:,} heads outside it",
        Spread.of(seconds["none"], seconds["many"]),
        note="1 means that heads outside the crop cost nothing; what remains is finding out that they are outside.",
    )


def measure(numbers: Sequence[int] = (500, 3000, 12000)) -> list[Result]:
    """Measure several numbers of heads, the last of them also outside the crop alone."""
    return [*(against_whole_image(heads) for heads in numbers), against_nothing_outside(numbers[-1])]


if __name__ == "__main__":
    write_row("targets", measure())
