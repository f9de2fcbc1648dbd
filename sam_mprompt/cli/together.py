"""`--together`, `--flip`, `--scales`: a count is the mean of several adapters', mirror images' or sizes'."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..errors import UsageError
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


def scales_of(text: str | None) -> tuple[float, ...]:
    """Return what `load` takes as scales. Raises UsageError for what are no numbers, or none that it takes."""
    from ..counting.scales import ONCE, checked_scales

    if text is None:
        return ONCE
    try:
        return checked_scales([float(part) for part in text.split(",")])
    except (ValueError, UsageError):
        raise UsageError(
            f"--scales: expected numbers from 0.25 to 4, at most 8 and none twice, such as 0.8,1,1.25; got '{text}'."
        ) from None


def all_of(adapter: str, together: Sequence[str] | None) -> str | list[str]:
    """Return what `load` takes: one adapter, or all that count together."""
    return [adapter, *map(recorded, together)] if together else adapter


def record(together: Sequence[str] | None, *, flip: bool, scales: tuple[float, ...]) -> dict[str, Any]:
    """Return what JSON says of it; nothing where one adapter sees each image once."""
    from ..counting.scales import ONCE

    several = {"together": list(together)} if together else {}
    return several | ({"flip": True} if flip else {}) | ({} if scales == ONCE else {"scales": list(scales)})
