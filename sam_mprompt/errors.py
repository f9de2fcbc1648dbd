"""The errors a user meets: each message is one line that names what was expected, what came, and what to do next."""

import difflib
from collections.abc import Iterable

_SHOWN = 8


class RequestError(ValueError):
    """The request was wrong (a file, a name, a value the user gave). The command line exits with 2."""


class WorkError(RuntimeError):
    """The request was fine but the work failed (NaN loss, full disk). The command line exits with 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` (with the leading space) for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return sorted names in one line; of more than eight the first eight and the number of the others."""
    ordered = sorted(names)
    return ", ".join(ordered[:_SHOWN]) + (f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else "")
