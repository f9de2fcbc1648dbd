"""What version 0.1 called things: its records held a shell command, and its fingerprints are those of its names."""

import shlex
from itertools import pairwise
from typing import Any

from ..recipe.schema import Recipe

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
_DEFAULTS: dict[tuple[str, str], Any] = {
    ("data", "crop"): 448,
    ("model", "encoder"): "sam",
    ("tuning", "method"): "prompt",
}
"""Where 0.1 had another default, and what tells the members of today's unions apart, of which none is a default."""


def upgraded_record(values: dict[str, Any]) -> dict[str, Any]:
    """Return a record's values with recipe and settings in place of a command, under today's names.

    Raises:
        ValueError: a command that cannot be read.
    """
    if "command" not in values:
        return values
    words = shlex.split(str(values["command"]))
    given = list(pairwise(words))
    recipe = next((value for option, value in given if option == "--recipe"), None)
    if recipe is None:
        raise ValueError(f"expected a training's command, got '{values['command']}'")
    settings = [_renamed(value) for option, value in given if option == "--set"]
    kept = {name: value for name, value in values.items() if name != "command"}
    return {**kept, "recipe": _RECIPES.get(recipe, recipe), "settings": settings}


def settings_as_before(recipe: Recipe, *, without: dict[str, Any]) -> dict[str, Any]:
    """Return what differs from the defaults of version 0.1 in a recipe, as it named it, so that its fingerprints stay.

    `without` excludes keys, as pydantic's `exclude` does. A method that has lost a key which meant nothing for it
    (tuning.bottleneck of "none") gives another fingerprint where a recipe of 0.1 had set that key.
    """
    settings = recipe.model_dump(mode="json", exclude_defaults=True, exclude=without)
    for (table, key), default in _DEFAULTS.items():
        values = settings.setdefault(table, {})
        values.pop(key, None)
        if (value := getattr(getattr(recipe, table), key)) != default:
            values[key] = value
    for old, new in _KEYS.items():
        (table, old_key), new_key = old.split("."), new.partition(".")[2]
        if new_key in settings.get(table, {}):
            settings[table][old_key] = settings[table].pop(new_key)
    if "modules_to_save" in settings["tuning"]:  # of prompt modules, then one of peft's options
        settings["tuning"].setdefault("options", {})["modules_to_save"] = settings["tuning"].pop("modules_to_save")
    if "name" in settings:
        settings["name"] = {new: old for old, new in _RECIPES.items()}.get(recipe.name, recipe.name)
    return {key: value for key, value in settings.items() if value != {}}


def _renamed(setting: str) -> str:
    key, equals, value = setting.partition("=")
    return f"{_KEYS.get(key.strip(), key)}{equals}{value}"
