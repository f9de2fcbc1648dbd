"""What a frozen encoder makes of images, computed once and kept on disk; crops and flips are cut out of it.

Where blocks of the encoder are adapted, that is what enters the first of them, and training goes on from there. An
image is encoded whole, as counting encodes one that fits a tile, and once more mirrored. What was computed is found
again by the encoder's fingerprint, the first adapted block, the sizes that images are brought to, and the bytes of the
image file: a cache of another base, recipe or image is never read, and one that was interrupted goes on. Before a
training the checksum of each file is compared, and what is cut short or was changed is made anew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..counting.preprocess import network_input
from ..data.augment import AnnotatedImage, horizontal_flip
from ..data.cache.arrays import is_intact, read_cached, write_array
from ..data.cache.room import check_room
from ..data.dataset import Crop, Key, crop_targets, padded_image
from ..data.sources import DiskSource
from ..errors import RunError, UsageError, listed
from ..files import recover_within, sha256_of, write_text
from ..geometry import resized, round_up
from ..models.counter import CrowdCounter
from ..recipe.data import DataRecipe, TargetRecipe
from ..recipe.model import Model, SamModel, TimmModel

_BYTES = 2  # float16
_VIEWS = 2  # as it is, and mirrored


@dataclass(frozen=True)
class FeatureCache:
    """The cached features of a source's images.

    Attributes:
        files: one per image, float16 (2, h, w, C): the image and its mirror, all levels side by side. Levels finer than
            the coarsest lie folded into its cells.
        channels: of each level, folded.
        folds: how many cells of each level, per side, lie in one of the coarsest.
        stride: pixels per cell of the coarsest level.
        stop_before: the encoder's block that takes them; None when they are its output.
    """

    files: tuple[Path, ...]
    channels: tuple[int, ...]
    folds: tuple[int, ...]
    stride: int
    stop_before: int | None

    def read(self, index: int) -> NDArray[np.float16]:
        """Return one image's features (2, h, w, C), mapped from disk. Raises RunError when they are damaged."""
        return read_cached(self.files[index])

    def split(self, features: Tensor) -> list[Tensor]:
        """Return the levels (B, c_i, h f_i, w f_i) of features (B, C, h, w), in float32, with `folds` f_i."""
        parts = features.float().split(self.channels, dim=1)
        return [F.pixel_shuffle(part, fold) for part, fold in zip(parts, self.folds, strict=True)]


