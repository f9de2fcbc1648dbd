"""Counting as a stream: a result as soon as there is one, and an image that fails costs a line, not the others."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from ..errors import RunError, SamMpromptError, UsageError
from ..memory import memory_fault

if TYPE_CHECKING:
    from .any_counter import AnyCounter
    from .result import CountResult, ImageLike

Failed = Callable[[Path, SamMpromptError], None]
"""Called with an image that could not be counted, and why."""


def counted(
    counter: "AnyCounter",
    images: Sequence[Path],
    names: Callable[[Sequence[Path]], Sequence[str] | None] = lambda _: None,
    *,
    batch_size: int,
    on_error: Failed,
) -> "Iterator[CountResult]":
    """Yield the result of each image that can be counted, in order; the others are told to `on_error`.

    An image fails that cannot be read, whose density is not finite, or that the memory does not suffice for. Where
    several were counted at once, those of that batch are counted again one by one, so that one alone is left out.

    `names` tells the adapter of each of some images, or None where the active one counts them all.
    """
    left = deque(images)

    def unreadable(image: "ImageLike", error: UsageError) -> None:
        path = Path(str(image))
        left.remove(path)
        on_error(path, error)

    alone = 0  # so many of those that are left are counted one by one
    while left:
        chosen = list(islice(left, alone)) if alone else list(left)
        own = names(chosen)
        count = counter.count_many if own is None else partial(counter.count_many, adapters=own)
        try:
            for result in count(chosen, batch_size=1 if alone else batch_size, on_error=unreadable):
                if result.image is not None:
                    left.remove(result.image)
                alone = max(0, alone - 1)
                yield result
            alone = 0
        except (RuntimeError, MemoryError, cv2.error) as error:
            if batch_size > 1 and not alone:
                alone = batch_size
                continue
            on_error(left[0], _failure(left[0], error))
            left.popleft()
            alone = max(0, alone - 1)


def _failure(image: Path, error: Exception) -> RunError:
    if isinstance(error, RunError):
        return error
    if memory_fault(error):
        return RunError(f"'{image}' cannot be counted: the memory was not enough. Expected a smaller image.")
    raise error
