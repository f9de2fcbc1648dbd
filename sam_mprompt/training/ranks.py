"""What becomes of a training by several processes when one of them ends."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from ..errors import RunError, SamMpromptError, UsageError

_MINUTES = "SAM_MPROMPT_RANK_MINUTES"
_LONGEST = 30.0
"""PyTorch's own limit for gloo; others wait so long, too, while the main process caches features."""

_OF_THE_CONNECTION = re.compile(
    r"gloo|nccl|process ?group|connection (closed|reset|refused)|broken pipe|socket|store", re.IGNORECASE
)
"""What the libraries that connect processes say where the other end is gone; most raise a plain RuntimeError."""

_PLACE = re.compile(r"^\[[^\]]*\]\s*")
"""The file and line of their sources that gloo begins with."""


def join_ranks() -> PartialState:
    """Return this process's place among those that a launcher started to train together, connected with them.

    A wait for the others ends after $SAM_MPROMPT_RANK_MINUTES (30): a network that is cut says nothing.

    Raises:
        UsageError: the variable holds no positive number.
        RunError: the others cannot be reached.
    """
    # Left alone, accelerate takes several processes on a machine without an accelerator for as many runs of one.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    limit = timedelta(minutes=_minutes())
    with told_of_ranks(int(os.environ.get("WORLD_SIZE", "1"))):
        return PartialState(cpu=cpu, timeout=limit)


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
        first = next(iter(_PLACE.sub("", str(error)).strip().splitlines()), type(error).__name__)
        raise RunError(
            f"It looks as if another process of this training has ended or cannot be reached: expected all {processes} "
            f"to go on ({first:.120}). The last saved state stands.",
            about="lost process",
        ) from error


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or _OF_THE_CONNECTION.search(str(error)) is not None


def _minutes() -> float:
    given = os.environ.get(_MINUTES, "")
    try:
        minutes = float(given or _LONGEST)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= 100_000:
        raise UsageError(f"${_MINUTES}: expected minutes above 0 and at most 100000, got '{given:.20}'.")
    return minutes
