"""The errors a user meets: each message is one line that names what was expected and what came."""

import difflib
from collections.abc import Iterable

_SHOWN = 8


class SamMpromptError(Exception):
    """The base of every error that this package raises on purpose: says what was expected and what came.

    Args:
        message: one line, or several that list faults. It names no command: this package is used without one too.
        about: what the error is about, a key of `cli.advice.ADVICE`, by which the command line adds what to try next.
        facts: values that the advice names, such as the folder to give.
    """

    def __init__(self, message: str = "", *, about: str = "", **facts: object) -> None:
        super().__init__(message)
        self.about, self.facts = about, facts


class UsageError(SamMpromptError, ValueError):
    """The request was wrong (a file, a name, a value the user gave). The command line exits with 2."""


class RunError(SamMpromptError, RuntimeError):
    """The request was fine but the work failed (NaN loss, full disk). The command line exits with 1."""


class Interrupted(SamMpromptError, KeyboardInterrupt):  # noqa: N818 - named as what it stands beside
    """The user (Ctrl-C) or the system (SIGTERM) asked to stop; what was done is saved. Exits with 130."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` (with the leading space) for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return sorted names in one line; of more than eight the first eight and the number of the others."""
    ordered = sorted(names)
    return ", ".join(ordered[:_SHOWN]) + (f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else "")


class RecipeWarning(UserWarning):
    """A recipe is read that an earlier version wrote otherwise; the message names the new key."""


class DimImageWarning(UserWarning):
    """A 16-bit image uses so few of its bits that it is nearly black on the scale of 0..65535."""


class SmallerCopyWarning(UserWarning):
    """A JPEG above the limit on pixels is decoded to a smaller copy, as it is shrunk anyway."""


class HubWarning(UserWarning):
    """An adapter of the Hub was taken at a commit that the user did not name."""


class RegionWarning(UserWarning):
    """Regions can be counted in, but not quite as somebody may expect who drew them."""
