"""Where recipes, checkpoints and adapters that ship with the project are: one resolver for wheel and checkout."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent
_IN_THE_WHEEL = _PACKAGE / "_bundled"


def bundled(kind: Literal["recipes", "checkpoints", "adapters"]) -> Path:
    """Return the folder of shipped files: the copy inside the wheel, else the checkout's top-level folder."""
    inside = _IN_THE_WHEEL / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
