"""How long a training may take."""

from ..errors import UsageError

_MOST = 24 * 60.0


def checked_minutes(minutes: float) -> float:
    """Return the minutes of a training. Raises UsageError for a time that is none, or more than a day."""
    if not 0 < minutes <= _MOST:
        raise UsageError(f"Expected more than 0 and at most {_MOST:g} minutes, got {minutes:g}.")
    return minutes
