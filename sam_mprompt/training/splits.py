"""What a training trains on and is validated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ..data.sources import OpenedData, open_split
from ..recipe.schema import Recipe


@dataclass(frozen=True)
class TrainingData:
    """Both splits, opened."""

    train: OpenedData
    val: OpenedData

    @classmethod
    def open(cls, recipe: Recipe, root: Path | None) -> Self:
        """Open the splits of a recipe; `root` is the dataset's folder, None for procedural scenes.

        Raises:
            UsageError: no such data, no annotated image, or masks that cannot be had.
        """
        return cls(open_split(recipe, "train", root), open_split(recipe, "val", root))

    def lines(self) -> list[str]:
        """Say how many images there are, and what was left out and why."""
        said = []
        for split, opened in (("train", self.train), ("val", self.val)):
            said.append(f"{split}: {len(opened.source)} images")
            said += [f"  {line}" for line in (opened.problems.lines() if opened.problems is not None else ())]
        return said

    def baseline(self) -> "Baseline":
        """Look at the number of heads in every image; procedural scenes are painted for it."""
        counts = np.asarray(self.val.source.counts())
        mean = float(np.mean(self.train.source.counts()))
        return Baseline(float(np.mean(np.abs(counts - mean))), int(np.argsort(counts)[len(counts) // 2]))


@dataclass(frozen=True)
class Baseline:
    """What validation images say before anything is trained.

    Attributes:
        mean_mae: validation MAE of always predicting the mean count of the training images, in heads.
        median: number of the validation image with the median number of heads.
    """

    mean_mae: float
    median: int
