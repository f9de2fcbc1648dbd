"""Images unlike those of training: a line each on stderr, and of many the number of the others."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..counting.result import CountResult

_NAMED = 20


class Outside:
    """Tells of results with warnings; `say` takes a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.images = say, 0

    def note(self, result: "CountResult") -> None:
        """Say in which respects an image lies outside what training saw, if any."""
        if not result.warnings:
            return
        self.images += 1
        if self.images <= _NAMED:
            self.say(f"'{result.image}': {'; '.join(result.warnings)}: expect a wrong count.")

    def conclude(self) -> None:
        """Say how many images were not named."""
        if self.images > _NAMED:
            self.say(f"{self.images - _NAMED} further images lie outside what training saw; --json lists them.")
