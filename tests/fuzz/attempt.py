"""What a family makes of a throw of the dice: one input, and the call that meets it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .dice import Dice


@dataclass(frozen=True)
class Attempt:
    """One input.

    Attributes:
        what: says in a line what is tried, for whoever looks at a finding.
        run: meets the input. What it may raise is a `SamMpromptError`; its value is of no interest.
    """

    what: str
    run: Callable[[], object]


class Family(Protocol):
    """A module of this package: inputs of one kind.

    Attributes:
        IMPORTS: modules that are imported before the first input, so that no input is said to take their time.
    """

    IMPORTS: tuple[str, ...]

    def prepare(self, folder: Path) -> None:
        """Make once what the inputs vary, in a folder that all of them share and none changes."""

    def make(self, dice: Dice, folder: Path, shared: Path) -> Attempt:
        """Make an input in an empty folder; `shared` is what `prepare` made."""
