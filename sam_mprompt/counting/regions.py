"""How many people are in each part of an image: the mass of a density inside polygons, cell by cell.

Mass is taken to lie evenly in its cell. A cell at an outline belongs to a region by the share of its area that lies
inside, which is computed exactly (`polygons.coverage`), so that regions that share nothing, what lies elsewhere and
what is ignored add up to the density's sum, up to the rounding of float64.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, Mask
from ..data.formats.annotation import Annotation
from ..data.formats.frames import fitted, in_rows_and_columns
from ..errors import RegionWarning, UsageError, did_you_mean
from ..render import Outline
from .polygons import Polygon, contains, coverage
from .region import Region, name_in

_SLIP = 0.01  # of the longer side; a polygon that is drawn along the border may go beyond it by so much
_SLIVER = 1e-3  # of the regions' area; outlines that are drawn next to each other share so much
_ROUNDING = 1e-9  # of a cell
_MOST_CORNERS = 20_000
_FAR = 1e10  # pixels


@dataclass(frozen=True)
class RegionCount:
    """One region of an image.

    Attributes:
        name: of the region.
        count: heads inside, outside ignore zones.
        area_m2: square metres on the ground, None where that is not known.
    """

    name: str
    count: float
    area_m2: float | None = None

    @property
    def per_m2(self) -> float | None:
        """People per square metre, None where the area is not known."""
        return None if self.area_m2 is None else self.count / self.area_m2


@dataclass(frozen=True)
class RegionCounts:
    """How many people are in each part of an image.

    `total` is the sum over the regions and `elsewhere`, less what regions share (`counted_twice`).

    Attributes:
        total: heads outside ignore zones; the image's count where there are none.
        regions: in the order of the file; ignore zones are none of them.
        elsewhere: heads in no region and no ignore zone.
        ignored: heads in ignore zones.
        counted_twice: by how much the regions add up to more than their heads, because they overlap: a head in three
            regions is counted twice too often.
        ignores: whether there are ignore zones.
    """

    total: float
    regions: tuple[RegionCount, ...]
    elsewhere: float
    ignored: float = 0.0
    counted_twice: float = 0.0
    ignores: bool = False

    def __getitem__(self, name: str) -> RegionCount:
        """Return the region of a name. Raises KeyError where there is none."""
        found = {region.name: region for region in self.regions}
        if name not in found:
            raise KeyError(f"no region '{name}'.{did_you_mean(name, found)}")
        return found[name]

    def heading(self, error: str | None = None) -> str:
        """Return the total in words, with what is ignored; `error` is the interval of a whole image."""
        behind = f", {self.ignored:,.1f} ignored" if self.ignores else "" if error is None else f" ({error})"
        return f"{self.total:,.1f} heads{behind}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "total": self.total,
            "regions": [{**asdict(region), "per_m2": region.per_m2} for region in self.regions],
            "elsewhere": self.elsewhere,
            "ignored": self.ignored if self.ignores else None,
            "counted_twice": self.counted_twice,
        }


class Regions:
    """Regions of one camera's images, or of many images, to count in.

    What share of each cell is in which region is computed once for images of one size and reused.

    Args:
        regions: in the order in which they are counted.

    Raises:
        UsageError: two regions of an image have the same name, or all have more than 20,000 corners.
    """

    def __init__(self, regions: Iterable[Region]) -> None:
        self._regions = tuple(regions)
        self._check_names()
        self._by_image: dict[str, list[int]] = defaultdict(list)
        for number, region in enumerate(self._regions):
            self._by_image[region.image_name].append(number)
        self._last: tuple[object, PlacedRegions] | None = None

    def _check_names(self) -> None:
        images: dict[str, set[str]] = defaultdict(set)
        for region in self._regions:
            taken = images[region.name] if region.name else set()
            if region.image in taken or "" in taken or (taken and not region.image):
                where = f" of '{region.image}'" if region.image else ""
                raise UsageError(f"Two regions{where} are called '{region.name}': expected a name of its own for each.")
            taken.add(region.image)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the regions that are counted, each once, without ignore zones."""
        return tuple(dict.fromkeys(region.name for region in self._regions if not region.ignore))

    @property
    def ignores(self) -> bool:
        """Whether there are ignore zones."""
        return any(region.ignore for region in self._regions)

    def placed(
        self,
        image_size: tuple[int, int],
        grid: tuple[int, int],
        cell: tuple[float, float],
        image: Path | None = None,
    ) -> "PlacedRegions":
        """Return the regions of an image on the cells of its density; the last ones are kept for the next image.

        Args:
            image_size: (height, width) of the original image in pixels.
            grid: (rows, columns) of the density.
            cell: (x, y) size of a cell in pixels of the original image.
            image: which image it is, for regions that belong to one.

        Raises:
            UsageError: a region was drawn in an image of another shape, lies outside the image, or is in other units.
        """
        chosen = self.of_image(image)
        key = (image_size, grid, cell, tuple(map(id, chosen)))
        last = self._last
        if last is None or last[0] != key:
            last = self._last = key, PlacedRegions(chosen, image_size, grid, cell)
        return last[1]

    def of_image(self, image: Path | None) -> tuple[Region, ...]:
        """Return the regions of an image, those of every image included; only these where it has no path."""
        numbers = {*self._by_image.get("", ()), *self._by_image.get(name_in(image) if image else "", ())}
        return tuple(self._regions[number] for number in sorted(numbers) if self._regions[number].belongs_to(image))

    def in_pixels(self, image_size: tuple[int, int], image: Path | None = None) -> tuple[Region, ...]:
        """Return the regions of an image with their polygons in its pixels. Raises UsageError as `placed`."""
        return _in_pixels(self.of_image(image), image_size)

    def counts(
        self, density: FloatArray, image_size: tuple[int, int], cell: tuple[float, float], image: Path | None = None
    ) -> RegionCounts:
        """Return how many heads of a density (rows, columns) are in each region; see `placed`."""
        rows, columns = density.shape
        return self.placed(image_size, (rows, columns), cell, image).counts(density)


