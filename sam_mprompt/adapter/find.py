"""Finding adapters by path or name."""

from os import PathLike
from pathlib import Path

from ..bases.hub import hub_repo
from ..errors import UsageError, did_you_mean
from ..files import is_file, is_folder
from ..recipe.find import find_recipe, recipe_files
from ..resources import bundled
from .counter_file import COUNTER
from .hub import fetch_adapter

ADAPTER = "adapter"
"""The folder in a run's folder that holds its adapter."""


def known_adapters() -> dict[str, Path]:
    """Return adapter folders by name: runs' own (./runs/NAME/adapter), then ./adapters, then the bundled ones."""
    found: dict[str, Path] = {}
    for pattern, folder in ((f"*/{ADAPTER}", Path("runs")), ("*", Path("adapters")), ("*", bundled("adapters"))):
        for path in sorted(folder.glob(pattern)):
            if (path / COUNTER).is_file():
                found.setdefault(path.parent.name if pattern.endswith(ADAPTER) else path.name, path)
    return found


def find_adapter(path_or_name: str | Path) -> Path:
    """Return an adapter folder by its path, its run folder's path, or its name; "adapters/demo" also finds the bundled.

    "hf://OWNER/NAME@REVISION" is fetched from the Hub into the Hub's cache: see `fetch_adapter`.

    Raises:
        UsageError: nothing of that name; suggests the nearest.
        RunError: what the Hub has could not be fetched.
    """
    if not isinstance(path_or_name, str | PathLike):
        raise UsageError(f"Expected an adapter's folder or name, got {path_or_name!r}.", about="adapter")
    if isinstance(path_or_name, str) and (repo := hub_repo(path_or_name)) is not None:
        return fetch_adapter(repo)
    path = Path(path_or_name)
    for candidate in (path, path / ADAPTER, bundled("adapters").parent / path):
        if is_file(candidate / COUNTER):
            return candidate
    if is_folder(path):
        raise UsageError(
            f"'{path}' is neither an adapter nor a run with one: no {COUNTER} in it or in its {ADAPTER} folder."
        )
    known = known_adapters()
    if str(path_or_name) in known:
        return known[str(path_or_name)]
    hint = did_you_mean(path.name, known) or f" Known: {', '.join(known) or 'none yet'}."
    raise UsageError(f"No adapter '{path_or_name}'.{hint}", about="adapter")


def recipe_behind(name: str) -> Path:
    """Return the recipe's file of a recipe (by name or file), or of an adapter (by path, name or the Hub's name).

    Raises:
        UsageError: neither; suggests the nearest of both.
    """
    if hub_repo(name) is not None:
        return find_adapter(name) / "recipe.toml"
    try:
        return find_recipe(name)
    except UsageError:
        if is_folder(Path(name)) or name in known_adapters():
            return find_adapter(name) / "recipe.toml"
        known = [*recipe_files(), *known_adapters()]
        raise UsageError(
            f"No recipe or adapter '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}."
        ) from None
