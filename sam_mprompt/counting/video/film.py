"""Pictures with their times become a video file that plays in real time."""

from contextlib import suppress
from pathlib import Path

import cv2

from ...arrays import ByteImage
from ...errors import RunError
from ...render import fit_within
from .capture import quiet

FILM_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Containers that are written, and with which codec. Those of the first two are lost where the process is killed, as
what tells where their frames are stands in the end; the others stay playable."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LONGEST_SIDE = 1920
_SLOWEST, _FASTEST = 5.0, 30.0
"""Frames per second: some players stumble over fewer, and nobody sees more."""


class Film:
    """A video file that is written picture by picture; each one stays until the time of the next.

    Args:
        path: the file, with a suffix of `FILM_CODECS`. What stands there is replaced with the first picture.
        step: seconds between two pictures, as a rule; None where that is not known.
    """

    def __init__(self, path: Path, step: float | None) -> None:
        self.path = path
        self.fps = min(max(1 / step if step else _FASTEST, _SLOWEST), _FASTEST)
        self._step = step or 1 / self.fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._shown: ByteImage | None = None
        self._begun = self._last = 0.0
        self._written = 0

    def add(self, seconds: float, picture: ByteImage) -> None:
        """Show a picture from this time on: uint8 RGB (H, W, 3); later ones are resized to the size of the first.

        Raises:
            RunError: the file cannot be written.
        """
        if self._writer is None:
            self._begun = seconds
            self._open(picture)
        self._hold_until(seconds)
        self._last = seconds
        height, width = self._size
        if picture.shape[:2] != self._size:
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        self._shown = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)

    def close(self) -> None:
        """Show the last picture for a step, and finish the file. RunError where it did not become one."""
        if self._writer is None:
            return
        self._hold_until(max(self._last + self._step, self._begun + (self._written + 1) / self.fps))
        with quiet():
            self._writer.release()
            self._writer = None
            check = cv2.VideoCapture(str(self.path.absolute()), cv2.CAP_FFMPEG)
            whole = check.isOpened() and check.grab()
            check.release()
        if not whole:
            raise RunError(f"Cannot write '{self.path}': the video could not be finished. Is the disk full?")

    def _hold_until(self, seconds: float) -> None:
        assert self._writer is not None, "opened with the first picture"
        until = round((seconds - self._begun) * self.fps)
        while self._shown is not None and self._written < until:
            self._writer.write(self._shown)
            self._written += 1

    def _open(self, picture: ByteImage) -> None:
        height, width = fit_within(picture, _LONGEST_SIDE).shape[:2]
        self._size = (max(2, height // 2 * 2), max(2, width // 2 * 2))  # the codecs halve the colours' sides
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("wb"):
                pass
        except OSError as error:
            raise RunError(f"Cannot write '{self.path}': {error.strerror or error}.") from error
        codec = cv2.VideoWriter.fourcc(*FILM_CODECS[self.path.suffix.lower()])
        with quiet():
            self._writer = cv2.VideoWriter(
                str(self.path.absolute()), cv2.CAP_FFMPEG, codec, self.fps, (self._size[1], self._size[0])
            )
        if not self._writer.isOpened():
            with suppress(OSError):
                self.path.unlink()
            raise RunError(f"Cannot write '{self.path}': this OpenCV has no encoder for it. Try another suffix.")


def stamped(picture: ByteImage, text: str) -> ByteImage:
    """Return uint8 RGB (H, W, 3) with ASCII text in a dark box at the bottom left, without it where it does not fit."""
    height, width = picture.shape[:2]
    scale = max(0.35, min(height, width) / 700)
    thickness = max(1, round(2 * scale))
    (text_width, text_height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = round(0.55 * text_height)
    top = height - text_height - baseline - 2 * pad
    if top < height // 2 or text_width + 2 * pad > width:
        return picture
    marked = picture.copy()
    marked[top:, : text_width + 2 * pad] //= 4
    cv2.putText(marked, text, (pad, top + pad + text_height), _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return marked
