"""How far the counting of a video is: a bar with the time that is left, or a running line where there is no end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from .ui import bar_on

if TYPE_CHECKING:
    from ..counting.video.frame import Video
    from ..counting.video.series import FrameCount


@contextmanager
def video_progress(video: "Video", console: Console) -> "Iterator[Callable[[FrameCount], None]]":
    """Show progress on a terminal, nothing elsewhere; yields what to call with each count.

    Where the length is known, the time that is left follows from what was counted so far.
    """
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from ..counting.video.times import clock

    text = TextColumn("{task.description}", markup=False)
    length = video.length
    columns = [text, BarColumn(), TaskProgressColumn(), TimeRemainingColumn()] if length else [SpinnerColumn(), text]
    with bar_on(console, *columns) as bar:
        task = bar.add_task("waiting for the first frame", total=length)

        def show(frame: "FrameCount") -> None:
            dropped = f", {video.health.dropped} dropped" if video.health.dropped else ""
            ending = "; Ctrl-C ends" if video.live else ""
            line = f"{clock(frame.seconds)}  {frame.count:,.1f} people{dropped}{ending}"
            bar.update(task, completed=min(frame.seconds, length or frame.seconds), description=line)

        yield show
