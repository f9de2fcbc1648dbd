"""Who listens to a training: the core tells what happens, and prints nothing."""

from collections.abc import Mapping
from typing import Any


class Observer:
    """Hears what a training tells. This one keeps silent; subclasses show or keep what they are told."""

    def say(self, line: str) -> None:
        """A line to read, as it is."""

    def progress(self, label: str, done: int, total: int | None, *, in_bytes: bool = False) -> None:
        """So much of a preparation is done; `done` equals `total` at its end, None is an unknown total."""

    def batch(self, done: int, total: int, values: Mapping[str, float]) -> None:
        """So many batches of the whole training are behind; `values` are the latest loss terms and rates.

        The first call comes before the first batch, with what an earlier session did, and without values.
        """

    def epoch(self, record: Mapping[str, Any]) -> None:
        """A record was added to the run's metrics: flat JSON values, None for what could not be measured."""

    def end(self) -> None:
        """This training is over, finished or not; another may follow."""


SILENT = Observer()
