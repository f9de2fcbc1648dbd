"""From a table of values to a recipe, or to every fault in it, one line a key: `key: expected A or B, got C`."""

from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ..errors import UsageError, did_you_mean
from ..shown import cut
from .section import LENIENT, Section, members
from .tuning import UNSUITED

Schema = TypeVar("Schema", bound=Section)
Path = tuple[str, ...]

_WISHES = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table"),
    "missing": "a value",
    "string_pattern_mismatch": "a name of letters, digits, dots, dashes and underscores",
    "string_too_short": "a name",
}
_LONGEST = 60
_FEW = 8


def parse(table: dict[str, Any], schema: type[Schema], source: str) -> Schema:
    """Check a table of values against a schema.

    Faulty values are taken out until the rest is sound, so that what the others contradict is told with them.

    Raises:
        UsageError: lists every fault with its key; `source` names the origin.
    """
    table = _tuples(table)
    lines: list[str] = []
    faulty: set[Path] = set()
    value: Schema | None = None
    while value is None:
        try:
            value = schema.model_validate(table, context=LENIENT)
        except ValidationError as error:
            lines += _lines(error, schema, faulty)
            places = {_place(fault, schema) for fault in error.errors()}
            faulty |= places
            corrected = [_correct(table, place, schema) for place in places]
            if not any(corrected):
                break
    if value is not None:
        for keys, says in value.all_contradictions():
            if not any(_touches(tuple(key.split(".")), place) for key in keys for place in faulty):
                lines.append(f"{keys[0]}: {says}")
    if value is None or lines:
        lines = list(dict.fromkeys(lines))
        count = f"{len(lines)} fault" + ("" if len(lines) == 1 else "s")
        raise UsageError(f"Recipe '{source}' has {count}:\n  " + "\n  ".join(lines))
    return value


def _tuples(value: Any) -> Any:
    """TOML only has lists where the strict schema wants tuples; `tuning.options` keeps its lists. Copies all tables."""
    if isinstance(value, dict):
        return {key: _copy(item) if key == "options" else _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def _place(fault: Any, schema: type[BaseModel]) -> Path:
    """Return the key that a fault of pydantic is about, without the names of members that it tried."""
    location = [str(part) for part in fault["loc"]]
    key, by_value = members(schema, location[0]) if location else ("", {})
    if by_value and fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return location[0], key
    if len(location) > 1 and location[1] in by_value:
        del location[1]
    # A table of free keys goes one deeper.
    return tuple(location[: 3 if location[1:2] == ["options"] else 2])


def _touches(key: Path, place: Path) -> bool:
    return key[: len(place)] == place or place[: len(key)] == key


def _correct(table: dict[str, Any], place: Path, schema: type[BaseModel]) -> bool:
    """Take a faulty value out, or put the member of a union that was probably meant there; says whether it could."""
    key, by_value = members(schema, place[0]) if place else ("", {})
    if place[1:] == (key,) and by_value:
        section = table[place[0]]
        meant = _closest(section.get(key), by_value)
        if meant and section[key] not in UNSUITED:
            section[key] = meant
        else:
            del table[place[0]]
        return True
    for part in place[:-1]:
        if not isinstance(table := table.get(part, {}), dict):
            return False
    return bool(place) and table.pop(place[-1], place) is not place


def _closest(value: object, names: Iterable[str]) -> str:
    if not isinstance(value, str):
        return ""
    return did_you_mean(value, names).removeprefix(" Did you mean '").removesuffix("'?")


def _lines(error: ValidationError, schema: type[BaseModel], guessed: set[Path]) -> list[str]:
    lines: list[str] = []
    expected: dict[str, tuple[list[str], object]] = {}
    for fault in error.errors():
        place = _place(fault, schema)
        key, kind, value = ".".join(place), fault["type"], fault["input"]
        if kind == "extra_forbidden":
            if says := _unknown(place, value, fault["loc"], schema, guessed):
                lines.append(f"{key}: {says}")
        elif kind == "union_tag_invalid":
            lines.append(f"{key}: {_no_member(value[place[1]], members(schema, place[0])[1])}")
        elif kind == "value_error":
            lines.append(f"{key}: {fault['ctx']['error']}")
        else:
            wishes, _ = expected.setdefault(key, ([], value))
            wish = _WISHES.get(kind) or _wish(fault["msg"])
            if wish not in wishes:
                wishes.append(wish)
            if kind == "missing":
                expected[key] = wishes, _MISSING
    return [
        f"{key}: expected {' or '.join(wishes)}, got {_shown(value)}{_hint(wishes, value)}"
        for key, (wishes, value) in expected.items()
    ] + lines


_MISSING = object()


def _wish(message: str) -> str:
    message = message.removeprefix("Input should be ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def _hint(wishes: list[str], value: object) -> str:
    """Suggest a choice for a misspelt one."""
    if not isinstance(value, str) or "'" not in wishes[0]:
        return ""
    return _asked(_closest(value, wishes[0].split("'")[1::2]))


def _asked(name: str) -> str:
    return f". Did you mean '{name}'?" if name else ""


def _shown(value: object) -> str:
    if value is _MISSING:
        return "none"
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
    except (ValueError, RecursionError):  # Python writes no integer of more than 4300 digits
        return "a number too long to be shown"
    return cut(text, _LONGEST)


def _no_member(value: object, by_value: dict[str, type[Section]]) -> str:
    """Say that no member of a union has this name."""
    if isinstance(value, str) and value in UNSUITED:
        return f"expected a method for image encoders, got '{value}': {UNSUITED[value]}"
    hint, known = _closest(value, by_value), " or ".join(map(repr, by_value))
    if len(by_value) > _FEW:
        known = f"one of {len(by_value)} names" if hint else f"one of {', '.join(by_value)}"
    return f"expected {known}, got {_shown(value)}{_asked(hint)}"


def _unknown(
    place: Path, value: object, location: tuple[int | str, ...], schema: type[BaseModel], guessed: set[Path]
) -> str:
    """Say that a key is not known here, and where it is; "" where what it belongs to was only guessed."""
    key, by_value = members(schema, place[0])
    if len(place) > 1 and by_value:
        own = by_value[str(location[1])]
        if owners := {member for member in by_value.values() if place[-1] in member.model_fields}:
            if (place[0], key) in guessed:
                return ""
            names = " and ".join(sorted(_called(owner, by_value) for owner in owners))
            chosen = f"{place[0]}.{key} = '{location[1]}'"
            return f"expected no such key with {chosen} (it belongs to {names}), got {_shown(value)}"
        names_here = list(own.model_fields)
    else:
        names_here = list(_fields(schema, place[:-1]))
    hint = did_you_mean(place[-1], names_here) or f" Known: {', '.join(names_here)}."
    return f"unknown key.{hint}"


def _called(member: type[Section], by_value: dict[str, type[Section]]) -> str:
    own = [name for name, other in by_value.items() if other is member]
    return repr(own[0]) if len(own) == 1 else f"{member.__name__.lower()}'s methods"


def _fields(schema: type[BaseModel], place: Path) -> Iterable[str]:
    if not place:
        return schema.model_fields
    annotation = schema.model_fields[place[0]].annotation
    for inner in (annotation, *get_args(annotation)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner.model_fields
    return ()
