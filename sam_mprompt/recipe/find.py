"""Which recipes there are, which come first, and which file one names. Without the schema: lists wait for no pydantic.

What a recipe's values may be is schema.py's question.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError, did_you_mean
from ..files import is_file
from ..resources import bundled

# The schema's defaults of the keys that a summary shows.
DEFAULT_BASE: Final = "sam_vit_b"
DEFAULT_FORMAT: Final = "points"

RECOMMENDED: Final = (
    # On a CPU: the first run, then photographs. Nothing to download but for lite0, which comes with an extra.
    *("demo", "shb-tiny-prompt", "sha-tiny-prompt", "shb-tiny-side", "sha-tiny-side", "shb-tiny-side-long"),
    *("shb-scratch", "shb-lite0-full", "sha-lite0-full", "shb-lite0-side", "demo-adapter"),
    # The paper's, on a GPU.
    *("sha", "shb", "qnrf", "nwpu", "nwpu-segmenter"),
    *("sha-hrnet", "shb-hrnet", "qnrf-hrnet", "nwpu-hrnet", "sha-vgg19", "sha-swin"),
)
"""The recipes that ship, in the order in which to try them. Others follow by name."""

RENAMED: Final = {
    "shb-tiny": "shb-tiny-prompt",
    "shb-side": "shb-tiny-side",
    "shb-deep": "shb-tiny-side-long",
    "shb-native": "shb-scratch",
    "sha-tiny": "sha-tiny-prompt",
    "sha-side": "sha-tiny-side",
}
"""Recipes of version 0.1 by their names of then: dataset, base and method, in that order, name one now."""


@dataclass(frozen=True)
class RecipeSummary:
    """What `recipes list` shows of a recipe; `about` is the file's first line."""

    name: str
    base: str
    data: str
    about: str


def recipe_files(folders: Sequence[Path] | None = None) -> dict[str, Path]:
    """Return the recipes by name, the recommended first; one of ./recipes stands before a bundled one of its name."""
    found: dict[str, Path] = {}
    for folder in folders if folders is not None else (Path("recipes"), bundled("recipes")):
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, path)
    order = {name: number for number, name in enumerate(RECOMMENDED)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def recipes_for_photographs(format: str) -> list[str]:
    """Return the names of recipes that train on a folder of a format as they are, the recommended first.

    Those made for the format, else those that need no head boxes, which a folder may not have; none of procedural data.
    """
    tables = {name: read_toml(path) for name, path in recipe_files().items()}
    formats = {name: _value(table, "data", "format", DEFAULT_FORMAT) for name, table in tables.items()}
    photographs = [name for name, own in formats.items() if own != "synthetic"]
    made_for_it = [name for name in photographs if formats[name] == format]
    boxless = [name for name in photographs if _value(tables[name], "targets", "pseudo_mask", "points") == "points"]
    return made_for_it or boxless


_MOST_BYTES = 2**24
"""Of a recipe; the longest that ships has 2 kB."""


def find_recipe(name_or_file: str, folders: Sequence[Path] | None = None) -> Path:
    """Return the recipe's file by name ("nwpu") or path ("my/station.toml"). Raises UsageError when there is none."""
    path = Path(name_or_file)
    if path.suffix == ".toml" and is_file(path):
        return path
    known = recipe_files(folders)
    if name_or_file in known:
        return known[name_or_file]
    if RENAMED.get(name_or_file) in known:
        raise UsageError(f"Recipe '{name_or_file}' is called '{RENAMED[name_or_file]}' now.", about="recipe")
    what = f"recipe file '{name_or_file}'" if path.suffix == ".toml" else f"recipe '{name_or_file}'"
    hint = did_you_mean(path.stem, known) or f" Known recipes: {', '.join(known) or 'none'}."
    raise UsageError(f"No {what}.{hint}", about="recipe")


def name_after(path: Path) -> str:
    """Return the name of a run whose recipe is called so: the file's, with dashes for what a name cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-") or "custom"


def read_toml(path: Path) -> dict[str, Any]:
    """Read a recipe's table as it is written. Raises UsageError when the file is no TOML, or far too large for one."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad writes a byte order mark
    except OSError as error:
        raise UsageError(f"Cannot read recipe '{path}': {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # syntax, bytes, numbers of thousands of digits, depth
        raise UsageError(f"Recipe '{path}' is not valid TOML: {str(error).partition(';')[0]}.") from error


_COMMENT = "# "


def summarise(name: str, path: Path) -> RecipeSummary:
    """Read what a list shows of a recipe; faulty values are shown as they are. Raises UsageError for no TOML."""
    table = read_toml(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return RecipeSummary(
        name,
        base=_value(table, "model", "base", DEFAULT_BASE),
        data=_value(table, "data", "format", DEFAULT_FORMAT),
        about=lines[0].lstrip(_COMMENT) if lines else "",
    )


def _value(table: dict[str, Any], section: str, key: str, default: str) -> str:
    values = table.get(section, {})
    return str(values.get(key, default)) if isinstance(values, dict) else str(values)
