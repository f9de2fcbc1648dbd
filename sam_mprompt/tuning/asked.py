"""What an adapter's configuration may ask for. It may come from strangers, so it is checked before peft reads it.

peft matches names of modules with the regular expressions of a configuration. Python's `re` tries one way after
another, which takes for ever with some (`(([a-z.]+)+)+X`): only those are taken whose ways can be counted and are few.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb, prod
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean, listed

if TYPE_CHECKING:
    from peft import PeftConfig

MOST_STEPS = 20_000_000
"""Steps that matching all names may take, at worst: less than half a second."""

MOST_NUMBER = 2**20
"""No width, rank or number of layers is larger; the sizes of what is stored are compared one by one later."""

_LONGEST = 20_000
_PATTERNS = ("target_modules", "exclude_modules", "feedforward_modules")
_NAMES = ("modules_to_save", "layers_pattern", "target_parameters")
_HARMLESS = ("runtime_config", "target_svd_config")
"""Configurations within a configuration that name neither modules of Python nor files, but devices and numbers."""

_TOKENS = re.compile(
    r"(?P<single>\\[^A-Za-z0-9]|\\[dDwW]|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\()\[\]|*+?{}])"
    r"|(?P<open>\((?:\?:)?(?!\?))|(?P<close>\))|(?P<either>\|)|(?P<repeat>[*+?]|\{\d+(?:,\d*)?\})(?P<lazy>\??)"
)


def check_config(config: "PeftConfig", names: Sequence[str]) -> None:
    """Check what a configuration asks for, before anything is built for it.

    Args:
        config: of any peft method.
        names: of the encoder's modules, without adapters.

    Raises:
        UsageError: a regular expression that could take for ever, modules that the encoder does not have, numbers
            that no encoder needs, or a configuration within the configuration, which may name code or files.
    """
    values = {entry.name: getattr(config, entry.name, None) for entry in dataclasses.fields(config)}
    for key in _PATTERNS:
        if isinstance(pattern := values.get(key), str) and pattern != "all-linear":
            check_pattern(pattern, names, key)
    for key in _NAMES:
        _check_names(key, values.get(key))
    for name in values.get("modules_to_save") or ():
        if not any(own == name or own.endswith(f".{name}") for own in names):
            raise UsageError(f"modules_to_save: the encoder has no module '{name}'.{did_you_mean(name, names)}")
    for key, value in values.items():
        if key.endswith("_config") and key not in _HARMLESS and value:
            raise UsageError(f"{key}: expected none, as it may name code or files, got one.")
        if isinstance(value, Mapping):
            for pattern in value:
                check_pattern(str(pattern), names, key)
        if "seed" not in key and "key" not in key:
            for number in _numbers(value):
                if abs(number) > MOST_NUMBER:
                    raise UsageError(f"{key}: expected numbers up to {MOST_NUMBER:,}, got a larger one.")


def check_pattern(pattern: str, names: Sequence[str], key: str = "target_modules") -> None:
    """Check that a regular expression is matched against all names in a moment.

    Raises:
        UsageError: it repeats a group, uses what is not needed to name modules (look-around, back references, flags),
            or could be matched in too many ways.
    """
    longest = max(map(len, names), default=0)
    ways = _ways(pattern, longest) if len(pattern) <= _LONGEST else None
    if ways is not None:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            ways = None
    if ways is None or ways * len(names) > MOST_STEPS:
        raise UsageError(
            f"{key}: expected names of modules, or a regular expression without repeated groups and with few '*' and "
            f"'+', such as '.*blocks\\.\\d+\\.(attn|mlp)', got '{pattern[:60]}{'...' if len(pattern) > 60 else ''}'."
        )


def _ways(pattern: str, longest: int) -> int | None:
    """Return an upper bound of the ways to match a name of up to so many characters; None for what is not taken."""
    groups, closed = [1], []  # in how many alternatives each begins, the whole pattern first
    optional = unbounded = place = 0
    before = ""
    while place < len(pattern):
        token = _TOKENS.match(pattern, place)
        if token is None:
            return None
        place = token.end()
        kind = next(kind for kind in ("single", "open", "close", "either", "repeat") if token[kind])
        if kind == "open":
            groups.append(1)
        elif kind == "close":
            closed.append(groups.pop())
            if not groups:
                return None
        elif kind == "either":
            groups[-1] += 1
        elif kind == "repeat":
            if before not in ("single", "close") or (before == "close" and token[kind] != "?"):
                return None
            optional += token[kind] == "?"
            unbounded += token[kind] != "?"
        before = kind
    if len(groups) > 1:
        return None
    return prod(closed) * groups[0] * 2**optional * comb(longest + unbounded, unbounded)


def _check_names(key: str, value: Any) -> None:
    given = [value] if isinstance(value, str) else value or []
    if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"{key}: expected names of modules, got {value!r}.")
    if strange := [name for name in given if not re.fullmatch(r"[\w.]+", name)]:
        raise UsageError(f"{key}: expected names of modules, got {listed(strange)}.")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _numbers(item)