class PlacedRegions:
    """Regions on the cells of one image, or of all images of one size; made by `Regions.placed`.

    Attributes:
        regions: with their polygons in pixels of the image.
        image_size: (height, width) of the image.
        ignored: float64 (rows, columns), the share of each cell that is ignored; None without ignore zones.
        overlapping: whether regions share something, so that their counts add up to more than their heads.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        image_size: tuple[int, int],
        grid: tuple[int, int],
        cell: tuple[float, float],
    ) -> None:
        self.regions = _in_pixels(regions, image_size)
        self.image_size = image_size
        on_cells = {region: region.scaled((1 / cell[0], 1 / cell[1])) for region in self.regions}
        frame, outside, shares = _frame(image_size, grid, cell)
        zones = [polygon for region in self.regions if region.ignore for polygon in on_cells[region]]
        counted = [region for region in self.regions if not region.ignore]
        self.ignored = coverage(grid, zones, (outside,)) / shares if zones else None
        self._parts = [
            _Part.of(region, coverage(grid, on_cells[region], (*zones, outside)) / shares) for region in counted
        ]
        others = [polygon for polygons in on_cells.values() for polygon in polygons]
        self._elsewhere = coverage(grid, (frame,), (*others, outside)) / shares
        self.overlapping = self._overlapping(shares)

    def counts(self, density: FloatArray) -> RegionCounts:
        """Return how many heads of a density (rows, columns), on the cells that this was made for, are in each."""
        mass = density.astype(np.float64)
        total, elsewhere = float(mass.sum()), float((mass * self._elsewhere).sum())
        found = tuple(RegionCount(part.name, part.heads(mass), part.area_m2) for part in self._parts)
        ignored = 0.0 if self.ignored is None else float((mass * self.ignored).sum())
        together = sum(region.count for region in found)
        twice = together + elsewhere + ignored - total if self.overlapping else 0.0
        return RegionCounts(total - ignored, found, elsewhere, ignored, max(0.0, twice), self.ignored is not None)

    def without_ignored(self, density: FloatArray) -> FloatArray:
        """Return a density without the mass that is ignored."""
        return density if self.ignored is None else (density * (1 - self.ignored)).astype(np.float32)

    def kept(self, points: FloatArray) -> Mask:
        """Return bool (N,): which points (N, 2), (x, y) in pixels of the image, lie in no ignore zone."""
        zones = [polygon for region in self.regions if region.ignore for polygon in region.polygons]
        return ~contains(zones, points.astype(np.float64))

    def outlines(self, counts: RegionCounts, ratio: tuple[float, float]) -> list[Outline]:
        """Return the regions as they are drawn, with their counts, in a picture that is `ratio` (x, y) as large."""
        by_name = {found.name: found for found in counts.regions}
        return [
            Outline(region.scaled(ratio), [] if region.ignore else _lines(by_name[region.name]), ignored=region.ignore)
            for region in self.regions
        ]

    def _overlapping(self, shares: NDArray[np.float64]) -> bool:
        """Return whether regions share something, and warn where that is more than a sliver."""
        for part in self._parts:
            if not part.weights.size:
                _warn(f"Region '{part.name}' covers nothing that counts: it lies outside the image or is ignored.")
        covered = sum(float((part.weights * shares[part.window]).sum()) for part in self._parts)
        alone = float((shares * (1 - self._elsewhere - (0 if self.ignored is None else self.ignored))).sum())
        overlapping = covered - alone > _ROUNDING * shares.size
        if overlapping and covered - alone > _SLIVER * covered:
            pairs = combinations(self._parts, 2)
            found = next((f"'{a.name}' and '{b.name}'" for a, b in pairs if a.overlaps(b, shares.shape)), "some")
            _warn(f"Regions overlap ({found}): their counts add up to more people than there are.")
        return overlapping


@dataclass(frozen=True)
class _Part:
    """A region's shares of the cells of its window of the grid."""

    name: str
    area_m2: float | None
    window: tuple[slice, slice]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, region: Region, weights: NDArray[np.float64]) -> "_Part":
        rows, columns = (_extent(np.asarray(weights.any(axis=axis))) for axis in (1, 0))
        return cls(region.name, region.area_m2, (rows, columns), weights[rows, columns].copy())

    def heads(self, mass: NDArray[np.float64]) -> float:
        return float((mass[self.window] * self.weights).sum())

    def overlaps(self, other: "_Part", grid: tuple[int, int]) -> bool:
        """Whether both together have more than all of some cell."""
        own = np.zeros(grid)
        own[self.window] = self.weights
        return bool((own[other.window] + other.weights > 1 + 1e-6).any())


