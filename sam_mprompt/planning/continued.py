"""A recipe to go on from an adapter with somebody's own photographs: the adapter's own, as long as there is time."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..recipe.overrides import apply_overrides
from ..recipe.schema import Recipe, parse_recipe
from . import rules
from .machine import Machine
from .minutes import checked_minutes
from .plan import Timer, recipe_name
from .profile import profile_of
from .rows import Row
from .timing import Timing

_OF_SCENES = "synthetic"
_OF_DATA = ("format", "root", "label", "columns", "cache", "fold", "licence")
_UNTIMED = Timing(1.0, 1.0)


def continued(
    recipe: Recipe,
    start: str | Path,
    root: Path,
    *,
    minutes: float,
    machine: Machine,
    timer: Timer,
    format: str | None = None,
    base: str | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Return the recipe with which an adapter goes on to learn from other photographs.

    Its network, its sizes and its losses stay, as the weights are made for them. How the photographs are divided, how
    many share a step and how long it trains follow from them and from the minutes, by the rules of a plan.

    Args:
        recipe: the adapter's own.
        start: the adapter's folder.
        root: the dataset's folder.
        minutes: how long the training may take, folds included.
        machine: what there is to train with.
        timer: times the recipe before its epochs are known.
        format: the dataset's layout; recognised when None.
        base: the base that the adapter was put on, where that is not the recorded one.
        overrides: `KEY=VALUE`, which decide in the end.

    Raises:
        UsageError: fewer than two annotated photographs, minutes out of range, or overrides that do not fit.
        RunError: from timing.
    """
    checked_minutes(minutes)
    seen = profile_of(root, format)
    held = rules.folds(seen)
    size = min(recipe.train.batch_size, seen.images)
    table: dict[str, Any] = tomllib.loads(recipe.to_toml())
    for key in (_OF_SCENES, "dataset"):
        table.pop(key, None)
    table["name"] = recipe_name(root)
    data = {key: value for key, value in table["data"].items() if key not in _OF_DATA}
    table["data"] = {**data, "format": seen.format, "cache": "none"}
    if seen.head_side is None:
        table["targets"]["pseudo_mask"] = "points"
    table["targets"].pop("masks", None)
    if base is not None:
        table["model"]["base"] = base
    table["train"] |= {"init_from": str(start), "batch_size": size, "gradient_accumulation": 1, "preview_every": 0}
    rows = [held, rules.workers(machine)]
    table = _with(table, [*rows, *rules.length(seen, size, held.value, minutes, _UNTIMED)], overrides)
    timing = timer(parse_recipe(table, source="the adapter's recipe"), root)
    table = _with(table, rules.length(seen, size, held.value, minutes, timing), overrides)
    return parse_recipe(table, source="the adapter's recipe")


def _with(table: dict[str, Any], rows: Sequence[Row], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a recipe's table with planned values, and then those that were given."""
    for row in rows:
        section, _, key = row.key.partition(".")
        table.setdefault(section, {})[key] = row.value
    apply_overrides(table, overrides, Recipe)
    return table
