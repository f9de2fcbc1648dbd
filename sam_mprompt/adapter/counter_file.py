"""`counter.json`: on what and how an adapter counts, and what the files beside it must be."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..arrays import Rgb
from ..errors import UsageError
from ..files import read_record
from ..geometry import Geometry

COUNTER = "counter.json"
FORMAT_VERSION = 2
_READ_VERSIONS = (1, FORMAT_VERSION)  # version 1 called the size divisor `multiple`

Dtype = Literal["float32", "float16"]


class CounterFile(BaseModel):
    """What `counter.json` holds.

    Attributes:
        format_version: of this layout; readers refuse versions they don't know.
        written_by: the version of sam-mprompt that wrote it.
        native: True when the folder holds the whole model, because its encoder was trained too.
        base: name of the base checkpoint.
        base_fingerprint: SHA-256 of the base encoder's tensors.
        dtype: how the prompt modules are stored; the decoders stay float32.
        stride, size_divisor: pixels per density cell, and what image sides are padded to.
        mean, std: RGB normalisation of images in [0, 1].
        geometry: how images are resized and tiled.
        sha256: of the files beside this one, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format_version: int
    written_by: str
    native: bool
    base: str
    base_fingerprint: str
    dtype: Dtype
    stride: int = Field(gt=0)
    size_divisor: int = Field(gt=0, validation_alias=AliasChoices("size_divisor", "multiple"))
    mean: Rgb
    std: Rgb
    geometry: Geometry
    sha256: dict[str, str]

    @field_validator("sha256")
    @classmethod
    def _names_inside_the_folder(cls, sha256: dict[str, str]) -> dict[str, str]:
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) for name in sha256):
            raise ValueError("names of files in this folder")
        return sha256


def read_counter_file(folder: Path) -> CounterFile:
    """Read a folder's counter.json alone. Raises UsageError when it is missing, damaged or of another version."""
    path = folder / COUNTER
    if not path.is_file():
        raise UsageError(f"'{folder}' is no adapter of sam-mprompt: it has no {COUNTER}.", about="adapter")
    table = read_json(path)
    if table.get("format_version") not in _READ_VERSIONS:
        raise UsageError(
            f"'{path}' has format version {table.get('format_version')!r}, this version of the package reads "
            f"{' and '.join(map(str, _READ_VERSIONS))}. Upgrade sam-mprompt, or export the adapter again."
        )
    try:
        return CounterFile.model_validate(table)
    except ValidationError as error:
        faults = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in error.errors())
        raise UsageError(f"'{path}' is damaged, faulty keys: {faults}. Copy the folder again.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of an adapter. Raises UsageError for anything else: see `read_record`."""
    return read_record(path, "Copy the folder again.")
