"""The options of `count` that are about a video, and whether what is to be counted is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .image_paths import expand

_PANEL = "Video"

Every = Annotated[
    str | None,
    typer.Option(metavar="SPAN", rich_help_panel=_PANEL, help="Count a frame every 1s (the default), 500ms, 10f, ..."),
]
Smooth = Annotated[
    str | None,
    typer.Option(metavar="SPAN", rich_help_panel=_PANEL, help="Also the median of the last 30s, or another span."),
]
Fps = Annotated[
    float | None,
    typer.Option(metavar="N", rich_help_panel=_PANEL, help="Take the images as a video of so many frames a second."),
]
Jsonl = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel=_PANEL, help="Also write a JSON object a frame.")
]
Plot = Annotated[
    Path | None, typer.Option(metavar="FILE.png", rich_help_panel=_PANEL, help="Also draw the count over time.")
]
Reconnect = Annotated[
    str | None,
    typer.Option(metavar="SPAN", rich_help_panel=_PANEL, help="Try a lost stream again for so long; by default 60s."),
]


@dataclass(frozen=True)
class VideoOptions:
    """What the options say; None where one was not given."""

    every: str | None = None
    smooth: str | None = None
    fps: float | None = None
    jsonl: Path | None = None
    plot: Path | None = None
    reconnect: str | None = None


def video_among(paths: Sequence[str], options: VideoOptions) -> str | list[str] | None:
    """Return the video that paths name, or the images of one; None where they are images to be counted one by one.

    With a frame rate, images are a video.

    Raises:
        UsageError: a video among other things, or options of videos where there is none.
    """
    from ..counting.video.names import is_video, redacted
    from ..files import is_file

    videos = [text for text in paths if is_video(text) and not (_may_be_an_image(text) and is_file(Path(text)))]
    if videos and len(paths) > 1:
        raise UsageError(
            f"Expected one video, or images, got {len(paths)} paths, among them the video '{redacted(videos[0])}': "
            "count each video by itself."
        )
    if videos:
        return videos[0]
    if options.fps is not None:
        if len(paths) == 1 and Path(paths[0]).is_dir():
            return paths[0]
        return [str(image) for image in expand(paths).images]
    given = [name for name, value in vars(options).items() if value is not None]
    if given:
        raise UsageError(
            f"--{given[0]} is for a video, and '{paths[0]}' is none: expected a file such as .mp4, an address such as "
            "rtsp://, webcam:0, or images with --fps."
        )
    return None


def _may_be_an_image(text: str) -> bool:
    from ..counting.video.names import VIDEO_SUFFIXES

    return Path(text).suffix.lower() not in VIDEO_SUFFIXES
