"""From samples to batches: read, resize, augment and make the targets of one crop."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..arrays import ByteImage, FloatArray, Mask
from ..losses import Heads, Targets
from ..recipe.data import DataRecipe, TargetRecipe
from ..targets import box_mask, density_map, disc_mask, grid_size, inside, point_mask
from .augment import AnnotatedImage, colour_jitter, horizontal_flip, pixel_noise, random_blur, random_crop
from .sources import Source

Key = tuple[int, int]
"""(epoch, index): all that decides what one training crop is, together with the seed."""


@dataclass(frozen=True)
class Crop:
    """One training example: image uint8 (3, S, S); density float32 and masks bool, (1, s, s) on cells.

    `size` is the (height, width) of the image without the padding at its bottom and right, which is zero now and again
    after normalisation. `features` are the encoder's, (C, S/stride, S/stride), where they were computed before.
    """

    image: Tensor
    size: tuple[int, int]
    targets: Targets
    key: Key
    features: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Crops stacked: images uint8 (B, 3, S, S), sizes before padding, targets (B, 1, s, s), keys, features."""

    images: Tensor
    sizes: list[tuple[int, int]]
    targets: Targets
    keys: list[Key]
    features: Tensor | None = None

    def pin_memory(self) -> "Batch":
        """Return a copy in memory that a GPU can fetch from while the CPU goes on; the loader calls it."""
        features = None if self.features is None else self.features.pin_memory()
        return Batch(self.images.pin_memory(), self.sizes, self.targets.pin_memory(), self.keys, features)


class CropDataset(Dataset[Crop]):
    """Random crops of a source with their targets; the same seed, epoch and index always give the same crop.

    Args:
        source: annotated images.
        data: crop size and augmentation.
        targets: how points become targets.
        seed: of crops and augmentation.
        stride: pixels per side of a density cell.
        points: whether the targets hold the heads themselves too.
    """

    def __init__(
        self,
        source: Source,
        data: DataRecipe,
        targets: TargetRecipe,
        *,
        seed: int,
        stride: int,
        points: bool = False,
    ) -> None:
        self.source, self.data, self.targets = source, data, targets
        self.seed, self.stride, self.points = seed, stride, points

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Crop:
        epoch, index = key
        data = self.data
        rng = np.random.default_rng((self.seed, epoch, index))
        frame = random_crop(self.source.frame(epoch, index), data.crop, data.random_scale, rng)
        if rng.random() < data.flip:
            frame = horizontal_flip(frame)
        image = colour_jitter(frame.image, data.jitter, rng) if data.jitter > 0 else frame.image
        if data.blur > 0:
            image = random_blur(image, data.blur, rng)
        if data.pixel_noise > 0:
            image = pixel_noise(image, data.pixel_noise, rng)
        targets = crop_targets(frame, self.targets, side=data.crop, stride=self.stride, points=self.points)
        return Crop(padded_image(image, data.crop), frame.size, targets, key)


def padded_image(image: ByteImage, side: int) -> Tensor:
    """Return an image (H, W, 3) as uint8 (3, side, side), padded with zeros at the bottom and right."""
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous()


def crop_targets(frame: AnnotatedImage, recipe: TargetRecipe, *, side: int, stride: int, points: bool) -> Targets:
    """Return the targets of a crop, padded to a square of `side` pixels; with `points` its heads too."""
    heads = None
    if points:
        own = frame.points[inside(frame.points, frame.size)]
        heads = Heads(torch.from_numpy(np.ascontiguousarray(own, np.float32)), (len(own),))
    return Targets(**padded_targets(frame, recipe, side=side, stride=stride), heads=heads)


def padded_targets(frame: AnnotatedImage, recipe: TargetRecipe, *, side: int, stride: int) -> dict[str, Tensor]:
    """Return the targets of a crop by name, (1, s, s), padded to a square of `side` pixels."""
    rows, columns = grid_size((side, side), stride)
    return {
        name: torch.from_numpy(np.pad(cells, ((0, rows - cells.shape[0]), (0, columns - cells.shape[1]))))[None]
        for name, cells in vars(frame_targets(frame, recipe, stride=stride)).items()
    }


@dataclass(frozen=True)
class FrameTargets:
    """The targets of one frame on its cells, each (ceil(H/stride), ceil(W/stride)); padding them adds nobody."""

    density: FloatArray
    pseudo_mask: Mask
    context_mask: Mask


def frame_targets(frame: AnnotatedImage, recipe: TargetRecipe, *, stride: int) -> FrameTargets:
    """Make density, pseudo mask and context mask of a whole image or a crop."""
    size = frame.size
    density = density_map(frame.points, size, stride=stride, sigma=recipe.sigma, kernel_size=recipe.kernel_size)
    if recipe.pseudo_mask == "boxes":
        boxes: FloatArray = np.zeros((0, 4), np.float32) if frame.boxes is None else frame.boxes
        pseudo_mask = box_mask(boxes, size, stride=stride)
    elif recipe.pseudo_mask == "points":
        pseudo_mask = point_mask(frame.points, size, dilation=recipe.point_dilation, stride=stride)
    elif recipe.pseudo_mask == "files" and frame.mask is not None:
        middles = [np.minimum(np.arange(0, side, stride) + stride // 2, side - 1) for side in size]
        pseudo_mask = frame.mask[np.ix_(*middles)]
    else:
        pseudo_mask = np.zeros(grid_size(size, stride), np.bool_)
    return FrameTargets(density, pseudo_mask, disc_mask(frame.points, frame.radius, size, stride=stride))


def collate(crops: Sequence[Crop]) -> Batch:
    """Stack crops into a batch."""
    features = [c.features for c in crops if c.features is not None]
    return Batch(
        torch.stack([c.image for c in crops]),
        [c.size for c in crops],
        Targets.stacked([c.targets for c in crops]),
        [c.key for c in crops],
        torch.stack(features) if features else None,
    )


class EpochBatches(Sampler[list[Key]]):
    """The batches of one epoch for one process: a seeded permutation, the last batch filled up from its start.

    Every process draws the same permutation and takes its own share, so all have equally many batches.

    Args:
        length: number of images.
        batch_size: crops a batch and process.
        seed: of the permutation, together with the epoch.
        rank, world: this process and how many there are.
    """

    def __init__(self, length: int, batch_size: int, *, seed: int, rank: int = 0, world: int = 1) -> None:
        self.length, self.batch_size, self.seed, self.rank, self.world = length, batch_size, seed, rank, world
        self.epoch = 0
        self.first = 0

    def __len__(self) -> int:
        return math.ceil(self.length / (self.batch_size * self.world))

    def start(self, epoch: int, first: int = 0) -> None:
        """Choose the epoch and the first batch of it (resuming skips what was done)."""
        self.epoch, self.first = epoch, first

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        needed = len(self) * self.batch_size * self.world
        mine = np.resize(order, needed)[self.rank :: self.world]
        for batch in range(self.first, len(self)):
            chosen = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, int(index)) for index in chosen]
