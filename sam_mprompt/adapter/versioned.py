"""Reading a small JSON file of an adapter folder, which says of which version its layout is."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import UsageError
from ..files import read_record

Content = TypeVar("Content", bound=BaseModel)


def read_versioned(path: Path, content: type[Content], version: int) -> Content:
    """Read what a file holds. Raises UsageError for a damaged one, or one of another version."""
    table = read_record(path, "Copy the folder again.")
    if table.get("format_version") != version:
        raise UsageError(
            f"'{path}' has format version {table.get('format_version')!r}, this version of the package reads "
            f"{version}. Upgrade sam-mprompt."
        )
    try:
        return content.model_validate(table)
    except ValidationError as error:
        faults = ", ".join(".".join(map(str, fault["loc"])) or fault["msg"] for fault in error.errors()[:3])
        raise UsageError(f"'{path}' is damaged: {faults}. Copy the folder again.") from error
