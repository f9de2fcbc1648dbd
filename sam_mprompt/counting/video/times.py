"""Spans of time and places in a video, as people write and read them."""

import re

from ...errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?(ms|s|min|h)")
_LONGEST = 366 * 24 * 3600.0


def seconds_of(text: str) -> float | None:
    """Return the seconds of "500ms", "1s", "2.5 s", "10min" or "1h"; None where the text is no such span."""
    found = _SPAN.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None


def span(value: str | float, name: str, *, zero: bool = False) -> float:
    """Return the seconds of a span that was given as text ("1s", "500ms", "10min") or as a number of seconds.

    Args:
        value: what was given.
        name: what it is, for the message.
        zero: whether nothing is a span too.

    Raises:
        UsageError: no span, one of nothing where that is none, or one longer than a year.
    """
    seconds = seconds_of(value) if isinstance(value, str) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is None or not number or not (0 < seconds <= _LONGEST or (zero and seconds == 0)):
        raise UsageError(f"{name}: expected a time such as 500ms, 1s or 10min, got {value!r}.")
    return float(seconds)


def clock(seconds: float, digits: int = 0) -> str:
    """Return seconds as h:mm:ss, with so many digits behind the point."""
    scale = 10**digits
    units = round(seconds * scale)
    sign, units = ("-" if units < 0 else ""), abs(units)
    whole, rest = divmod(units, scale)
    text = f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{text}.{rest:0{digits}d}" if digits else text