def _lines(found: RegionCount) -> list[str]:
    lines = [found.name, f"{found.count:,.1f}"]
    return lines if found.per_m2 is None else [*lines, f"{found.per_m2:.2f} per m2"]


def _extent(found: Mask) -> slice:
    """Return where the first to the last True are."""
    places = np.flatnonzero(found)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0)


def _frame(
    image_size: tuple[int, int], grid: tuple[int, int], cell: tuple[float, float]
) -> tuple[Polygon, Polygon, NDArray[np.float64]]:
    """Return the image and what is not it, as polygons in cells, and the share of each cell that the image covers."""
    (height, width), (rows, columns) = image_size, grid
    bottom, right = min(height / cell[1], rows), min(width / cell[0], columns)
    border = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], np.float64)
    around = np.array([(-_FAR, -_FAR), (_FAR, -_FAR), (_FAR, _FAR), (-_FAR, _FAR)])
    down, across = (np.clip(end - np.arange(length), 1e-12, 1) for end, length in ((bottom, rows), (right, columns)))
    return (border,), (around, border), down[:, None] * across


def _in_pixels(regions: Sequence[Region], image_size: tuple[int, int]) -> tuple[Region, ...]:
    """Return regions in pixels of an image, those scaled that were drawn in a larger or smaller copy of it."""
    height, width = image_size
    own = [region for region in regions if region.image_size is None]
    if own and (swapped := in_rows_and_columns(Annotation(np.concatenate([r.corners() for r in own])), image_size)):
        raise UsageError(f"The corners of the regions seem to be (y, x) instead of (x, y): {swapped}.")
    if (corners := sum(len(region.corners()) for region in regions)) > _MOST_CORNERS:
        raise UsageError(f"Expected at most {_MOST_CORNERS} corners of all regions of an image, got {corners}.")
    return tuple(_placed(region, (height, width)) for region in regions)


def _placed(region: Region, image_size: tuple[int, int]) -> Region:
    height, width = image_size
    frame = region.image_size
    if frame not in (None, image_size):
        fit = fitted(Annotation(region.corners(), frame=frame), image_size)
        if isinstance(fit, str):
            raise UsageError(f"{region.title} was not drawn in this image: {fit}.")
    high, wide = frame or image_size
    placed = replace(region, polygons=region.scaled((width / wide, height / high)), image_size=image_size)
    corners, limits = placed.corners(), np.array([width, height])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise UsageError(
            f"{region.title} lies outside the image of {width}x{height}: its corners are from ({left:.0f}, {top:.0f}) "
            f"to ({right:.0f}, {bottom:.0f})."
        )
    slip = _SLIP * max(image_size)
    if (corners < -slip).any() or (corners > limits + slip).any():
        _warn(f"{region.title} reaches beyond the image of {width}x{height}: only what lies inside is counted.")
    return placed


def _warn(message: str) -> None:
    warnings.warn(message, RegionWarning, stacklevel=2)
