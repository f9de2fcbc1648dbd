"""`scope.json`: in which ranges the images lay that an adapter was trained on."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .versioned import read_versioned

SCOPE = "scope.json"
_FORMAT_VERSION = 1


class RangeRecord(BaseModel):
    """What training saw of one measure: see `counting.scope.Range`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    least: float
    most: float
    low: float
    high: float


class ScopeFile(BaseModel):
    """What `scope.json` holds.

    Attributes:
        format_version: of this layout.
        images: training images that were looked at.
        ranges: by the name of a measure; readers pass over names that they don't know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    images: int = Field(ge=0)
    ranges: dict[str, RangeRecord] = Field(max_length=100)


def read_scope(folder: Path) -> ScopeFile:
    """Read an adapter's scope. Raises UsageError for a damaged one, or one of another version."""
    return read_versioned(folder / SCOPE, ScopeFile, _FORMAT_VERSION)
