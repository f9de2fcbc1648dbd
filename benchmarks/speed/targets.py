"""Targets of one 400x400 crop of an image with many heads: python -m benchmarks.speed.targets

Ours and a plain loop make density, context mask and point mask of the crop, in cells of 8 pixels as our recipes have
them, both from a radius per head that is known before. The loop takes the heads that reach into the crop, adds a kernel
and draws two discs for each, and sums pixels to cells in the end.
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

_SIZE, _CROP, _TOP, _LEFT, _STRIDE = (2048, 3072), 400, 600, 900, 8
_EARLIER = (
    "Earlier tables had 95 and 373 here, against whole-image code that computed the distances between all pairs of "
    "heads for every crop: the time of an O(N^2) that nobody has to pay."
)
_RECIPE = TargetRecipe(point_dilation=8)


def plain_loop(points: np.ndarray, radius: np.ndarray, top: int, left: int) -> tuple[np.ndarray, ...]:
    """Return density, context mask and point mask of the crop, head by head."""
    side, half = _CROP, 7
    moved = points - np.array([left, top], np.float32)
    reach = np.maximum(radius, half + 1)[:, None]
    near = np.all((moved + reach > 0) & (moved - reach < side), axis=1)
    density = np.zeros((side, side))
    context, dots = (np.zeros((side // _STRIDE, side // _STRIDE), bool) for _ in range(2))
    for (x, y), r in zip(moved[near], radius[near], strict=True):
        if 0 <= x < side and 0 <= y < side:
            row, column = int(y), int(x)
            y0, y1, x0, x1 = max(row - 7, 0), min(row + 8, side), max(column - 7, 0), min(column + 8, side)
            rows, columns = np.ogrid[y0:y1, x0:x1]
            kernel = np.exp(-((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2) / (2 * _RECIPE.sigma**2))
            density[y0:y1, x0:x1] += kernel / kernel.sum()
        for mask, distance in ((context, r), (dots, _RECIPE.point_dilation)):
            y0, x0 = (max(int((place - distance) / _STRIDE), 0) for place in (y, x))
            y1, x1 = (min(int((place + distance) / _STRIDE) + 2, len(mask)) for place in (y, x))
            if y0 < y1 and x0 < x1:
                rows, columns = np.ogrid[y0:y1, x0:x1]
                away = ((rows + 0.5) * _STRIDE - y) ** 2 + ((columns + 0.5) * _STRIDE - x) ** 2
                mask[y0:y1, x0:x1] |= away <= distance * distance
    cells = side // _STRIDE
    return density.reshape(cells, _STRIDE, cells, _STRIDE).sum((1, 3)), context, dots


def annotated(points: np.ndarray, radius: np.ndarray) -> AnnotatedImage:
    """Return a black image with heads and their context radii."""
    return AnnotatedImage(np.zeros((*_SIZE, 3), np.uint8), points, radius, None)


def crop_targets(whole: AnnotatedImage) -> object:
    """Make the targets of the crop."""
    cut = whole.image[_TOP : _TOP + _CROP, _LEFT : _LEFT + _CROP]
    return frame_targets(whole.moved(cut, (1.0, 1.0), (_LEFT, _TOP)), _RECIPE, stride=_STRIDE)


def scattered(heads: int, seed: int) -> np.ndarray:
    """Return heads anywhere in the image, float32 (N, 2)."""
    return np.random.default_rng(seed).uniform((0, 0), (_SIZE[1], _SIZE[0]), (heads, 2)).astype(np.float32)


def against_loop(heads: int) -> Result:
    """Compare the crop's targets with those of a loop over the heads that reach into it."""
    points = scattered(heads, seed=heads)
    radius = context_radius(points, k=3)
    seconds = alternate(
        {
            "loop": partial(plain_loop, points, radius, _TOP, _LEFT),
            "ours": partial(crop_targets, annotated(points, radius)),
        },
        rounds=15,
    )
    return Result(
        f"targets of a crop, {heads:,} heads in the image",
        "a loop over the heads near the crop, radii given",
        Spread.of(seconds["loop"], seconds["ours"]),
        aim=5.0,
        note=_EARLIER if heads == 3000 else "",
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
    return [*(against_loop(heads) for heads in numbers), against_nothing_outside(numbers[-1])]


if __name__ == "__main__":
    write_row("targets", measure())
