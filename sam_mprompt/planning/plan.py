"""A plan: the rules applied to a dataset and a machine, as rows to read and as a recipe to train."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from ..recipe.overrides import apply_overrides, overridden
from ..recipe.schema import Recipe, parse_recipe
from . import rules
from .bases import Way, model_rows, way
from .machine import Machine
from .minutes import checked_minutes
from .profile import Profile, profile_of
from .rows import Row
from .timing import Timing

_UNTIMED = Timing(1.0, 1.0)
_TABLES = ("data", "targets", "model", "tuning", "loss", "train", "infer")

Timer = Callable[[Recipe, Path], Timing]
"""Times a recipe on a dataset's folder, as `timing.time_training` does."""


@dataclass(frozen=True)
class Plan:
    """A recipe with its reasons.

    Attributes:
        profile, machine, timing: what was seen; timing decides epochs and what follows from them alone.
        rows: in the order of a recipe's tables.
    """

    profile: Profile
    machine: Machine
    timing: Timing
    rows: tuple[Row, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe. Raises UsageError where values that were given do not go together."""
        return parse_recipe(_nested(self.rows), source="the plan")

    def to_toml(self) -> str:
        """Return the recipe as TOML, each value below the reason for it."""
        profile = self.profile
        seen = f"{profile.images} images, {profile.mean_heads:.1f} heads in the mean"
        lines = [f"# Planned for {seen}", ""]
        by_table: dict[str, list[str]] = {}
        for row in self.rows:
            table, dot, key = row.key.partition(".")
            by_table.setdefault(table if dot else "", []).extend(_commented(key or table, row))
        for table, own in sorted(by_table.items(), key=lambda item: item[0] != ""):  # what is in no table comes first
            lines += [*([f"[{table}]"] if table else []), *own, ""]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        seen = {name: asdict(getattr(self, name)) for name in ("profile", "machine", "timing")}
        return {**seen, "rows": [asdict(row) for row in self.rows]}


def plan(
    root: Path,
    *,
    minutes: float,
    machine: Machine,
    timer: Timer,
    format: str | None = None,
    base: str | None = None,
    overrides: Sequence[str] = (),
) -> Plan:
    """Plan a recipe for a dataset's training images; its test split is not looked at.

    Args:
        root: the dataset's folder.
        minutes: how long the training may take, folds included.
        machine: what there is to train with.
        timer: times the recipe before its epochs are known.
        format: the folder's layout; recognised when None.
        base: a base that decides the method, as `model.base` among the overrides does; None for the best that is there.
        overrides: `KEY=VALUE`, which decide before anything that follows from them.

    Raises:
        UsageError: data that cannot be had or are too few, a base that is not here, minutes out of range, or overrides
            that do not fit.
        RunError: from timing.
    """
    checked_minutes(minutes)
    given = _given(overrides)
    label, columns = (_text(given, "data", key) for key in ("label", "columns"))
    seen = profile_of(root, format, label=label or None, columns=columns)
    chosen = way(machine, minutes, base or _given_base(given))
    name = Row("name", recipe_name(root), "the folder's")
    untimed = _overridden([name, *_rows(seen, chosen, machine, minutes, _UNTIMED)], overrides)
    draft = Plan(seen, machine, _UNTIMED, untimed)
    recipe = draft.recipe
    timing = timer(recipe, root)
    train = recipe.train
    long = rules.length(seen, train.batch_size, train.folds, minutes, timing)
    return replace(draft, timing=timing, rows=_overridden(_replaced(untimed, long), overrides))


def recipe_name(root: Path) -> str:
    """Return the name of a dataset's recipe: that of its folder, as far as a recipe can have it."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).strip("-._")
    return name or "planned"


def _given(overrides: Sequence[str]) -> dict[str, Any]:
    """Return what overrides say, as a recipe's table."""
    table: dict[str, Any] = {}
    apply_overrides(table, overrides, Recipe)
    return table


def _given_base(table: dict[str, Any]) -> str | None:
    """Return the base that overrides name, which decides the method as one that is given by itself does."""
    return (_text(table, "model", "base") or None) if not _text(table, "model", "encoder") else None


def _text(table: dict[str, Any], section: str, key: str) -> str:
    """Return a text of a recipe's table, an empty one where there is none; what is of another type is refused later."""
    found = table.get(section)
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _rows(profile: Profile, chosen: Way, machine: Machine, minutes: float, timing: Timing) -> list[Row]:
    """Apply every rule."""
    factor = rules.scale(profile, chosen)
    side = rules.crop(profile, factor.value, chosen)
    held, size = rules.folds(profile), rules.batch(side.value, profile.images, chosen, machine)
    rows = [
        Row("data.format", profile.format, "the folder looks like it"),
        factor,
        *rules.sides(profile, factor.value),
        side,
        *rules.augmentation(chosen),
        *rules.targets(profile, factor.value, chosen),
        *model_rows(chosen),
        size,
        held,
        rules.workers(machine),
        *rules.precision(chosen, machine),
        *rules.constants(),
        *rules.length(profile, size.value, held.value, minutes, timing),
        *rules.tiles(profile, factor.value, chosen, machine),
    ]
    return sorted(rows, key=lambda row: _TABLES.index(row.key.partition(".")[0]))


def _overridden(rows: Sequence[Row], overrides: Sequence[str]) -> tuple[Row, ...]:
    """Put values that were given in place of planned ones; keys that mean nothing with them go."""
    table = _nested(rows)
    apply_overrides(table, overrides, Recipe)
    train = table["train"]
    if train.get("folds") == 0 and not overridden(overrides, "train.fold_epochs"):
        train.pop("fold_epochs", None)
    known = {row.key: row for row in rows}
    found = []
    for key, value in _flat(table):
        row = known.get(key)
        if row is None or row.value != value or overridden(overrides, key):
            row = Row(key, value, "it was given")
        found.append(row)
    return tuple(found)


def _replaced(rows: Sequence[Row], newer: Sequence[Row]) -> list[Row]:
    by_key = {row.key: row for row in newer}
    return [by_key.pop(row.key, row) for row in rows] + list(by_key.values())


def _nested(rows: Sequence[Row]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for row in rows:
        section, dot, key = row.key.partition(".")
        if dot:
            table.setdefault(section, {})[key] = row.value
        else:
            table[section] = row.value
    return table


def _flat(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a recipe's table with their values, the tables' keys as "table.key"."""
    for name, values in table.items():
        if isinstance(values, dict):
            yield from ((f"{name}.{key}", value) for key, value in values.items())
        else:
            yield name, values


def _commented(key: str, row: Row) -> list[str]:
    return [f"# {row.because}", tomli_w.dumps({key: row.value}).strip()]
