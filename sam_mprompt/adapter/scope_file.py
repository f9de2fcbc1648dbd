"""`scope.json`: in which ranges the images lay that an adapter was trained on."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import UsageError
from ..files import read_record

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
    path = folder / SCOPE
    table = read_record(path, "Copy the folder again.")
    if table.get("format_version") != _FORMAT_VERSION:
        raise UsageError(
            f"'{path}' has format version {table.get('format_version')!r}, this version of the package reads "
            f"{_FORMAT_VERSION}. Upgrade sam-mprompt."
        )
    try:
        return ScopeFile.model_validate(table)
    except ValidationError as error:
        faults = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:3])
        raise UsageError(f"'{path}' is damaged: {faults}. Copy the folder again.") from error
