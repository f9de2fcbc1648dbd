"""`licences.json`: under which licences the base and the images are that an adapter was made of."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .versioned import read_versioned

LICENCES_FILE = "licences.json"
_FORMAT_VERSION = 1


class LicencesFile(BaseModel):
    """What `licences.json` holds; an empty text is a licence that nobody told.

    Attributes:
        format_version: of this layout.
        base: of the base's weights: an SPDX identifier, or what their publisher calls it.
        base_hub_id: the Hub's repository "OWNER/NAME" that has these weights; empty where none is known.
        data: of the training images, as the recipe's `data.licence` told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    base: str = Field("", max_length=100)
    base_hub_id: str = Field("", max_length=200)
    data: str = Field("", max_length=100)


def read_licences(folder: Path) -> LicencesFile:
    """Read an adapter's licences. Raises UsageError for a damaged file, or one of another version."""
    return read_versioned(folder / LICENCES_FILE, LicencesFile, _FORMAT_VERSION)
