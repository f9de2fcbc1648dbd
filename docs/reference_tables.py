"""The reference pages that are made of the code: every key of a recipe, every command with its options."""

import json
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from typer.main import get_command

Json = Mapping[str, Any]

_KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "table",
}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
_NAMED_IN_A_TITLE = 3
_STANDS_FOR: dict[object, str] = {int: "N", float: "NUMBER", str: "TEXT"}
_LEFT_OPEN = (float("inf"), 0.0)
"""Defaults that mean "not given" and say nothing to a reader."""


class MissingDescriptionError(ValueError):
    """Keys of a schema that say nothing about themselves."""


def recipe_page(schema: type[BaseModel], *, level: int = 2) -> str:
    """Return every key of a recipe's schema as Markdown: a heading and a table for each section.

    A section that is a union gets a table for each member, under the value of the key that tells them apart.

    Args:
        schema: a model whose fields are sections (models, or unions of models) and plain keys.
        level: of the sections' headings; a union's members are one below.

    Raises:
        MissingDescriptionError: keys without a description, all of them named.
    """
    whole = schema.model_json_schema()
    models: Json = whole.get("$defs", {})
    silent: list[str] = []
    plain: dict[str, Json] = {}
    parts: list[str] = []
    for name, field in whole["properties"].items():
        members = _members(field, models)
        if not members:
            plain[name] = field
            continue
        parts.append(f"{'#' * level} `[{name}]`")
        key = field.get("discriminator", {}).get("propertyName")
        for model in members:
            if len(members) > 1:
                parts.append(f"{'#' * (level + 1)} `[{name}]` with {_told_by(model, key)}")
            given = field.get("default", {}).get(key) if len(members) > 1 else None
            taken = f" *This is meant where `{key}` is left out.*" if _is(model, key, given) else ""
            parts.append(model.get("description", "") + taken)
            keys = {of: field for of, field in model["properties"].items() if of != key or len(_choices(field)) > 1}
            needed = model.get("required", ())
            table = (
                _key_table(keys, models, f"{name}.", silent, needed=needed) if keys else "It has no keys of its own."
            )
            parts.append(table)
    if plain:
        parts.insert(0, _key_table(plain, models, "", silent, needed=whole.get("required", ())))
    if silent:
        raise MissingDescriptionError(f"expected a description of every key, found none of {', '.join(silent)}")
    return "\n\n".join(parts) + "\n"


def command_page(app: typer.Typer, *, level: int = 2) -> str:
    """Return every command of an app as Markdown: what it does, its usage, an example, arguments and options."""
    root = get_command(app)
    return "\n\n".join(_commands(root, f"{root.name}", level)) + "\n"


def _members(field: Json, models: Json) -> list[Json]:
    """Return the models that a section may be: one, or those of a union; none where the field is a plain key."""
    options = field.get("oneOf") or field.get("anyOf") or field.get("allOf") or [field]
    found = [models[option["$ref"].rpartition("/")[2]] for option in options if "$ref" in option]
    return found if len(found) == len(options) and all("properties" in model for model in found) else []


def _told_by(model: Json, key: str | None) -> str:
    values = _choices(model["properties"][key]) if key else []
    if not values:
        return f"the keys of {model.get('title', 'another kind')}"
    shown = " or ".join(f"`{value}`" for value in values[:_NAMED_IN_A_TITLE])
    more = f" and {len(values) - _NAMED_IN_A_TITLE} more" if len(values) > _NAMED_IN_A_TITLE else ""
    return f"`{key}` = {shown}{more}"


def _is(model: Json, key: str | None, value: object) -> bool:
    """Whether this member of a union is told by that value of its key."""
    return key is not None and value is not None and _toml(value) in _choices(model["properties"][key])


