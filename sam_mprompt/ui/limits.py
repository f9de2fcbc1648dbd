"""What the page takes at most, beside what it shares with the service."""

from dataclasses import dataclass, field

from ..errors import UsageError
from ..serve.limits import Limits


@dataclass(frozen=True)
class PageLimits:
    """The bounds of a page.

    Attributes:
        shared: of photographs, as the service has them.
        max_video_bytes: the most bytes of a video, which lies in the folder of temporary files while it is counted.
        max_text_bytes: the most bytes of a request that is no photograph and no video.
        photos: the most photographs that are held to be shown and counted again; the oldest go first.
        waiting: the most photographs that wait to be counted.
        picture_side: pixels, the longest side of a photograph as it is shown.
        frames: the most frames of a video that are counted.

    Raises:
        UsageError: a bound that is none.
    """

    shared: Limits = field(default_factory=Limits)
    max_video_bytes: int = 1 << 29
    max_text_bytes: int = 1 << 23
    photos: int = 32
    waiting: int = 16
    picture_side: int = 4096
    frames: int = 20_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "shared" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"{name}: expected a whole number from 1 on, got {value!r}.")
