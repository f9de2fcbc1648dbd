"""Scenes of things as training batches for promptable segmentation: crops, point prompts, what is to be predicted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..data.scenes.objects import object_scene
from .recipe import SceneRecipe
from .thing_decoder import CELL

_CENTRE_SIGMA = 0.8  # cells
_REACH = 2  # cells around a centre that its peak touches
_NEIGHBOURHOOD = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1].reshape(2, 1, -1)


@dataclass(frozen=True)
class PromptedBatch:
    """Crops of scenes with point prompts; h = H / CELL, w = W / CELL.

    Attributes:
        images: uint8 (B, 3, H, W), RGB.
        labels: int32 (B, h, w), the thing at each cell's middle, 0 for the ground.
        maps: float32 (B, 3, h, w) in [0, 1], the `MAPS`: share of things, share of outline, closeness to a centre.
        offsets: float32 (B, 2, h, w) in [-1, 1], where in its thing a cell lies; 0 on the ground.
        prompts: int64 (B, P), prompted cells row * w + column, each on a thing.
        valid: bool (B,), False for a crop without things, whose prompts mean nothing.
    """

    images: Tensor
    labels: Tensor
    maps: Tensor
    offsets: Tensor
    prompts: Tensor
    valid: Tensor

    def masks(self) -> Tensor:
        """Return the prompted things, bool (B, P, h, w)."""
        prompted = self.labels.flatten(1).gather(1, self.prompts)
        return self.labels[:, None] == prompted[:, :, None, None]


class PromptedScenes(Dataset[PromptedBatch]):
    """Batch `step` of an endless, deterministic sequence; no scene comes twice.

    Args:
        recipe: sizes, and how often scenes are seen whole.
        scenes: scenes per batch, each cut into `recipe.parts` ** 2 crops or whole.
        prompts: per crop or whole scene.
        seed: which sequence.
    """

    def __init__(self, recipe: SceneRecipe, *, scenes: int, prompts: int, seed: int) -> None:
        self.recipe, self.scenes, self.prompts, self.seed = recipe, scenes, prompts, seed

    def __getitem__(self, step: int) -> PromptedBatch:
        size, every = self.recipe.size, self.recipe.whole_every
        parts = 1 if every and (step + 1) % every == 0 else self.recipe.parts
        rng = np.random.default_rng([self.seed, step, 3])
        images, labels, maps, offsets, prompts, valid = [], [], [], [], [], []
        for index in range(step * self.scenes, (step + 1) * self.scenes):
            scene = object_scene(self.seed, index, (size, size))
            for image, instances in zip(_cut(scene.image, parts), _cut(scene.instances, parts), strict=True):
                middles = instances[CELL // 2 :: CELL, CELL // 2 :: CELL]
                images.append(image.transpose(2, 0, 1))
                labels.append(middles)
                maps.append(dense_maps(instances))
                offsets.append(thing_offsets(middles))
                prompts.append(point_prompts(rng, middles, self.prompts))
                valid.append(bool(middles.any()))
        return PromptedBatch(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(labels)),
            torch.from_numpy(np.stack(maps)),
            torch.from_numpy(np.stack(offsets)),
            torch.from_numpy(np.stack(prompts)),
            torch.tensor(valid),
        )


def point_prompts(rng: np.random.Generator, labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Choose `count` cells on things: one half any such cells, one half cells of things that are chosen alike.

    The first half favours large things, the second the many small ones.

    Args:
        rng: source of the choice.
        labels: (h, w), 0 for the ground.
        count: number of prompts.

    Returns:
        int64 (count,), row * w + column; all 0 when there are no things.
    """
    flat = labels.ravel()
    cells = np.flatnonzero(flat)
    if not len(cells):
        return np.zeros(count, np.int64)
    cells = cells[np.argsort(flat[cells], kind="stable")]
    _, first, sizes = np.unique(flat[cells], return_index=True, return_counts=True)
    things = rng.integers(0, len(first), count - count // 2)
    by_thing = first[things] + rng.integers(0, sizes[things])
    return np.concatenate([cells[rng.integers(0, len(cells), count // 2)], cells[by_thing]]).astype(np.int64)


def dense_maps(instances: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the `MAPS` of instances (H, W): float32 (3, H / CELL, W / CELL) in [0, 1]."""
    height, width = instances.shape[0] // CELL, instances.shape[1] // CELL
    edge = np.zeros(instances.shape, bool)
    for axis in (0, 1):
        differs = np.diff(instances, axis=axis) != 0
        for ahead in (slice(None, -1), slice(1, None)):
            edge[(ahead, slice(None)) if axis == 0 else (slice(None), ahead)] |= differs
    shares = [mask.reshape(height, CELL, width, CELL).mean((1, 3)) for mask in (instances > 0, edge)]
    return np.stack([*shares, _centres(instances)]).astype(np.float32)


def thing_offsets(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return float32 (2, h, w): each cell's (x, y) from its thing's centre, in units of the thing's reach that way.

    The centre is that of the bounding box of what can be seen of the thing in `labels` (h, w), so values span -1 to 1
    from side to side; they are 0 on the ground, and along an axis in which the thing is one cell wide.
    """
    offsets = np.zeros((2, *labels.shape), np.float32)
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    for axis, places in enumerate((columns, rows)):
        low = np.full(labels.max(initial=0) + 1, np.iinfo(np.int64).max)
        high = np.zeros_like(low)
        np.minimum.at(low, numbers, places)
        np.maximum.at(high, numbers, places)
        reach = np.maximum(high[numbers] - low[numbers], 1)
        offsets[axis, rows, columns] = (2 * places - low[numbers] - high[numbers]) / reach
    return offsets


def _centres(instances: NDArray[np.int32]) -> NDArray[np.float64]:
    """A peak of 1 at the centre of gravity of what can be seen of each thing, (H / CELL, W / CELL)."""
    height, width = instances.shape
    rows, columns = np.divmod(np.flatnonzero(instances), width)
    numbers = instances[rows, columns]
    sizes = np.maximum(np.bincount(numbers), 1)
    seen = np.unique(numbers)
    sums = np.stack([np.bincount(numbers, rows), np.bincount(numbers, columns)])
    centres = (sums[:, seen] / sizes[seen] + 0.5) / CELL - 0.5  # (2, N) in cells
    near = np.round(centres).astype(int)[:, :, None] + _NEIGHBOURHOOD  # (2, N, K)
    heights = np.exp(-((near - centres[:, :, None]) ** 2).sum(0) / (2 * _CENTRE_SIGMA**2))
    limits = np.array([height // CELL, width // CELL])[:, None, None]
    inside = ((near >= 0) & (near < limits)).all(0)
    peaks = np.zeros((height // CELL, width // CELL))
    np.maximum.at(peaks, (near[0][inside], near[1][inside]), heights[inside])
    return peaks


def _cut(image: NDArray[Any], parts: int) -> list[NDArray[Any]]:
    """Cut an image (H, W, ...) into parts * parts equal pieces."""
    return [piece for row in np.split(image, parts, axis=0) for piece in np.split(row, parts, axis=1)]
