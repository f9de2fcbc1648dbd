"""Videos through OpenCV: opened quietly, with time limits and a limit on pixels, decoded to upright RGB."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ...arrays import ByteImage
from ...data.bounds import MAX_PIXELS, Reading
from ...errors import UsageError
from ...files import is_file

_CONNECT_MS, _READ_MS = 10_000, 10_000
_MOST_FRAMES = 1 << 40
_INDEX, _CONTENT = b"moov", b"mdat"


class Capture(Protocol):
    """An opened video whose frames come one after the other; `OpenCVCapture` is the one there is."""

    @property
    def fps(self) -> float | None:
        """Frames per second, None where that is not known."""

    @property
    def frame_count(self) -> int | None:
        """Frames in all, None where that is not known, as of a live stream."""

    @property
    def seconds(self) -> float:
        """When the frame is shown that was grabbed last, as the container tells."""

    def grab(self) -> bool:
        """Go to the next frame; False where it is broken, the stream was lost, or there is none."""

    def retrieve(self) -> ByteImage | None:
        """Return the pixels of the frame that was grabbed last, uint8 RGB (H, W, 3), None where they are broken."""

    def release(self) -> None:
        """Close it."""


class OpenCVCapture:
    """A file, an address or the number of a webcam, opened by OpenCV.

    Args:
        target: a path or an address for its ffmpeg, or the number of a webcam.
        name: what it is called in messages, without passwords.
        reading: the most pixels that a frame may have.

    Raises:
        UsageError: it cannot be opened, or its frames have more pixels than accepted.
    """

    def __init__(self, target: str | int, name: str, reading: Reading) -> None:
        with quiet():
            if isinstance(target, int):
                self._capture = cv2.VideoCapture(target)
            else:
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _CONNECT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_MS]
                self._capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, limits)
            if not self._capture.isOpened():
                raise UsageError(_why_not(target, name))
            width, height = (self._capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        limit = reading.max_pixels or MAX_PIXELS
        if width * height > limit:
            self.release()
            raise UsageError(
                f"'{name}' has frames of {width:.0f}x{height:.0f} pixels, more than the {limit} accepted.",
                about="too many pixels",
            )

    @property
    def fps(self) -> float | None:
        """Frames per second."""
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return float(fps) if 0.001 < fps < 1000 else None

    @property
    def frame_count(self) -> int | None:
        """Frames in all."""
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < _MOST_FRAMES else None

    @property
    def seconds(self) -> float:
        """When the frame is shown that was grabbed last."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def grab(self) -> bool:
        """Go to the next frame."""
        with quiet():  # a stream that answers no more
            return bool(self._capture.grab())

    def retrieve(self) -> ByteImage | None:
        """Return the pixels of the frame that was grabbed last."""
        found, pixels = self._capture.retrieve()
        if not found or pixels is None or pixels.size == 0 or pixels.dtype != np.uint8:
            return None
        if pixels.ndim == 2 or pixels.shape[2] == 1:
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) if pixels.shape[2] == 3 else None

    def release(self) -> None:
        """Close it."""
        self._capture.release()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV and its ffmpeg from printing on stderr, also addresses with their passwords."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when ffmpeg is first used; -8 is "quiet"
    logging = cv2.utils.logging
    usual = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(usual)


def _why_not(target: str | int, name: str) -> str:
    if isinstance(target, int):
        return f"Cannot open webcam {target}: expected one that is there, is free, and that this user may read."
    if not is_file(Path(target)):
        return f"Cannot open '{name}': expected a stream that answers, of a kind that OpenCV's ffmpeg can read."
    if _without_index(Path(target)):
        return f"Cannot read video '{name}': it was cut off, and its index (moov) is missing. Repair it first."
    return f"Cannot read video '{name}': it is none, it is damaged, or OpenCV's ffmpeg lacks its codec."


def _without_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV whose boxes end before the one that tells where its frames are."""
    boxes = set()
    with path.open("rb") as file:
        for _ in range(1000):
            header = file.read(8)
            if len(header) < 8:
                break
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            boxes.add(kind)
            if length == 1:
                length = int.from_bytes(file.read(8), "big") - 8
            if length < 8:  # 0: to the end of the file
                break
            file.seek(length - 8, os.SEEK_CUR)
    return b"ftyp" in boxes and _CONTENT in boxes and _INDEX not in boxes
