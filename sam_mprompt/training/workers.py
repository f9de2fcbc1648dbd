"""The processes that load data beside a training: how they start, and what becomes of one that is stuck or lost."""

import multiprocessing.queues
import os
import re
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
from torch.utils.data import DataLoader

from ..errors import RunError, SamMpromptError

POLL = 1
"""Seconds after which a loader with workers (its `timeout`) lets the main process look whether it should go on."""

PATIENCE = 600
"""Seconds without a batch after which a worker counts as stuck."""

PATIENCE_SMALL = 60
"""The same where shared memory is so small that batches get lost in it: a worker then waits for ever by itself."""

_SHARED = Path("/dev/shm")
_SMALL = 2**30

Batch = TypeVar("Batch")


def start_worker(_worker: int) -> None:
    """Leave signals to the main process, which needs its workers to finish the step, and threads to it as well.

    A group of its own keeps from a worker what a terminal, `timeout` or a scheduler sends to the whole group. OpenCV's
    pool of threads does not survive the fork that makes a worker; one that waits for it would hang. A worker that
    cannot hand a batch over ends, which the main process tells; Python would print a traceback and let it wait.
    """
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_of_worker)  # type: ignore[attr-defined]
    cv2.setNumThreads(0)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_of_worker(_error: Exception, _batch: object) -> None:
    os._exit(1)


def patiently(
    loader: DataLoader[Batch], while_waiting: Callable[[], None], patience: float | None = None
) -> Iterator[Batch]:
    """Yield a loader's batches, and do not wait for ever for the next.

    Args:
        loader: with a `timeout` of `POLL` if it has workers.
        while_waiting: called every `POLL` seconds while no batch comes; ends the waiting by raising.
        patience: seconds; by default `PATIENCE`, or `PATIENCE_SMALL` where shared memory is below 1 GiB.

    Raises:
        RunError: no batch came for so long.
    """
    if patience is None:
        patience = PATIENCE_SMALL if _SHARED.is_dir() and shutil.disk_usage(_SHARED).total < _SMALL else PATIENCE
    batches, since = iter(loader), time.monotonic()
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, EOFError, OSError) as error:
            if not ("DataLoader timed out" in str(error) or _lost_in_handing_over(error)):
                raise
            while_waiting()
            if time.monotonic() - since < patience:
                continue
            raise RunError(
                f"No batch came from the data workers for {time.monotonic() - since:.0f} s: expected one, a worker is "
                f"stuck or was lost.{_shared_memory()} Load in the main process with train.workers = 0.",
                about="lost worker",
            ) from error
        yield batch
        since = time.monotonic()


def _lost_in_handing_over(error: Exception) -> bool:
    """Return whether a worker ended after it announced a batch and before its memory was taken over from it.

    The loader still expects that batch, so the next look at it tells which worker is gone.
    """
    return isinstance(error, (EOFError, ConnectionError, FileNotFoundError)) and any(
        frame.name == "rebuild_storage_fd" for frame in traceback.extract_tb(error.__traceback__)
    )


@contextmanager
def told_of_workers() -> Iterator[None]:
    """Within the block a worker that was killed, or that raised an error of this package, makes one line of it.

    Raises:
        RunError: a worker was killed.
    """
    try:
        yield
    except SamMpromptError as error:  # torch puts the worker's traceback into the message
        if "\nOriginal Traceback" not in str(error):
            raise
        said = re.split(r"\n(?:\w+\.)*\w+: ", str(error))[-1].strip()
        raise type(error)(said) from error
    except RuntimeError as error:
        if not (
            lost := re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*?)\.?\s*$", str(error), re.MULTILINE)
        ):
            raise
        raise RunError(
            f"A data worker (process {lost[1]}) {lost[2]}: expected it to go on. The machine may be short of memory."
            f"{_shared_memory()} Lower train.workers (0 loads in the main process) or train.batch_size.",
            about="lost worker",
        ) from error


def _shared_memory() -> str:
    if not _SHARED.is_dir():
        return ""
    usage = shutil.disk_usage(_SHARED)
    return f" Of the {usage.total / 2**20:,.0f} MiB of shared memory, {usage.free / 2**20:,.0f} are free."