def build_cache(
    counter: CrowdCounter,
    source: DiskSource,
    fingerprint: str,
    *,
    data: DataRecipe,
    model: Model,
    stop_before: int | None,
    device: torch.device,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> FeatureCache:
    """Encode every image of a source that is not in the cache yet.

    Args:
        counter: whose frozen encoder is run.
        source: images on disk.
        fingerprint: of the encoder.
        data: names the cache's folder and its largest size.
        model: how the encoder reads positions.
        stop_before: the first block that trains, before which features are taken; None where no block does.
        device: where the encoder runs.
        say: called with a line about the size before anything is written, and with how many files were damaged.
        progress: called after each image with the numbers done and of all.

    Raises:
        UsageError: the cache would exceed data.cache_gb or the free space, a crop does not fit the images, or
            something trains before the first adapted block.
        RunError: the disk is full; what is cached stays.
    """
    stride = max(strides := _strides(counter, stop_before))
    folds = tuple(stride // own for own in strides)
    _check_crop(source, data.crop, stride, counter.size_divisor)
    if stop_before is not None:
        _check_frozen(counter.encoder, stop_before)
    used = [own * fold**2 for own, fold in zip(_channels(counter, stop_before), folds, strict=True)]
    described = {
        "encoder": fingerprint,
        "levels": used,
        "pad": ["zeros", counter.size_divisor],
        **_image_described(source),
        **_model_described(model, strides),
        **({} if stop_before is None else {"block": stop_before}),
    }
    folder = Path(data.cache_root) / hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    files = tuple(folder / f"{sha256_of(sample.image)[:24]}.npy" for sample in source.samples)
    cache = FeatureCache(files, tuple(used), folds, stride, stop_before)
    recover_within(folder)
    todo = _missing(files, say)
    _check_size(source, data, todo, sum(used), stride, counter.size_divisor, say)
    if todo:
        write_text(folder / "cache.json", json.dumps(described, indent=2, sort_keys=True) + "\n")
    for done, index in enumerate(todo, start=1):
        image = source.frame(0, index).image
        views = [_encoded(counter, view, stop_before, folds, device) for view in (image, image[:, ::-1])]
        _write(files[index], np.stack(views))
        if progress is not None:
            progress(done, len(todo))
    return cache


class CachedCrops(Dataset[Crop]):
    """Random crops, flipped half of the time, of cached features with their targets.

    The same seed, epoch and index always give the same crop. Crops lie on the feature grid. Images are only decoded
    where something reads them (the high-resolution stem); else the crop's image is black.

    Args:
        source: annotated images on disk.
        cache: their features.
        data: crop size and share of mirrored crops.
        targets: how points become targets.
        seed: of the crops.
        stride: pixels per side of a density cell.
        pixels: whether something reads the crop's pixels too.
        points: whether the targets hold the heads themselves too.
    """

    def __init__(
        self,
        source: DiskSource,
        cache: FeatureCache,
        data: DataRecipe,
        targets: TargetRecipe,
        *,
        seed: int,
        stride: int,
        pixels: bool,
        points: bool = False,
    ) -> None:
        self.source, self.cache, self.data, self.targets = source, cache, data, targets
        self.seed, self.stride, self.pixels, self.points = seed, stride, pixels, points

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Crop:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        side, cell = self.data.crop, self.cache.stride
        flipped = rng.random() < self.data.flip
        features = self.cache.read(index)
        # Any cell may be a crop's corner. The blocks still to be run restart their windows there, as they do on a crop
        # of pixels; crops that kept the image's windows (14 cells) would be few. What was cached has seen beyond the
        # crop, in windows and positions of the whole image, as what these blocks get when it is counted whole.
        top, left = (int(rng.integers(length - side // cell + 1)) * cell for length in features.shape[1:3])
        frame = self.source.frame(epoch, index) if self.pixels else self.source.outline(index)
        if flipped:
            frame = horizontal_flip(frame)
        cut = _cut(frame, top, left, side)
        y, x, n = top // cell, left // cell, side // cell
        chosen = torch.from_numpy(features[int(flipped), y : y + n, x : x + n].copy())
        targets = crop_targets(cut, self.targets, side=side, stride=self.stride, points=self.points)
        return Crop(padded_image(cut.image, side), cut.size, targets, key, chosen.permute(2, 0, 1))


def _cut(frame: AnnotatedImage, top: int, left: int, side: int) -> AnnotatedImage:
    return frame.moved(frame.image[top : top + side, left : left + side], (1.0, 1.0), (left, top))


def _missing(files: Sequence[Path], say: Callable[[str], None]) -> list[int]:
    """Return which files are not there, and which the disk has damaged: a line counts those."""
    missing = [index for index, file in enumerate(files) if not is_intact(file)]
    damaged = [files[index] for index in missing if files[index].is_file()]
    if damaged:
        say(
            f"{len(damaged)} of {len(files)} files of cached features were damaged and are made anew: "
            f"{listed(file.name for file in damaged)}"
        )
    return missing


def _encoded(
    counter: CrowdCounter,
    image: NDArray[np.uint8],
    stop_before: int | None,
    folds: Sequence[int],
    device: torch.device,
) -> NDArray[np.float16]:
    """Return all levels of one image (H, W, 3) as (h, w, C)."""
    height, width = (round_up(length, counter.size_divisor) for length in image.shape[:2])
    encoder = cast(Any, counter.encoder)
    with torch.inference_mode():
        pixels = network_input([image], (height, width), tuple(encoder.mean), tuple(encoder.std))
        levels = counter.encode(torch.from_numpy(pixels).to(device), stop_before)
        levels = [F.pixel_unshuffle(level, fold) for level, fold in zip(levels, folds, strict=True)]
    return np.concatenate([level[0].permute(1, 2, 0).half().cpu().numpy() for level in levels], axis=2)


def _channels(counter: CrowdCounter, stop_before: int | None) -> list[int]:
    encoder, levels = cast(Any, counter.encoder), counter.fusion is not None
    if stop_before is not None:
        return list(encoder.channels_until(stop_before, levels=levels))
    return [*encoder.level_channels] if levels else [int(encoder.out_channels)]


def _image_described(source: DiskSource) -> dict[str, Any]:
    """Return what of reading and resizing images decides about their features."""
    sizes = {"geometry": {key: getattr(source.geometry, key) for key in ("max_side", "min_side", "scale")}}
    return sizes | ({"stretch": True} if source.reading.stretch else {})


def _model_described(model: SamModel | TimmModel, strides: Sequence[int]) -> dict[str, Any]:
    """Return what of a recipe's model decides about the features of an encoder. A SAM has one stride."""
    if isinstance(model, SamModel):
        return {"positions": model.positions}
    return {"positions": "resample", "strides": [*strides]}


def _strides(counter: CrowdCounter, stop_before: int | None) -> list[int]:
    """Return the pixels per cell of each tensor that is kept; those before a block are the encoder's features' own."""
    encoder = cast(Any, counter.encoder)
    if stop_before is None and counter.fusion is not None:
        return [*encoder.level_strides]
    return [int(encoder.stride)] * len(_channels(counter, stop_before))


def _check_frozen(encoder: Any, stop_before: int) -> None:
    """Refuse what trains before the first adapted block, as tuning.options.modules_to_save can."""
    parts = {"pos_embed": [encoder.pos_embed], "patch_embed": encoder.patch_embed.parameters()}
    parts |= {f"blocks.{index}": encoder.blocks[index].parameters() for index in range(stop_before)}
    if trained := [name for name, own in parts.items() if any(parameter.requires_grad for parameter in own)]:
        raise UsageError(
            f"data.cache = 'features' keeps what comes before block {stop_before}, the first in tuning.blocks, but "
            f"{listed(trained)} would train. Leave them out of tuning.options, or train without data.cache."
        )


def _check_crop(source: DiskSource, side: int, stride: int, size_divisor: int) -> None:
    if side % stride:
        raise UsageError(f"data.crop: cached features need a multiple of {stride}, got {side}.")
    small = [
        str(sample.image)
        for sample in source.samples
        if min(round_up(length, size_divisor) for length in resized(sample.size, source.geometry)) < side
    ]
    if small:
        raise UsageError(
            f"data.crop = {side} is larger than {len(small)} of {len(source)} images, and cached features cannot be "
            f"padded: {listed(small)}. Lower data.crop or raise data.min_side."
        )


def _check_size(
    source: DiskSource,
    recipe: DataRecipe,
    todo: Sequence[int],
    channels: int,
    stride: int,
    size_divisor: int,
    say: Callable[[str], None],
) -> None:
    """Tell how large the cache will be, and refuse one that is too large."""

    def size_of(index: int) -> int:
        height, width = resized(source.samples[index].size, source.geometry)
        cells = (round_up(height, size_divisor) // stride) * (round_up(width, size_divisor) // stride)
        return _VIEWS * cells * channels * _BYTES

    whole, missing = sum(map(size_of, range(len(source)))), sum(map(size_of, todo))
    say(
        f"cached features: {whole / 1e9:.2f} GB in {recipe.cache_root}, {missing / 1e9:.2f} GB of them to be "
        f"computed ({len(todo)} images)"
    )
    check_room(recipe, "features", whole, missing)


def _write(path: Path, features: NDArray[np.float16]) -> None:
    if not np.isfinite(features).all():
        raise RunError(f"The encoder's features of '{path.stem}' do not fit float16: train without data.cache.")

    write_array(path, features)
