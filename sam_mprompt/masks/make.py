"""Pseudo masks m_p of a dataset (Eq. 1), made once and kept as files that recipes read."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from ..arrays import ByteImage, Mask
from ..contact_sheet import contact_sheet
from ..data.bounds import Reading
from ..data.formats.read import list_splits, read_split
from ..data.image import read_image
from ..data.masks import mask_path, read_mask, write_mask
from ..data.sample import Sample
from ..errors import UsageError
from ..files import read_record, recover_within, write_text
from ..render import fit_within, mask_overlay, save_image
from ..targets import box_mask, point_mask
from ..training.run import RunFolder
from ..training.trained import load_run

_RECORD, _SHEET = "masks.json", "preview.jpg"
_PREVIEWS, _PREVIEW_SIDE = 12, 480
_USUAL = Reading()


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
    reading: Reading = _USUAL,
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
    found, splits, _ = list_splits(data, format=data_format, label=label, columns=columns)
    read = {
        split: read_split(data, split, format=found, label=label, columns=columns, reading=reading) for split in splits
    }
    samples = [sample for split in read.values() for sample in split.samples if sample.points is not None]
    if not samples:
        raise UsageError(f"No annotated image in '{data}'.", about="data", root=data)
    _mend(out)
    _claim(out, source.settings | ({"stretch": True} if reading.stretch else {}))
    made = 0
    for done, sample in enumerate(samples, start=1):
        path = mask_path(out, sample.image, data)
        if not path.is_file():
            write_mask(path, source(read_image(sample.image, reading), sample))
            made += 1
        if progress is not None:
            progress(done, len(samples))
    _preview(out, data, samples[:: max(1, len(samples) // _PREVIEWS)][:_PREVIEWS], reading)
    problems = [f"In {name}: {line}" for name, split in read.items() for line in split.problems.lines()]
    return MasksMade(made, len(samples) - made, out / _SHEET, problems)


def _mend(out: Path) -> None:
    """Remove what killed calls left in the folder and in those below it, which have the dataset's own names."""
    recover_within(out)
    for folder, below, _ in os.walk(out):
        for name in below:
            recover_within(Path(folder, name))


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Note what the folder's masks are made by, or refuse one that holds others."""
    record = out / _RECORD
    # Looked at before the record, which comes first: another call may be filling the same folder. Hidden files are no
    # masks, and among them is what it is writing now.
    holds = out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir())
    if record.is_file():
        try:
            found = read_record(record)
        except UsageError as error:
            raise UsageError(f"It is not known what the masks are made by: {error}", about="other masks") from error
        if found != settings:
            raise UsageError(f"'{out}' holds masks of {found}, not of {settings}.", about="other masks")
    elif holds:
        raise UsageError(f"'{out}' holds other files: expected a new folder, or one of masks.", about="other masks")
    else:
        write_text(record, json.dumps(settings) + "\n")


def _preview(out: Path, data: Path, samples: list[Sample], reading: Reading) -> None:
    panels = []
    for sample in samples:
        image = fit_within(read_image(sample.image, reading), _PREVIEW_SIDE)
        mask = read_mask(mask_path(out, sample.image, data), sample.size).astype(np.float32)
        panels.append(mask_overlay(image, cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_AREA)))
    captions = [f"{sample.image.name}: {sample.count} heads" for sample in samples]
    save_image(out / _SHEET, contact_sheet(panels, captions=captions))
