"""Warnings of the core as plain lines: the first of a kind at once, the others of it counted in the end."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import DimImageWarning, HubWarning, RecipeWarning, RegionWarning, SmallerCopyWarning
from ..shown import shown

_COUNTED: dict[type[Warning], tuple[str, str]] = {
    DimImageWarning: (
        " --stretch scales such images from the bits that they use, in training --set data.stretch=true.",
        "other images are as dark for their bits.",
    ),
    SmallerCopyWarning: ("", "other images are read as smaller copies."),
}
"""By kind: what follows the first message, and the number of others."""


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show the core's own warnings as lines on stderr while the block runs; those of others stay as Python has them.

    Every warning about a recipe, about regions or about the Hub is shown. Of those about images, of which there may be
    thousands, the first of a kind is shown when it comes, with what to do, and how many more there were when the block
    ends, however it ends.
    """
    told: dict[type[Warning], set[str]] = {kind: set() for kind in _COUNTED}
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            text = str(message)
            if issubclass(category, RecipeWarning | RegionWarning | HubWarning):
                _line(text)
            elif category not in told:
                others(message, category, *rest, **more)
            else:
                if not told[category]:
                    _line(f"{text}{_COUNTED[category][0]}")
                told[category].add(text)

        warnings.showwarning = show
        try:
            yield
        finally:
            for kind, texts in told.items():
                if len(texts) > 1:
                    _line(f"{len(texts) - 1} {_COUNTED[kind][1]}")


def _line(text: str) -> None:
    with suppress(OSError):
        print(f"sam-mprompt: {shown(text, lines=True)}", file=sys.stderr, flush=True)  # noqa: T201 - as errors are
