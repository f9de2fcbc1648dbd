"""A work for actors of Ray that takes its time, tells where it runs, and dies over an image whose name says so."""

import os
import signal
import time
from pathlib import Path

from small_job import SCHEMA

from sam_mprompt.distributed.job import IMAGE


class SlowWork:
    """Leaves a file `PID-NODE` in a folder for each process that has worked on an image.

    Args:
        told: the folder.
        seconds: of each image.
    """

    schema = SCHEMA

    def __init__(self, told: Path, seconds: float = 0.1):
        import ray

        self.seconds = seconds
        self.mark = told / f"{os.getpid()}-{ray.get_runtime_context().get_node_id()}"

    def rows(self, images):
        for image in images:
            self.mark.touch()
            if "poison" in image:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            yield {IMAGE: image, "length": len(image)}


def processes(told: Path) -> dict[int, str]:
    """The nodes of the processes that have worked on an image, by their numbers."""
    marks = [mark.name.partition("-") for mark in told.iterdir()]
    return {int(number): node for number, _, node in marks}
