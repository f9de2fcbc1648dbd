"""What `count --regions` adds: counts of parts of each image, as columns of a table and of a CSV file, and as JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from ..resources import bundled
from .image_paths import named
from .ui import StreamedTable

if TYPE_CHECKING:
    from ..arrays import ByteImage, FloatArray
    from ..counting.regions import RegionCounts
    from ..counting.result import CountResult
    from .error_bars import ErrorBars

RegionsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also count in polygons with names: GeoJSON or csv.")
]

_ELSEWHERE, _IGNORED, _PER_M2 = "elsewhere", "ignored", "per m2"
_TAKEN = ("image", "count", "low", "high", "level", "time", "frame", _ELSEWHERE, _IGNORED, _PER_M2)
_WIDE = 80
_WIDEST = "12345.6"


def counted_regions(path: Path | None) -> "CountedRegions | None":
    """Return the regions of a file, None without one. Raises UsageError as `CountedRegions`."""
    return None if path is None else CountedRegions(path)


class CountedRegions:
    """The regions of a file, counted in one result after the other.

    Args:
        path: what `--regions` names.

    Raises:
        UsageError: the file is malformed, or a region is called as another column.
    """

    def __init__(self, path: Path) -> None:
        from ..counting.region_files import read_regions

        shipped = bundled("adapters").parent / path  # "adapters/demo/examples/street.csv" works from anywhere
        self.path, self.regions = path, read_regions(path if path.exists() or not shipped.is_file() else shipped)
        self.names = self.regions.names
        self._areas = {region.name for region in self.regions if region.area_m2 is not None and not region.ignore}
        for column in (*self.names, *self._density_columns()):
            if column.casefold() in _TAKEN or (column in self.names and column in self._density_columns()):
                raise UsageError(f"'{path}': a region cannot be called '{column}', as there is a column of that name.")
        self._last: tuple[CountResult, RegionCounts] | None = None
        self._size: tuple[Path | None, tuple[int, int]] | None = None
        self.without: list[Path] = []

    @property
    def columns(self) -> list[str]:
        """The columns behind image and count."""
        ignored = [_IGNORED] if self.regions.ignores else []
        return [*self.names, _ELSEWHERE, *ignored, *self._density_columns()]

    def _density_columns(self) -> list[str]:
        return [f"{name} {_PER_M2}" for name in self.names if name in self._areas]

    def announcement(self, images: Sequence[Path]) -> list[str]:
        """Return what to know before the counts: ignore zones, and regions of images that are not there."""
        zones = sum(region.ignore for region in self.regions)
        lines = []
        if zones:
            lines.append(f"Counts leave out {zones} ignore zone{'s' if zones > 1 else ''} of '{self.path}'.")
        found = {region.image for image in images for region in self.regions.of_image(image)}
        lost = [Path(name) for name in dict.fromkeys(r.image for r in self.regions) if name and name not in found]
        if lost:
            lines.append(f"'{self.path}' has regions of images that are not among these: {named(lost)}.")
        return lines

    def conclusion(self) -> list[str]:
        """Return what to know after the counts: images that no region belongs to."""
        return [f"'{self.path}' has no regions of {named(self.without)}."] if self.without else []

    def counts(self, result: "CountResult") -> "RegionCounts":
        """Return the counts of a result.

        Raises:
            UsageError: a region does not fit the image; or the file does not state which size of an image its regions
                were drawn in, and this image has another one than those before it.
        """
        if self._last is None or self._last[0] is not result:
            self._check_size(result)
            try:
                self._last = result, result.regions(self.regions)
            except UsageError as error:
                raise UsageError(f"'{result.image}': {error}") from error
            if result.image is not None and not self.regions.of_image(result.image):
                self.without.append(result.image)
        return self._last[1]

    def _check_size(self, result: "CountResult") -> None:
        if not any(r.image_size is None and not r.image for r in self.regions):
            return
        if self._size is None:
            self._size = result.image, result.image_size
        first, (height, width) = self._size
        if result.image_size != (height, width):
            own = f"{result.image_size[1]}x{result.image_size[0]}"
            raise UsageError(
                f"'{result.image}' has {own} pixels, '{first}' {width}x{height}: which of them were the regions drawn "
                f"in? Expected images of one size, or the 'width' and 'height' of that image in '{self.path}'."
            )

    def cells(self, result: "CountResult") -> list[str]:
        """Return the cells of a CSV file behind image and count, empty for regions that the image has not."""
        counts = self.counts(result)
        found = {region.name: region for region in counts.regions}
        cells = [f"{found[name].count:.4f}" if name in found else "" for name in self.names]
        cells += [f"{counts.elsewhere:.4f}"] + ([f"{counts.ignored:.4f}"] if self.regions.ignores else [])
        densities = [found[name].per_m2 if name in found else None for name in self.names if name in self._areas]
        return [*cells, *("" if density is None else f"{density:.4f}" for density in densities)]

    def as_dict(self, result: "CountResult") -> dict[str, Any]:
        """Return what JSON says of an image besides its name and size; its count leaves out what is ignored."""
        values = self.counts(result).as_dict()
        return {"count": values.pop("total"), **values}

    def points(self, result: "CountResult") -> "FloatArray":
        """Return the head locations that are not ignored."""
        return result.points_outside(self.regions)

    def overlay(self, result: "CountResult", level: float) -> "ByteImage":
        """Return the heat map with the regions; `level` is that of the interval in its caption."""
        return result.overlay(regions=self.regions, level=level)

    def printed(self, images: Sequence[Path], bars: "ErrorBars") -> "Callable[[CountResult], None]":
        """Return what prints a result: a row with a column for each region where 80 columns suffice, else a row each.

        People per square metre have a column of their own, so that they always come with a row for each region.
        """
        columns = {"image": [str(image) for image in images], "count": [bars.widest()]}
        wide = columns | {name: [_WIDEST] for name in self.columns}
        table = StreamedTable(wide, right=tuple(wide)[1:])
        every = not any(region.image for region in self.regions)
        if every and not self._areas and sum(table.widths) + 2 * (len(table.widths) - 1) <= _WIDE:
            return lambda result: table.add_row(str(result.image), *self._wide_row(result, bars))
        columns["image"] += [f"  {name}" for name in self.columns]
        if self._areas:
            columns[_PER_M2] = ["123.45"]
        rows = StreamedTable(columns, right=("count", _PER_M2))
        return lambda result: self._add_rows(rows, result, bars)

    def _total(self, result: "CountResult", bars: "ErrorBars") -> str:
        """Return the image's count, with error bars where it is that of the whole image."""
        counts = self.counts(result)
        return f"{counts.total:.1f}" if counts.ignores else bars.shown(result)

    def _wide_row(self, result: "CountResult", bars: "ErrorBars") -> list[str]:
        counts = self.counts(result)
        ignored = [counts.ignored] if self.regions.ignores else []
        values = [*(region.count for region in counts.regions), counts.elsewhere, *ignored]
        return [self._total(result, bars), *(f"{value:.1f}" for value in values)]

    def _add_rows(self, rows: StreamedTable, result: "CountResult", bars: "ErrorBars") -> None:
        counts = self.counts(result)
        empty = [""] if self._areas else []
        rows.add_row(str(result.image), self._total(result, bars), *empty)
        for region in counts.regions:
            density = [] if not self._areas else ["" if region.per_m2 is None else f"{region.per_m2:.2f}"]
            rows.add_row(f"  {region.name}", f"{region.count:.1f}", *density)
        if counts.regions:
            rows.add_row(f"  {_ELSEWHERE}", f"{counts.elsewhere:.1f}", *empty)
        if counts.ignores:
            rows.add_row(f"  {_IGNORED}", f"{counts.ignored:.1f}", *empty)
