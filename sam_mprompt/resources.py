"""Where recipes, checkpoints and adapters that ship with the project are: one resolver for wheel and checkout."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def bundled(kind: Literal["recipes", "checkpoints", "adapters"]) -> Path:
    """Return the folder of shipped files: the copy inside the wheel, else the checkout's top-level folder."""
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
