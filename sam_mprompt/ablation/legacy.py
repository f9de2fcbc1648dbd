"""What version 0.1 called things: its records held a shell command, and its fingerprints are those of its names."""

import shlex
from itertools import pairwise
from typing import Any

_RECIPES = {
    "sha-tiny": "sha-tiny-prompt",
    "sha-side": "sha-tiny-side",
    "shb-tiny": "shb-tiny-prompt",
    "shb-side": "shb-tiny-side",
    "shb-deep": "shb-tiny-side-long",
    "shb-native": "shb-scratch",
}
_KEYS = {
    "train.accumulate": "train.gradient_accumulation",
    "train.start": "train.init_from",
    "train.clip_norm": "train.max_grad_norm",
}
_SINCE = ("dataset",)
"""Keys that 0.1 did not have and that change nothing of a training."""


def upgraded_record(values: dict[str, Any]) -> dict[str, Any]:
    """Return a record's values with recipe and settings in place of a command, under today's names.

    Raises:
        ValueError: a command that cannot be read.
    """
    if "command" not in values:
        return values
    words = shlex.split(values["command"])
    given = list(pairwise(words))
    recipe = next((value for option, value in given if option == "--recipe"), None)
    if recipe is None:
        raise ValueError(f"expected a command with --recipe, got '{values['command']}'")
    settings = [_renamed(value) for option, value in given if option == "--set"]
    kept = {name: value for name, value in values.items() if name != "command"}
    return {**kept, "recipe": _RECIPES.get(recipe, recipe), "settings": settings}


def settings_as_before(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's settings by table as version 0.1 named them, so that its fingerprints stay."""
    names = {new: old for old, new in _RECIPES.items()}
    before = {key: value for key, value in settings.items() if key not in _SINCE}
    before["name"] = names.get(before.get("name", ""), before.get("name"))
    for old, new in _KEYS.items():
        (table, old_key), new_key = old.split("."), new.partition(".")[2]
        if new_key in before.get(table, {}):
            values = dict(before[table])
            values[old_key] = values.pop(new_key)
            before[table] = values
    return {key: value for key, value in before.items() if value is not None}


def _renamed(setting: str) -> str:
    key, equals, value = setting.partition("=")
    return f"{_KEYS.get(key.strip(), key)}{equals}{value}"