def _key_table(
    keys: Mapping[str, Json], models: Json, prefix: str, silent: list[str], *, needed: Container[str]
) -> str:
    rows = []
    for name, field in keys.items():
        about = field.get("description", "")
        if not about:
            silent.append(prefix + name)
        # What a factory makes (a table) is no part of the schema; it is empty.
        default = f"`{_toml(field['default'])}` by default" if "default" in field else "empty by default"
        default = "required" if name in needed else default
        rows.append((f"`{name}`", f"{about}<br>*{default}; {_values(field, models)}*"))
    return _table(("key", "meaning, default and values"), rows)


def _choices(field: Json) -> list[str]:
    values = [field["const"]] if "const" in field else field.get("enum", [])
    return [_toml(value) for value in values]


def _values(field: Json, models: Json) -> str:
    """Say in words which values a key takes."""
    if "$ref" in field:
        return _values(models[field["$ref"].rpartition("/")[2]], models)
    if choices := _choices(field):
        return ", ".join(f"`{choice}`" for choice in choices)
    if options := field.get("anyOf") or field.get("oneOf") or field.get("allOf"):
        return " or ".join(dict.fromkeys(_values(option, models) for option in options))
    if field.get("type") == "array":
        inner = field.get("prefixItems") or [field.get("items", {})]
        what = " or ".join(dict.fromkeys(_values(item, models) for item in inner))
        count = f"list of {len(inner)}" if "prefixItems" in field else "list"
        return f"{count}: each {what}" if what else count
    bounds = [text.format(_toml(field[key])) for key, text in _BOUNDS.items() if key in field]
    if "pattern" in field:
        bounds.append(f"as `{field['pattern']}`")
    return ", ".join([_KINDS.get(field.get("type", ""), "any value"), *bounds])


def _toml(value: object) -> str:
    return json.dumps(value)


def _commands(command: Any, path: str, level: int) -> Iterable[str]:
    """Describe the commands below a group, groups after their own heading; `command` is typer's own kind."""
    context = command.make_context(path, [], resilient_parsing=True)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child.hidden:
            continue
        yield f"{'#' * level} `{path} {name}`"
        if hasattr(child, "list_commands"):
            yield child.help or ""
            yield from _commands(child, f"{path} {name}", level + 1)
        else:
            yield from _command(child, f"{path} {name}")


def _command(command: Any, path: str) -> Iterable[str]:
    yield (command.help or "").strip()
    arguments = [given for given in command.params if given.param_type_name == "argument"]
    options = [given for given in command.params if given.param_type_name == "option" and given.name != "help"]
    needed = [f"{given.opts[0]} {given.metavar or 'VALUE'}" for given in options if given.required]
    usage = " ".join([path, *needed, "[OPTIONS]", *(given.metavar or given.name.upper() for given in arguments)])
    example = "\n".join(re.findall(r"`([^`]+)`", command.epilog or ""))
    yield "```text\n" + usage + "\n```"
    if example:
        yield "```bash\n" + example + "\n```"
    hints = get_type_hints(command.callback)
    rows = [(f"`{given.metavar or given.name.upper()}`", _about(given, hints[given.name])) for given in arguments]
    rows += [(_flags(given, hints[given.name]), _about(given, hints[given.name])) for given in options]
    yield _table(("argument or option", "meaning"), rows)


def _flags(option: Any, hint: object) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.is_flag:
        return names
    return f"{names} `{option.metavar or _STANDS_FOR.get(hint, 'VALUE')}`"


def _about(given: Any, hint: object) -> str:
    """Say what an argument or option is, what it may be, and its default."""
    parts = [given.help or ""]
    if get_origin(hint) is Literal:
        parts.append("One of " + ", ".join(f"`{choice}`" for choice in get_args(hint)) + ".")
    default = given.default
    if given.required and given.param_type_name == "option":
        parts.append("*Required.*")
    elif isinstance(default, str | int | float | Path) and default is not False and default not in _LEFT_OPEN:
        parts.append(f"*By default `{default}`.*")
    return " ".join(part for part in parts if part)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Return text on one line, with a bar escaped where it would end the cell, which it does not inside backticks."""
    parts = text.replace("\n", " ").split("`")
    return "`".join(part if at % 2 else part.replace("|", "\\|") for at, part in enumerate(parts))
