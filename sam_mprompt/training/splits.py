"""What a training trains on and is validated on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from ..data.check import compare_pictures
from ..data.formats.read import Problems, list_splits
from ..data.sources import DiskSource, OpenedData, open_split
from ..recipe.schema import DataRecipe, Recipe


@dataclass(frozen=True)
class TrainingData:
    """Both splits, opened; of the test split, which training does not read, whether its pictures are theirs."""

    train: OpenedData
    val: OpenedData
    test: Problems | None = None

    @classmethod
    def open(cls, recipe: Recipe, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Self:
        """Open the splits of a recipe, and compare the pictures of all splits.

        Args:
            recipe: fully resolved.
            root: the dataset's folder, None for procedural scenes.
            progress: called after each picture that is compared by its bytes, with the number done and that of all.

        Raises:
            UsageError: no such data, no annotated image, or masks that cannot be had.
        """
        opened = cls(open_split(recipe, "train", root), open_split(recipe, "val", root))
        return opened if root is None else replace(opened, test=opened._compared(recipe.data, root, progress))

    def lines(self) -> list[str]:
        """Say how many images there are, what was left out and why, and what lies in two splits."""
        said = []
        for split, opened in (("train", self.train), ("val", self.val)):
            said.append(f"{split}: {len(opened.source)} images")
            said += [f"  {line}" for line in (opened.problems.lines() if opened.problems is not None else ())]
        if self.test:
            said += ["test: not trained on", *(f"  {line}" for line in self.test.lines())]
        if any(problems is not None and problems.shared for problems in (self.val.problems, self.test)):
            said.append("Serious: figures on pictures that are in two splits mean little; take them out of one.")
        return said

    def baseline(self) -> "Baseline":
        """Look at the number of heads in every image; procedural scenes are painted for it."""
        counts = np.asarray(self.val.source.counts())
        mean = float(np.mean(self.train.source.counts()))
        return Baseline(float(np.mean(np.abs(counts - mean))), int(np.argsort(counts)[len(counts) // 2]))

    def _compared(self, data: DataRecipe, root: Path, progress: Callable[[int, int], None] | None) -> Problems:
        """Note in the problems what lies in two splits, or twice in one; return those of the test split."""
        assert isinstance(self.train.source, DiskSource)
        assert isinstance(self.val.source, DiskSource)
        assert self.train.problems is not None
        assert self.val.problems is not None
        _, listed, _ = list_splits(
            root, format=data.format, val_fraction=data.val_fraction, fold=data.fold, label=data.label or None
        )
        test = Problems()
        pictures = [entry.image for entry in listed.get("test", ()) if not entry.unused]
        train, val = ([sample.image for sample in source.samples] for source in (self.train.source, self.val.source))
        compare_pictures(
            root,
            {"train": (train, self.train.problems), "val": (val, self.val.problems), "test": (pictures, test)},
            progress,
        )
        return test


@dataclass(frozen=True)
class Baseline:
    """What validation images say before anything is trained.

    Attributes:
        mean_mae: validation MAE of always predicting the mean count of the training images, in heads.
        median: number of the validation image with the median number of heads.
    """

    mean_mae: float
    median: int
