"""`KEY=VALUE` on top of a recipe's file."""

import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from ..errors import UsageError
from .legacy import new_name
from .section import members


def apply_overrides(table: dict[str, Any], overrides: Sequence[str], schema: type[BaseModel]) -> None:
    """Put `KEY=VALUE` such as `train.epochs=5` into a recipe's table, in order.

    An override that chooses another method, encoder or format than the file leaves those of the file's keys behind that
    mean nothing with it; keys that are overridden themselves stay, to be refused.

    Raises:
        UsageError: no KEY=VALUE, or a key below one that is a value.
    """
    given = [_parsed(override) for override in overrides]
    for key, value in given:
        _leave_behind(table, key, value, schema)
    for key, value in given:
        inner = table
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UsageError(f"{'.'.join(key)}: expected a table at '{part}', got a value.", about="override")
        inner[key[-1]] = value


def overridden(overrides: Sequence[str], key: str) -> bool:
    """Whether `KEY=VALUE`s set a key such as "data.format"."""
    return any(text.partition("=")[0].strip() == key for text in overrides)


def _parsed(override: str) -> tuple[tuple[str, ...], Any]:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"Expected KEY=VALUE such as train.epochs=5, got '{override}'.", about="override")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets in brackets
        raise UsageError(f"{key}: expected a value, got one of {len(text)} characters that cannot be read.") from error
    return tuple(new_name(".".join(parts)).split(".")), value


def _leave_behind(table: dict[str, Any], key: tuple[str, ...], value: Any, schema: type[BaseModel]) -> None:
    section = table.get(key[0])
    if len(key) != 2 or not isinstance(section, dict) or section.get(key[1]) == value:
        return
    tag, by_value = members(schema, key[0])
    if key[1] == tag and isinstance(value, str) and value in by_value:
        known = by_value[value].model_fields
        for name in [name for name in section if name not in known and _known_elsewhere(name, by_value.values())]:
            del section[name]
    if key == ("data", "format"):
        if value != "synthetic":
            table.pop("synthetic", None)
        if value != "ucf50":
            section.pop("fold", None)


def _known_elsewhere(name: str, members_: Any) -> bool:
    return any(name in member.model_fields for member in members_)
