"""Pseudo masks m_p of a dataset (Eq. 1), made once and kept as files that recipes read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ..arrays import ByteImage, Mask
from ..data.bounds import Reading
from ..data.sample import Sample
from ..errors import UsageError
from ..targets import box_mask, point_mask
from ..training.run import RunFolder
from ..training.trained import load_run
from .folder import USUAL, Annotated, MaskFolder


class MaskSource(Protocol):
    """Makes the mask of one annotated image."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the masks depend on: a folder of other settings is not continued."""

    def __call__(self, image: ByteImage, sample: Sample) -> Mask:
        """Image uint8 (H, W, 3) with its annotation -> bool (H, W)."""


class BoxMasks:
    """The dataset's own head boxes."""

    settings: dict[str, Any] = {"source": "boxes"}  # noqa: RUF012 - never changed

    def __call__(self, image: ByteImage, sample: Sample) -> Mask:
        """Every pixel in a box. Raises UsageError where the image has none."""
        if sample.boxes is None:
            raise UsageError(f"'{sample.image}' has no head boxes.", about="no boxes for masks")
        return box_mask(sample.boxes, image.shape[:2])


class PointMasks:
    """Points dilated by a radius in pixels."""

    def __init__(self, dilation: int) -> None:
        self.dilation = dilation
        self.settings = {"source": "points", "dilation": dilation}

    def __call__(self, image: ByteImage, sample: Sample) -> Mask:
        """Every pixel within the radius of a head."""
        points = sample.points if sample.points is not None else np.zeros((0, 2), np.float32)
        return point_mask(points, image.shape[:2], dilation=self.dilation)


class SegmenterMasks:
    """The segmenter of a run, which its state keeps beside the adapter (the paper's choice, trained on NWPU's boxes).

    Args:
        run: a run folder of a recipe with a segmenter.
        overrides: `KEY=VALUE` on the run's recipe. Heads should be as large to the segmenter as those it was trained
            on: `data.scale` is the dataset's, not the run's, where the two differ.
        device: where it runs.

    Raises:
        UsageError: no run, one without a segmenter, or a faulty override.
    """

    def __init__(self, run: Path, overrides: Sequence[str] = (), *, device: torch.device) -> None:
        self.run = load_run(RunFolder(run), overrides, device=device)
        if not self.run.has_masks:
            raise UsageError(f"The run '{run}' trained no segmenter (loss.segmentation = 0).")
        self.settings: dict[str, Any] = {
            "source": "segmenter",
            "run": run.resolve().name,
            "recipe": self.run.recipe.name,
        }
        if overrides:
            self.settings["set"] = list(overrides)

    def __call__(self, image: ByteImage, sample: Sample) -> Mask:  # noqa: ARG002 - masks come from the image alone
        """Every pixel of a cell whose mask logit is above 0."""
        prediction = self.run.predict(image)
        logits = np.asarray(prediction.mask_logits)
        rows, columns = (
            np.minimum(((np.arange(side) + 0.5) / cell).astype(int), length - 1)
            for side, cell, length in zip(image.shape[:2], prediction.cell[::-1], logits.shape, strict=True)
        )
        mask: Mask = logits[np.ix_(rows, columns)] > 0
        return mask


@dataclass(frozen=True)
class MasksMade:
    """What `make_masks` did: numbers of images, the picture to look at, and what was left out, a line each."""

    made: int
    kept: int
    preview: Path
    problems: list[str]


def make_masks(
    source: MaskSource,
    data: Path,
    out: Path,
    *,
    data_format: str | None = None,
    label: str | None = None,
    columns: str = "",
    reading: Reading = USUAL,
    progress: Callable[[int, int], None] | None = None,
) -> MasksMade:
    """Write the mask of every annotated image of a dataset, and a sheet of the first ones.

    Masks that are there already are kept, so that a killed call continues; each is written whole or not at all.

    Args:
        source: makes the masks.
        data: dataset folder.
        out: folder for the masks, `masks.json` with the source's settings, and `preview.jpg`.
        data_format: layout on disk; recognised when None.
        label: as `read_split`.
        columns: as `read_split`.
        reading: how images are decoded. What was made of stretched ones is kept apart.
        progress: called after each image with the number done and the number of all.

    Raises:
        UsageError: no such data, or `out` holds masks of another source.
        RunError: the disk is full.
    """
    images = Annotated.read(data, data_format=data_format, label=label, columns=columns, reading=reading)
    folder = MaskFolder(out, images)
    folder.begin(source.settings)
    made = 0
    for done, sample in enumerate(images.samples, start=1):
        made += folder.add(sample, source)
        if progress is not None:
            progress(done, len(images.samples))
    return MasksMade(made, len(images.samples) - made, folder.preview(), images.problems)
