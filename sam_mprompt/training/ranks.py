"""What becomes of a training by several processes when one of them ends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import RunError, SamMpromptError

_OF_THE_CONNECTION = re.compile(
    r"gloo|nccl|process ?group|connection (closed|reset|refused)|broken pipe|socket|store", re.IGNORECASE
)
"""What the libraries that connect processes say where the other end is gone; most raise a plain RuntimeError."""


@contextmanager
def told_of_ranks(processes: int) -> Iterator[None]:
    """Within the block the end of another of the processes that train together makes one line.

    Raises:
        RunError: another one has ended, or cannot be reached.
    """
    try:
        yield
    except SamMpromptError:
        raise
    except RuntimeError as error:
        if processes == 1 or not _is_lost(error):
            raise
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RunError(
            f"It looks as if another process of this training has ended or cannot be reached: expected all {processes} "
            f"to go on ({first:.120}). The last saved state stands.",
            about="lost process",
        ) from error


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or _OF_THE_CONNECTION.search(str(error)) is not None
