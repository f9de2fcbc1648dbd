"""What a training trains on and is validated on."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from ..data.check import compare_pictures
from ..data.formats.annotation import SplitName
from ..data.formats.read import Problems, list_splits
from ..data.sample import Sample
from ..data.sources import DiskSource, OpenedData, Source, open_split
from ..errors import UsageError
from ..recipe.schema import DataRecipe, Recipe


@dataclass(frozen=True)
class TrainingData:
    """What trains, and what it is validated on.

    Attributes:
        train, val: opened; `val` is None where every image trains and folds tell the error (train.folds).
        test: of the test split, which training does not read, whether its pictures are those of the others.
    """

    train: OpenedData
    val: OpenedData | None
    test: Problems | None = None

    @classmethod
    def open(cls, recipe: Recipe, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Self:
        """Open the splits of a recipe, and compare the pictures of all splits.

        Args:
            recipe: fully resolved.
            root: the dataset's folder, None for procedural scenes.
            progress: called after each picture that is compared by its bytes, with the number done and that of all.

        Raises:
            UsageError: no such data, no annotated image or none with a head, fewer images than folds, or masks that
                cannot be had.
        """
        opened = cls._opened(recipe, root)
        if root is not None and not any(opened.train.source.counts()):
            raise UsageError(f"'{root}': expected at least one head in the images that train, got none.")
        return opened if root is None else replace(opened, test=opened._compared(recipe.data, root, progress))

    @classmethod
    def _opened(cls, recipe: Recipe, root: Path | None) -> Self:
        if recipe.train.folds and (whole := open_split(recipe, "train", root, whole=True)).carved:
            if len(whole.source) < recipe.train.folds:
                raise UsageError(
                    f"train.folds: expected at most the {len(whole.source)} images that train, "
                    f"got {recipe.train.folds}."
                )
            return cls(whole, None)
        return cls(open_split(recipe, "train", root), open_split(recipe, "val", root))

    @property
    def shown(self) -> Source:
        """The images that pictures are made of: those of val, or of train where all train."""
        return self.train.source if self.val is None else self.val.source

    def lines(self) -> list[str]:
        """Say how many images there are, what was left out and why, and what lies in two splits."""
        said = []
        for split, opened in (("train", self.train), ("val", self.val)):
            if opened is not None:
                said.append(f"{split}: {len(opened.source)} images")
                said += [f"  {line}" for line in (opened.problems.lines() if opened.problems is not None else ())]
        if self.test:
            said += ["test: not trained on", *(f"  {line}" for line in self.test.lines())]
        of_val = None if self.val is None else self.val.problems
        if any(found is not None and found.shared for found in (of_val, self.test)):
            said.append("Serious: figures on pictures that are in two splits mean little; take them out of one.")
        return said

    def baseline(self) -> "Baseline":
        """Look at the number of heads in every image; procedural scenes are painted for it."""
        counts = np.asarray(self.shown.counts())
        mean = float(np.mean(self.train.source.counts()))
        return Baseline(float(np.mean(np.abs(counts - mean))), int(np.argsort(counts)[len(counts) // 2]))

    def held_out(self, fold: int, folds: int) -> "TrainingData":
        """Return the images of all folds but one as train, and those of fold `fold`, 1-based, as val.

        Which fold an image is in depends on the names of the images alone.
        """
        source = self.train.source
        assert isinstance(source, DiskSource), "the recipe refuses folds of procedural scenes"
        number = fold_numbers(source.samples, folds)
        train = [sample for sample, own in zip(source.samples, number, strict=True) if own != fold]
        val = [sample for sample, own in zip(source.samples, number, strict=True) if own == fold]
        return TrainingData(OpenedData(source.of(train), None), OpenedData(source.of(val), None))

    def _compared(self, data: DataRecipe, root: Path, progress: Callable[[int, int], None] | None) -> Problems:
        """Note in the problems what lies in two splits, or twice in one; return those of the test split."""
        _, listed, _ = list_splits(
            root,
            format=data.format,
            val_fraction=data.val_fraction,
            fold=data.fold,
            label=data.label or None,
            columns=data.columns,
        )
        test = Problems()
        pictures = _pictures("train", self.train) | _pictures("val", self.val)
        pictures["test"] = [entry.image for entry in listed.get("test", ()) if not entry.unused], test
        compare_pictures(root, pictures, progress)
        return test


def _pictures(split: SplitName, opened: OpenedData | None) -> dict[SplitName, tuple[Iterable[Path], Problems]]:
    """Return the pictures of an opened split, and where to note what is wrong with them; nothing for no split."""
    if opened is None or opened.problems is None or not isinstance(opened.source, DiskSource):
        return {}
    return {split: ([sample.image for sample in opened.source.samples], opened.problems)}


@dataclass(frozen=True)
class Baseline:
    """What the images say before anything is trained.

    Attributes:
        mean_mae: MAE of always predicting the mean count of the training images, in heads, over val; over train where
            there is no val split.
        median: number of the shown image with the median number of heads.
    """

    mean_mae: float
    median: int


def fold_numbers(samples: Sequence[Sample], folds: int) -> list[int]:
    """Return the fold, 1 to `folds`, that each sample is held out in: a lot by its name, folds of equal size."""
    lots = [
        hashlib.sha256(f"fold/{sample.image.name}".encode("utf-8", "surrogateescape")).digest() for sample in samples
    ]
    ranked = sorted(range(len(samples)), key=lambda index: (lots[index], _path(samples[index])))
    numbers = [0] * len(samples)
    for rank, index in enumerate(ranked):
        numbers[index] = rank % folds + 1
    return numbers


def _path(sample: Sample) -> str:
    return str(sample.image)
