"""Batches of training crops, ours against whole-image work: python -m benchmarks.speed.loading --data DIR

DIR holds `shanghaitech/part_A` and `part_B`. Ours reads resized images that were decoded once (`data.cache = "images"`)
and makes the targets of the crop. The other decodes and resizes every image anew and makes the whole image's targets
first.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.pages import parser
from benchmarks.speed.layout import step_of as light_step
from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from benchmarks.speed.training_step import step_of
from sam_mprompt.data.augment import colour_jitter, horizontal_flip, random_crop
from sam_mprompt.data.dataset import Crop, CropDataset, EpochBatches, Key, collate, crop_targets, frame_targets
from sam_mprompt.data.sources import DiskSource, open_split
from sam_mprompt.recipe.schema import Recipe, load_recipe

_STRIDE = 8


class WholeImages(Dataset[Crop]):
    """Crops as a straightforward loader makes them."""

    def __init__(self, source: DiskSource, recipe: Recipe) -> None:
        self.source, self.recipe = source, recipe

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Crop:
        data, rng = self.recipe.data, np.random.default_rng(key)
        source = DiskSource(self.source.samples, self.source.geometry, context_k=self.source.context_k)
        frame = source.frame(*key)  # with radii of all heads, every time
        frame_targets(frame, self.recipe.targets, stride=1)
        frame = random_crop(frame, data.crop, data.random_scale, rng)
        if rng.random() < data.flip:
            frame = horizontal_flip(frame)
        image = np.zeros((data.crop, data.crop, 3), np.uint8)
        image[: frame.size[0], : frame.size[1]] = colour_jitter(frame.image, data.jitter, rng)
        targets = crop_targets(frame, self.recipe.targets, side=data.crop, stride=_STRIDE, points=False)
        return Crop(torch.from_numpy(image).permute(2, 0, 1).contiguous(), frame.size, targets, key)


def epoch(dataset: Dataset[Crop], length: int, workers: int = 0) -> None:
    """Go through all batches of an epoch, the start of the workers included; in this process without any."""
    batches = EpochBatches(length, 8, seed=0)
    for _ in DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers):
        pass


def crops_of(recipe: Recipe, data: Path) -> CropDataset:
    """Return the crops of the training split as they are trained on."""
    source = open_split(recipe, "train", data).source
    return CropDataset(source, recipe.data, recipe.targets, seed=recipe.train.seed, stride=_STRIDE)


def against_whole_images(name: str, settings: Sequence[str], data: Path, rounds: int = 3) -> Result:
    """Compare a recipe's crops, decoded before, with those of a straightforward loader."""
    with tempfile.TemporaryDirectory() as cache:
        plain = load_recipe(name, settings)
        kept = crops_of(load_recipe(name, [*settings, "data.cache=images", f"data.cache_root={cache}"]), data)
        theirs = open_split(plain, "train", data).source
        assert isinstance(theirs, DiskSource)
        ways = {
            "whole": partial(epoch, WholeImages(theirs, plain), len(theirs)),
            "kept": partial(epoch, kept, len(theirs)),
        }
        seconds = alternate(ways, rounds=rounds)
    return Result(
        f"training batches, {data.name} at {plain.data.scale:g} of its resolution",
        "decoding, whole-image targets, then the crop",
        Spread.of(seconds["whole"], seconds["kept"]),
        aim=3.0,
        note=f"{len(theirs) / min(seconds['kept']):.0f} images/s on one core, decoded before.",
    )


def against_a_step(data: Path) -> Result:
    """Compare a batch of two crops of `sha`, every image decoded anew, with the SAM-base step that it is for."""
    crops = crops_of(load_recipe("sha", ["data.crop=448"]), data)
    keys = iter(range(len(crops.source)))
    seconds = alternate(
        {"step": step_of("ours"), "batch": lambda: collate([crops[0, next(keys)], crops[0, next(keys)]])}, rounds=5
    )
    return Result(
        "training batch of two 448 px crops of part A, decoded anew",
        "the SAM-base step that it is for",
        Spread.of(seconds["step"], seconds["batch"]),
        aim=1.0,
        note="above 1, loading never waits: one worker keeps up with that many steps.",
    )


def against_a_light_step(name: str, data: Path) -> Result:
    """Compare a batch of a light recipe, its images decoded before, with the step that it is for."""
    with tempfile.TemporaryDirectory() as cache:
        recipe = load_recipe(name, ["data.cache=images", f"data.cache_root={cache}"])
        crops, size = crops_of(recipe, data), recipe.train.batch_size
        for index in range(len(crops)):
            crops.source.frame(0, index)
        keys = ((epoch, index) for epoch in count(1) for index in range(len(crops)))
        seconds = alternate(
            {
                "step": light_step(recipe, laid_out=True),
                "batch": lambda: collate([crops[next(keys)] for _ in range(size)]),
            },
            rounds=5,
        )
    return Result(
        f"training batch of {size} crops of {recipe.data.crop} px, {data.name}, data.cache = images",
        f"the step of {name} that it is for",
        Spread.of(seconds["step"], seconds["batch"]),
        aim=50.0,
        note="Half of it is changing colours, which torchvision does in three steps; a worker loads beside the steps.",
    )


def main() -> None:
    """Measure both parts."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    root = arguments.parse_args().data / "shanghaitech"
    results = [
        # At its own resolution, which few of its images exceed; the recipe shrinks it.
        against_whole_images("sha-tiny-prompt", ["data.max_side=1024"], root / "part_A"),
        against_whole_images("shb-tiny-prompt", [], root / "part_B"),
        against_a_step(root / "part_A"),
        against_a_light_step("shb-scratch", root / "part_B"),
        against_a_light_step("sha-lite0-full", root / "part_A"),
    ]
    write_row("loading", results)


if __name__ == "__main__":
    main()
