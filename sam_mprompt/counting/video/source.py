"""From the name of a video to the video, opened: what a file, a pattern, an address or a webcam is read by."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...data.bounds import Reading
from ...errors import UsageError, did_you_mean
from ...files import is_file, is_folder
from .capture import Capture, OpenCVCapture
from .frame import Notice, Video, silent
from .image_sequence import ImageSequence, images_of_sequence
from .live import RECONNECT, Live
from .names import SCHEMES, VIDEO_SUFFIXES, numbered, redacted, scheme_of, webcam_number
from .recording import Recording

_USUAL = Reading()
_STREAMED = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp")
"""Addresses that are live whatever they say of their length; those of http may also be files."""


Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
VideoLike = Source | Video
"""What names a video, or one that is open."""


def as_video(
    source: VideoLike, *, fps: float | None, reconnect: float, reading: Reading, notice: Notice = silent
) -> Video:
    """Return an open video as it is, and open anything else: see `open_video`."""
    if isinstance(source, str | os.PathLike | Sequence):
        return open_video(source, fps=fps, reconnect=reconnect, reading=reading, notice=notice)
    if not callable(getattr(source, "frames", None)):
        raise UsageError(f"Expected a video's path, address or images, got {source!r}.")
    return source


def open_video(
    source: Source,
    *,
    fps: float | None = None,
    reconnect: float = RECONNECT,
    reading: Reading = _USUAL,
    notice: Notice = silent,
) -> Video:
    """Open a video.

    Args:
        source: a file that OpenCV's ffmpeg reads; `rtsp://`, `http://` and the like; `webcam:0`; a sequence of images
            as a folder, a pattern (`frames/%06d.jpg`) or a list of paths in order.
        fps: frames per second of a sequence of images, which has none of its own.
        reconnect: for how many seconds a lost stream is tried again.
        reading: the most pixels of a frame; how images of a sequence are decoded.
        notice: called with a line about what went wrong on the way; of a stream from another thread.

    Raises:
        UsageError: nothing is there, it cannot be read, its frames are too large, a sequence without `fps` or anything
            else with it.
    """
    if not isinstance(source, str | os.PathLike):
        images = [(number, Path(path)) for number, path in enumerate(source)]
        if not images:
            raise UsageError("Expected the images of a sequence, got none.")
        return ImageSequence(images, fps, f"{images[0][1]} and others", reading, notice)
    name = os.fspath(source)
    if scheme_of(name) is None and webcam_number(name) is None and not is_file(Path(name)):
        if is_folder(Path(name)) or numbered(Path(name).name):
            return ImageSequence(images_of_sequence(name), fps, name, reading, notice)
        siblings = [file.name for file in _videos_beside(Path(name))]
        raise UsageError(f"No video at '{name}'.{did_you_mean(Path(name).name, siblings)}")
    if fps is not None:
        raise UsageError(f"'{redacted(name)}' has its own times: expected fps only for a sequence of images.")
    return _opened(name, reconnect, reading, notice)


def _opened(name: str, reconnect: float, reading: Reading, notice: Notice) -> Video:
    webcam, scheme, shown = webcam_number(name), scheme_of(name), redacted(name)
    if scheme is not None and scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise UsageError(f"'{shown}' is no address of a video: expected {known}, or a file's path.")
    if scheme is None and webcam is None:
        return Recording(OpenCVCapture(_readable(Path(name)), name, reading), name, notice)
    target: str | int = name if webcam is None else webcam
    connect = partial[Capture](OpenCVCapture, target, shown, reading)
    first = connect()
    if scheme in ("http", "https") and first.frame_count is not None:
        return Recording(first, shown, notice)
    return Live(connect, shown, reconnect=reconnect, notice=notice, opened=first)


def _readable(path: Path) -> str:
    """Return the path as ffmpeg takes it for a file's. Raises UsageError where no file can be read."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"Cannot read video '{path}': the file is empty.")
    except PermissionError as error:
        raise UsageError(f"Cannot read video '{path}': permission denied. Make the file readable.") from error
    except OSError as error:
        raise UsageError(f"Cannot read video '{path}': {error.strerror}.") from error
    # A name with a colon would be an address to ffmpeg, were it not for a path before it.
    return os.path.abspath(path)  # noqa: PTH100 - without following links, whose name may have another suffix


def _videos_beside(path: Path) -> list[Path]:
    try:
        return [file for file in path.parent.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES]
    except OSError:
        return []
