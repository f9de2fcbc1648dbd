"""The processes that load data beside a training."""

import os
import signal

import cv2


def start_worker(_worker: int) -> None:
    """Leave signals to the main process, which needs its workers to finish the step, and threads to it as well.

    A group of its own keeps from a worker what a terminal, `timeout` or a scheduler sends to the whole group. OpenCV's
    pool of threads does not survive the fork that makes a worker; one that waits for it would hang.
    """
    cv2.setNumThreads(0)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
