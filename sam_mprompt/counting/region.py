"""A named part of an image, drawn as polygons in pixels."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import UsageError
from .polygons import Polygon, Ring, area, contains, crossings

_LEAST_PIXELS = 1.0
_MOST_CORNERS = 10_000


@dataclass(frozen=True, eq=False)
class Region:
    """A named part of an image.

    Attributes:
        name: unique among the regions of an image; may be empty where `ignore` is set.
        polygons: each an outline and its holes, every ring a sequence of at least three corners (x, y), in pixels of
            the image, where pixel i covers [i, i + 1). Fractions and places outside the image may occur. What polygons
            of a region share counts once.
        ignore: people inside count nowhere, also not in other regions.
        area_m2: square metres on the ground of what counts of the region, for people per square metre; None where it
            is not known.
        image_size: (height, width) of the image that the polygons were drawn in; None for that of each image.
        image: the name of the image that it belongs to, or the end of its path; empty for every image.

    Raises:
        UsageError: a ring of fewer than three corners, or one that crosses itself or another of its polygon; an area
            that is none; more than 10,000 corners.
    """

    name: str
    polygons: tuple[Polygon, ...]
    ignore: bool = False
    area_m2: float | None = None
    image_size: tuple[int, int] | None = None
    image: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not (self.name.strip() or self.ignore):
            raise UsageError(f"Expected a region with a name, got {self.name!r:.60}.")
        polygons = tuple(tuple(_ring(corners, self.title) for corners in polygon) for polygon in self.polygons)
        if not polygons or not all(polygons):
            raise UsageError(f"{self.title}: expected at least one polygon with an outline, got none.")
        if (corners := sum(len(ring) for polygon in polygons for ring in polygon)) > _MOST_CORNERS:
            raise UsageError(f"{self.title}: expected at most {_MOST_CORNERS} corners, got {corners}.")
        for polygon in polygons:
            _check(polygon, self.title)
        size = self.area_m2
        if size is not None and not (isinstance(size, int | float) and math.isfinite(size) and size > 0):
            raise UsageError(f"{self.title}: expected an area above 0 square metres, got {size!r:.60}.")
        object.__setattr__(self, "polygons", polygons)

    @classmethod
    def around(cls, name: str, corners: Sequence[tuple[float, float]], **others: Any) -> "Region":
        """Return the region inside one outline of corners (x, y); `others` are further attributes."""
        return cls(name, ((np.asarray(corners, np.float64),),), **others)

    @property
    def title(self) -> str:
        """What the region is called in a message."""
        return f"Region '{self.name}'" if self.name else "An ignore zone"

    @property
    def image_name(self) -> str:
        """The name of the image that it belongs to, without folders; empty for every image."""
        return name_in(self.image) if self.image else ""

    def corners(self) -> Ring:
        """Return all corners of all rings (N, 2)."""
        return np.concatenate([ring for polygon in self.polygons for ring in polygon])

    def scaled(self, ratio: tuple[float, float]) -> tuple[Polygon, ...]:
        """Return the polygons with x and y times a ratio each."""
        return tuple(tuple(ring * np.array(ratio) for ring in polygon) for polygon in self.polygons)

    def belongs_to(self, image: Path | None) -> bool:
        """Whether it is one of this image: of every one, or of one whose name or end of the path it states."""
        if not self.image:
            return True
        if image is None:
            return False
        stated, own = _parts(self.image), _parts(image)
        length = min(len(stated), len(own))
        return stated[-length:] == own[-length:]


def name_in(path: str | Path) -> str:
    """Return the last part of a path that another system may have written."""
    return _parts(path)[-1] if _parts(path) else ""


def _parts(path: str | Path) -> tuple[str, ...]:
    text = path.as_posix() if isinstance(path, Path) else path.replace("\\", "/")
    return PurePosixPath(unicodedata.normalize("NFC", text)).parts


def _ring(corners: Any, title: str) -> Ring:
    """Return the corners of a closed line as float64 (N, 2), without those that the next one repeats."""
    try:
        ring = np.array(corners, np.float64)
    except (TypeError, ValueError, OverflowError):
        ring = np.empty(0)
    if ring.ndim != 2 or ring.shape[1:] != (2,) or not np.isfinite(ring).all() or (np.abs(ring) > 1e9).any():
        raise UsageError(f"{title}: expected corners that are two numbers (x, y) each, got {corners!r:.60}.")
    ring = ring[(ring != np.roll(ring, -1, axis=0)).any(axis=1)]
    if len(ring) < 3:
        raise UsageError(f"{title}: expected an outline of at least three corners, got {len(ring)} different ones.")
    ring.flags.writeable = False
    return ring


def _check(polygon: Polygon, title: str) -> None:
    crossing = next(crossings(polygon), None)
    if crossing is not None:
        raise UsageError(
            f"{title}: its outline crosses itself at about ({crossing.x:.1f}, {crossing.y:.1f}): "
            "expected its corners in order, all the way round."
        )
    outline, *holes = polygon
    if not all(contains([(outline,)], hole).any() for hole in holes):
        raise UsageError(f"{title}: a hole lies outside its outline.")
    if (pixels := area(polygon)) < _LEAST_PIXELS:
        raise UsageError(
            f"{title}: covers {pixels:.3g} square pixels: expected corners in pixels of the image, "
            "not in degrees nor in shares of its sides."
        )
