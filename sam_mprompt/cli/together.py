"""`--together`, `--flip`, `--scales`: a count is the mean of several adapters', mirror images' or sizes'."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .ui import recorded

Together = Annotated[
    list[str] | None,
    typer.Option(metavar="ADAPTER", help="Count with this adapter too, and take the mean of all; repeatable."),
]
Flip = Annotated[bool, typer.Option("--flip", help="Count each image mirrored too, and take the mean: twice the time.")]

Scales = Annotated[
    str | None,
    typer.Option(metavar="S,S", help="Count each image at these shares of its size, as 0.8,1,1.25; take the mean."),
]


@dataclass(frozen=True)
class Means:
    """What a count is the mean of.

    Attributes:
        together: further adapters.
        flip: mirror images too.
        scales: sizes of the image.
    """

    together: Sequence[str]
    flip: bool
    scales: tuple[float, ...]

    @classmethod
    def of(cls, together: Sequence[str] | None, flip: bool, scales: str | None) -> "Means":
        """Read the options. Raises UsageError for sizes that are no numbers, or none that `load` takes."""
        return cls([] if together is None else together, flip, _scales_of(scales))

    @property
    def how(self) -> dict[str, Any]:
        """What `load` takes of it beside the adapters."""
        return {"flip": self.flip, "scales": self.scales}

    def adapters(self, adapter: str) -> str | list[str]:
        """Return what `load` takes: one adapter, or all that count together."""
        return [adapter, *map(recorded, self.together)] if self.together else adapter

    def record(self) -> dict[str, Any]:
        """Return what JSON says of it; nothing where one adapter sees each image once."""
        from ..counting.scales import ONCE

        several = {"together": list(self.together)} if self.together else {}
        sizes = {} if self.scales == ONCE else {"scales": list(self.scales)}
        return several | ({"flip": True} if self.flip else {}) | sizes


def _scales_of(text: str | None) -> tuple[float, ...]:
    from ..counting.scales import ONCE, checked_scales

    return ONCE if text is None else checked_scales(text.split(","))
