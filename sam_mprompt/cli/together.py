"""`--together` and `--flip`: a count is the mean of several adapters', or of an image's and its mirror image's."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .ui import recorded

Together = Annotated[
    list[str] | None,
    typer.Option(metavar="ADAPTER", help="Count with this adapter too, and take the mean of all; repeatable."),
]
Flip = Annotated[bool, typer.Option("--flip", help="Count each image mirrored too, and take the mean: twice the time.")]


def all_of(adapter: str, together: Sequence[str] | None) -> str | list[str]:
    """Return what `load` takes: one adapter, or all that count together."""
    return [adapter, *map(recorded, together)] if together else adapter


def record(together: Sequence[str] | None, *, flip: bool) -> dict[str, Any]:
    """Return what JSON says of it; nothing where one adapter sees each image once."""
    return ({"together": list(together)} if together else {}) | ({"flip": True} if flip else {})
