"""Finding recipes by name and listing them. Without the schema: `recipes list` would mostly wait for pydantic.

What a recipe's values may be is recipe.py's question.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError, did_you_mean
from ..resources import bundled

# The schema's defaults of the keys that a summary shows.
DEFAULT_BASE: Final = "sam_vit_b"
DEFAULT_FORMAT: Final = "points"


@dataclass(frozen=True)
class RecipeSummary:
    """What `recipes list` shows of a recipe; `about` is the file's first line."""

    name: str
    base: str
    data: str
    about: str


def recipe_files(folders: Sequence[Path] | None = None) -> dict[str, Path]:
    """Return the recipes by name: those of ./recipes first, then the bundled ones."""
    found: dict[str, Path] = {}
    for folder in folders if folders is not None else (Path("recipes"), bundled("recipes")):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def find_recipe(name_or_file: str, folders: Sequence[Path] | None = None) -> Path:
    """Return the recipe's file by name ("nwpu") or path ("my/station.toml"). Raises UsageError when there is none."""
    path = Path(name_or_file)
    if path.suffix == ".toml" and path.is_file():
        return path
    known = recipe_files(folders)
    if name_or_file in known:
        return known[name_or_file]
    what = f"recipe file '{name_or_file}'" if path.suffix == ".toml" else f"recipe '{name_or_file}'"
    hint = did_you_mean(path.stem, known) or f" Known recipes: {', '.join(known) or 'none'}."
    raise UsageError(f"No {what}.{hint}", about="recipe")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a recipe's table as it is written. Raises UsageError when the file is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"Recipe '{path}' is not valid TOML: {error}.") from error


def summarise(name: str, path: Path) -> RecipeSummary:
    """Read what a list shows of a recipe; faulty values are shown as they are. Raises UsageError for no TOML."""
    table = read_toml(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    return RecipeSummary(
        name,
        base=_value(table, "model", "base", DEFAULT_BASE),
        data=_value(table, "data", "format", DEFAULT_FORMAT),
        about=lines[0].lstrip("# ") if lines else "",
    )


def _value(table: dict[str, Any], section: str, key: str, default: str) -> str:
    values = table.get(section, {})
    return str(values.get(key, default)) if isinstance(values, dict) else str(values)
