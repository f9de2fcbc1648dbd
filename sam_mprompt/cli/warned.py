"""Warnings of the core as plain lines: the first of a kind at once, the others of it counted in the end."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import DimImageWarning, RecipeWarning
from ..shown import shown

_ADVICE = "--stretch scales such images from the bits that they use, in training --set data.stretch=true."


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show the core's own warnings as lines on stderr while the block runs; those of others stay as Python has them.

    Every warning about a recipe is shown. Of dim images, of which there may be thousands, the first is shown when it
    comes, with what to do, and how many more there were when the block ends, however it ends.
    """
    dim: dict[str, None] = {}
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            text = str(message)
            if issubclass(category, RecipeWarning):
                _line(text)
            elif not issubclass(category, DimImageWarning):
                others(message, category, *rest, **more)
            elif text not in dim:
                dim[text] = None
                if len(dim) == 1:
                    _line(f"{text} {_ADVICE}")

        warnings.showwarning = show
        try:
            yield
        finally:
            if len(dim) > 1:
                _line(f"{len(dim) - 1} other images are as dark for their bits.")


def _line(text: str) -> None:
    with suppress(OSError):
        print(f"sam-mprompt: {shown(text, lines=True)}", file=sys.stderr, flush=True)  # noqa: T201 - as errors are
