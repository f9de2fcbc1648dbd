"""Error bars as commands show them: behind a count, in a csv file, in JSON, and why there are none."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..counting.intervals import Calibration, Interval
    from ..counting.result import CountResult

Level = Annotated[
    float, typer.Option(metavar="SHARE", help="Share of images whose true count is to lie within the error bars.")
]
COLUMNS = ("low", "high", "level")
"""Of a csv file, behind the count."""

LEVEL = 0.9


def check_level(level: float) -> None:
    """Refuse a level that is none before anything is loaded. Raises UsageError."""
    from ..counting.intervals import checked_level

    checked_level(level)


class ErrorBars:
    """The error bars of one level, of all that is counted with one calibration.

    Args:
        calibration: what is known of the counter's errors.
        level: between 0 and 1.
        of_parts: what is counted are parts of images, whose errors nobody knows.

    Raises:
        UsageError: another level.
    """

    def __init__(self, calibration: "Calibration", level: float = LEVEL, *, of_parts: bool = False) -> None:
        from ..counting.result import OF_PARTS

        self.level, self.missing = level, OF_PARTS if of_parts else calibration.why_not(level)
        self._few, self._for_good = calibration.images > 0, of_parts or calibration.for_good

    def why_not(self) -> str:
        """Return the line that says why there are none and what to do, empty where there are some."""
        if self.missing is None:
            return ""
        if self._for_good:
            return f"No error bars: {self.missing}."
        if self._few:
            return f"No error bars: {self.missing}. Give a lower --level, or more images to 'sam-mprompt calibrate'."
        return f"No error bars: {self.missing}. Run 'sam-mprompt calibrate ADAPTER --data DIR' with annotated images."

    def shown(self, result: "CountResult") -> str:
        """Return the count as a person reads it: `1,243 (90 %: 1,170 to 1,330)`, or `1243.2` without error bars."""
        found = self._interval(result)
        return f"{result.count:.1f}" if found is None else f"{result.count:,.0f} ({found})"

    def widest(self) -> str:
        """Return a text as wide as most that `shown` returns."""
        return "12345.6" if self.missing is not None else f"12,345 ({100 * self.level:g} %: 12,345 to 12,345)"

    def cells(self, result: "CountResult") -> list[Any]:
        """Return what stands in `COLUMNS`; nothing where there is no interval."""
        found = self._interval(result)
        if found is None:
            return [None, None, None]
        return [f"{found.low:.4f}", f"{found.high:.4f}", found.level]

    def record(self, result: "CountResult") -> dict[str, Any]:
        """Return what JSON says of a result."""
        found = self._interval(result)
        why = self.missing if self.missing is not None else result.why_no_interval(self.level)
        return {"interval": None if found is None else dict(vars(found)), "why_no_interval": why}

    def _interval(self, result: "CountResult") -> "Interval | None":
        return None if self.missing is not None else result.interval(self.level)
