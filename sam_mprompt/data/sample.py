"""One annotated image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..arrays import FloatArray


@dataclass(frozen=True)
class Sample:
    """An image on disk and its annotation, in pixels of the image as it is displayed (after EXIF rotation).

    Attributes:
        image: path of the image file.
        size: (height, width) in pixels.
        points: float32 (N, 2), one (x, y) per head, all inside the image; None when the image has no annotation
            (a benchmark's hidden test split).
        boxes: float32 (M, 4) as (x1, y1, x2, y2), or None when the format has none.
        attributes: split-specific values such as scene level, luminance or weather.
    """

    image: Path
    size: tuple[int, int]
    points: FloatArray | None
    boxes: FloatArray | None = None
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of annotated heads; 0 for an unannotated image."""
        return 0 if self.points is None else len(self.points)
