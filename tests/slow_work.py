"""Works for actors of Ray that take their time and tell where they run; some die or hang over an image named so."""

import os
import signal
import time
from pathlib import Path

from small_job import SCHEMA

from sam_mprompt.distributed.counting import Counting
from sam_mprompt.distributed.job import IMAGE
from sam_mprompt.distributed.masking import Masking


class SlowWork:
    """Leaves a file `PID-NODE` in a folder for each process that has worked on an image.

    Args:
        told: the folder.
        seconds: of each image.
    """

    schema = SCHEMA

    def __init__(self, told: Path, seconds: float = 0.1):
        self.seconds, self.mark = seconds, _mark(told)

    def rows(self, images):
        for image in images:
            self.mark.touch()
            if "poison" in image:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1e6 if "hangs" in image else self.seconds)
            yield {IMAGE: image, "length": len(image)}


class _Slow:
    """Does the work of the class behind it, and leaves the same files.

    It begins when two processes do, for an image takes less than a process.

    Args:
        told: the folder.
        how: as that class takes it.
    """

    def __init__(self, told: Path, *how):
        super().__init__(*how)
        self.told, self.mark = told, _mark(told)

    def rows(self, images):
        self.mark.touch()
        deadline = time.monotonic() + 200
        while len(processes(self.told)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        for row in super().rows(images):
            time.sleep(0.1)
            yield row


class SlowCounting(_Slow, Counting):
    """Counts."""


class SlowMasking(_Slow, Masking):
    """Makes masks."""


def _mark(told: Path) -> Path:
    import ray

    return told / f"{os.getpid()}-{ray.get_runtime_context().get_node_id()}"


def processes(told: Path) -> dict[int, str]:
    """The nodes of the processes that have worked on an image, by their numbers."""
    marks = [mark.name.partition("-") for mark in told.iterdir()]
    return {int(number): node for number, _, node in marks}
