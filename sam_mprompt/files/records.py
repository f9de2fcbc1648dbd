"""JSON that this package wrote, read back: it may have been damaged, or put there by somebody else."""

import json
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .json_text import parse_json

_MOST_BYTES = 2**24


def read_record(path: Path, advice: str = "") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        advice: a sentence that ends the message of an error.

    Raises:
        UsageError: no file, one larger than 16 MB, not UTF-8, no JSON, no object; a key twice in an object, nesting
            beyond any use, a number of thousands of digits, or half of a character.
    """
    fault = f"'{path}' cannot be read as JSON"
    try:
        if not path.is_file():
            raise ValueError("expected a file, found a folder, a pipe, a device or nothing")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        value = parse_json(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # halves of characters could be printed and written nowhere
    except OSError as error:
        reason = str(error.strerror)
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(value, dict):
            return value
        fault, reason = f"'{path}' should hold a JSON object", f"got {type(value).__name__}"
    raise UsageError(f"{fault}: {reason}. {advice}".rstrip())
