"""Recipes of version 0.1: keys that have other names now, and keys that meant nothing beside the others.

Version 0.1 had one flat table for all encoders and one for all methods, and wrote every key of them into runs and
adapters.
"""

import warnings
from typing import Any, Final

from pydantic import BaseModel

from ..errors import RecipeWarning
from .section import members

_RENAMED: Final = {
    "train.accumulate": "train.gradient_accumulation",
    "train.start": "train.init_from",
    "train.clip_norm": "train.max_grad_norm",
    "encoder.dim": "encoder.embed_dim",
    "encoder.heads": "encoder.num_heads",
    "encoder.window": "encoder.window_size",
    "encoder.global_blocks": "encoder.global_attn_indexes",
}
_GONE: Final = {
    "train.flex_attention": "FlexAttention was slower than every other way on the GPU it was measured on",
}
"""Keys that do nothing any more, and why."""

_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "model": {"pretrained": True, "levels": [], "stem_stride": 2, "positions": "resample", "fuse_levels": False},
    "tuning": {"bottleneck": 192, "placement": ["attention", "mlp"], "blocks": "all", "options": {}},
}
"""What 0.1 had in the keys that belong to some encoders or methods only."""

_TOLD_APART: Final = {"model": ("encoder", "sam"), "tuning": ("method", "prompt")}


def new_name(key: str) -> str:
    """Return today's name of a key such as "train.start", with a warning when it was renamed."""
    if key in _RENAMED:
        _warn(f"{key} is called {_RENAMED[key]} now.")
    return _RENAMED.get(key, key)


def upgraded(table: dict[str, Any], schema: type[BaseModel], source: str) -> dict[str, Any]:
    """Return the table of a recipe, in which keys of 0.1 have today's names; it is changed in place.

    Keys that do not belong to the chosen encoder or method are left out where they hold 0.1's defaults, and all of them
    where 0.1 wrote the table. A renamed key in a file that somebody wrote is told by a `RecipeWarning`.
    """
    written_by_us = all(
        isinstance(table.get(name), dict) and table[name].keys() >= {*keys, _TOLD_APART[name][0]}
        for name, keys in _DEFAULTS.items()
    )
    renamed = []
    for old, new in _RENAMED.items():
        (name, key), new_key = old.split("."), new.partition(".")[2]
        values = table.get(name)
        if isinstance(values, dict) and key in values:
            values.setdefault(new_key, values[key])
            del values[key]
            renamed.append(f"{old} is called {new} now")
    for old, why in _GONE.items():
        name, key = old.split(".")
        values = table.get(name)
        if isinstance(values, dict) and key in values and values.pop(key):
            _warn(f"Recipe '{source}': {old} does nothing any more: {why}.")
    if renamed and not written_by_us:
        _warn(f"Recipe '{source}': {', '.join(renamed)}.")
    for name, defaults in _DEFAULTS.items():
        values = table.get(name)
        if not isinstance(values, dict):
            continue
        if name == "tuning":
            _prompt_options(values)
        key, default = _TOLD_APART[name]
        tag, by_value = members(schema, name)
        member = by_value.get(str(values.get(key, default))) if tag else None
        if member is None:
            continue
        for own, before in defaults.items():
            foreign = own in values and own not in member.model_fields
            if foreign and (written_by_us or values[own] == before):
                del values[own]
    data = table.get("data", {})
    if written_by_us and isinstance(data, dict) and data.get("format") != "synthetic":
        table.pop("synthetic", None)
    return table


def _prompt_options(tuning: dict[str, Any]) -> None:
    """Give what prompt modules had among peft's options keys of their own."""
    options = tuning.get("options")
    if tuning.get("method", "prompt") == "prompt" and isinstance(options, dict):
        for key in ("bottleneck", "modules_to_save"):
            if key in options:
                tuning[key] = options.pop(key)


def _warn(message: str) -> None:
    warnings.warn(message, RecipeWarning, stacklevel=2)
