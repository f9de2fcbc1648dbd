"""The annotated images of a dataset, and the folder that their masks go to."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

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

_RECORD, _SHEET = "masks.json", "preview.jpg"
_PREVIEWS, _PREVIEW_SIDE = 12, 480
USUAL = Reading()


@dataclass(frozen=True)
class Annotated:
    """The annotated images of all splits of a dataset.

    Attributes:
        data: the dataset's folder.
        samples: the images with their annotations.
        problems: what was left out, a line each.
        reading: how images are decoded.
    """

    data: Path
    samples: list[Sample]
    problems: list[str]
    reading: Reading

    @classmethod
    def read(
        cls,
        data: Path,
        *,
        data_format: str | None = None,
        label: str | None = None,
        columns: str = "",
        reading: Reading = USUAL,
    ) -> "Annotated":
        """Read the annotations; arguments as those of `make.make_masks`. Raises UsageError where there are none."""
        found, splits, _ = list_splits(data, format=data_format, label=label, columns=columns)
        read = {
            split: read_split(data, split, format=found, label=label, columns=columns, reading=reading)
            for split in splits
        }
        samples = [sample for split in read.values() for sample in split.samples if sample.points is not None]
        if not samples:
            raise UsageError(f"No annotated image in '{data}'.", about="data", root=data)
        problems = [f"In {name}: {line}" for name, split in read.items() for line in split.problems.lines()]
        return cls(data, samples, problems, reading)


@dataclass(frozen=True)
class MaskFolder:
    """A folder for the masks of some images, each under its image's own name.

    Attributes:
        out: the folder.
        images: whose masks it holds.
    """

    out: Path
    images: Annotated

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Mend what killed calls left, and note what the masks are made by. Raises UsageError where it holds others."""
        _mend(self.out)
        _claim(self.out, {**settings, **({"stretch": True} if self.images.reading.stretch else {})})

    def has(self, sample: Sample) -> bool:
        """Whether an image's mask is there."""
        return mask_path(self.out, sample.image, self.images.data).is_file()

    def add(self, sample: Sample, source: Callable[[ByteImage, Sample], Mask]) -> bool:
        """Make an image's mask unless it is there, and return whether it was made; it is written whole or not at all.

        Raises:
            UsageError: the image cannot be read, or the source makes no mask of it.
            RunError: the disk is full.
        """
        if self.has(sample):
            return False
        mask = source(read_image(sample.image, self.images.reading), sample)
        write_mask(mask_path(self.out, sample.image, self.images.data), mask)
        return True

    def preview(self) -> Path:
        """Draw some masks over their images, those that are there, and return the picture's path."""
        samples = self.images.samples
        chosen = samples[:: max(1, len(samples) // _PREVIEWS)][:_PREVIEWS]
        _preview(self.out, self.images.data, [sample for sample in chosen if self.has(sample)], self.images.reading)
        return self.out / _SHEET


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
