"""`calibration.json`: what images counted that an adapter was not trained on, beside the weights that counted them."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .versioned import read_versioned

CALIBRATION = "calibration.json"
_FORMAT_VERSION = 1
_MOST = 10**9
"""Heads; beyond any image."""

Origin = Literal["val", "folds", "images"]
"""The val split that chose the epoch; folds, each counted by a training that held it out; other annotated images."""


class CalibrationFile(BaseModel):
    """What `calibration.json` holds; no names of images.

    Attributes:
        format_version: of this layout.
        weights: SHA-256 of the adapter's file of tensors, which the counts belong to.
        origin: where the images come from.
        heads: annotated heads of each image.
        counted: heads that were counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    weights: str = ""
    origin: Origin
    heads: tuple[int, ...] = Field(max_length=10**6)
    counted: tuple[float, ...]

    @model_validator(mode="after")
    def _a_count_each(self) -> Self:
        if len(self.heads) != len(self.counted):
            raise ValueError("a count for each number of heads")
        if any(not 0 <= heads <= _MOST for heads in self.heads) or any(abs(count) > _MOST for count in self.counted):
            raise ValueError("numbers of heads")
        return self

    def facts(self) -> dict[str, object]:
        """Return what a user reads of it."""
        return {"images": len(self.heads), "origin": self.origin}


def read_calibration(folder: Path) -> CalibrationFile:
    """Read an adapter's calibration. Raises UsageError for a damaged one, or one of another version."""
    return read_versioned(folder / CALIBRATION, CalibrationFile, _FORMAT_VERSION)
