"""Regions as people draw them: GeoJSON in pixels (QGIS, QuPath, a script), or a table of corners."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.formats.annotation import Annotation
from ..data.formats.frames import in_shares, stated_frame
from ..data.formats.parsing import table
from ..data.formats.text import MAX_BYTES_OF_ONE_IMAGE, parse_json, read_text
from ..data.formats.tools.csv_columns import IMAGE_COLUMNS
from ..data.formats.tools.csv_rows import CsvRows, Numbers, Row
from ..data.formats.tools.geojson import IMAGE_PROPERTIES, image_named
from ..errors import RegionWarning, UsageError, listed
from .region import Region
from .regions import Regions

_OWN = ("name", "ignore", "area_m2")
_NEAR = 0.7
_MOST_REGIONS = 100_000
_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no", "none")

_Rings = list[NDArray[np.float64]]


def read_regions(path: str | PathLike[str]) -> Regions:
    """Read regions from a file of GeoJSON, or of a table that has a row for each corner.

    Both are in pixels of the image as it is displayed. What a region is called and is stands in a feature's properties
    or in columns: `name`; `ignore` (true or 1 for a zone that counts nowhere); `area_m2`; `image` where it belongs to
    one image; `width` and `height` of the image that it was drawn in, also beside `features`: in the same picture at
    another size, regions are scaled. GeoJSON holds Polygons and MultiPolygons with holes, y downwards, or upwards
    from 0 as QGIS has it, which is told as a `RegionWarning`. A table has the columns `name`, `x` and `y`, in order of
    the corners, may have semicolons and decimal commas, and draws one outline for each name.

    Raises:
        UsageError: no such file, or what is in it is malformed, ambiguous or not in pixels; the message names the
            place.
    """
    path = Path(path)
    text = read_text(path, MAX_BYTES_OF_ONE_IMAGE)
    drawn = list(_features(parse_json(text, f"'{path}'"), path) if text.lstrip()[:1] in ("{", "[") else _outlines(path))
    if not drawn:
        raise UsageError(f"'{path}' holds no region.")
    if len(drawn) > _MOST_REGIONS:
        raise UsageError(f"'{path}': expected at most {_MOST_REGIONS} regions, got {len(drawn)}.")
    corners = np.concatenate([ring for shape in drawn for polygon in shape.polygons for ring in polygon])
    if -corners[:, 1].min() > corners[:, 1].max():  # else one that was drawn over the upper border
        warnings.warn(
            f"'{path}': y is negative, as in QGIS for an image without a place on the map, and was turned downwards.",
            RegionWarning,
            stacklevel=2,
        )
        drawn = [replace(shape, polygons=[[r * (1, -1) for r in p] for p in shape.polygons]) for shape in drawn]
    elif in_shares(Annotation(corners), (3, 3)):
        raise UsageError(f"'{path}': all corners lie in 0..1, as shares of the image: expected pixels.")
    try:
        return Regions([shape.region() for shape in drawn])
    except UsageError as error:
        raise error if str(error).startswith(f"'{path}'") else UsageError(f"'{path}': {error}") from error


@dataclass
class _Drawn:
    """A region as it stands in a file; its polygons are lists of rings."""

    where: str
    name: str
    polygons: list[_Rings]
    ignore: bool = False
    area_m2: float | None = None
    frame: tuple[int, int] | None = None
    image: str = ""
    corners: list[tuple[float, float]] = field(default_factory=list)

    def region(self) -> Region:
        polygons = tuple(tuple(polygon) for polygon in self.polygons)
        try:
            return Region(self.name, polygons, self.ignore, self.area_m2, self.frame, self.image)
        except UsageError as error:
            raise UsageError(f"{self.where}: {error}") from error


def _features(content: Any, path: Path) -> Iterator[_Drawn]:
    """Yield the regions of GeoJSON."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        features = content["features"]
    elif kind == "Feature":
        features = [content]
    else:
        raise UsageError(f"'{path}': expected a FeatureCollection of Polygons; received {kind!a:.60}.")
    for index, feature in enumerate(features):
        where = f"'{path}' features[{index}]"
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict):
            raise UsageError(f"{where}: expected a Feature with properties such as 'name'; received {feature!a:.60}.")
        own = {str(key).casefold(): value for key, value in properties.items()}
        _check_keys(own, where, "property", IMAGE_PROPERTIES)
        name, ignore = _text(own.get("name")), _flag(own.get("ignore"), where)
        if not name and not ignore:
            raise UsageError(f"{where}: expected a property 'name'; found {listed(map(str, properties)) or 'none'}.")
        frame = _frame(own, where) or stated_frame(content)
        polygons = _polygons(feature.get("geometry"), where)
        yield _Drawn(where, name, polygons, ignore, _area(own.get("area_m2"), where), frame, image_named(own))


def _polygons(geometry: Any, where: str) -> list[_Rings]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise UsageError(f"{where}: expected a Polygon or MultiPolygon; received {kind!a:.60}.")
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if (
        not isinstance(polygons, list)
        or not polygons
        or not all(isinstance(polygon, list) and polygon for polygon in polygons)
    ):
        raise UsageError(f"{where}: expected rings of coordinates; received {coordinates!a:.60}.")
    return [[_ring(ring, f"{where} coordinates") for ring in polygon] for polygon in polygons]


def _ring(ring: Any, where: str) -> NDArray[np.float64]:
    flat = [place[:2] if isinstance(place, list) else place for place in ring] if isinstance(ring, list) else ring
    corners = table(flat, "x y", where)  # without a height
    if not np.isfinite(corners).all():
        raise UsageError(f"{where}: expected finite numbers.")
    if not len(corners) or (corners[0] != corners[-1]).any():
        raise UsageError(f"{where}: expected a ring that ends where it begins, as those of Polygons do.")
    return corners


def _outlines(path: Path) -> Iterator[_Drawn]:
    """Yield the regions of a table."""
    rows = CsvRows(path)
    numbers = Numbers(rows.separator)
    header: list[str] = []
    current: _Drawn | None = None
    done: set[tuple[str, str]] = set()
    for row in rows:
        if not header:
            header = _header(row)
            continue
        cells = dict(zip(header, row.cells, strict=False))
        if len(row.cells) > len(header) and any(row.cells[len(header) :]):
            raise UsageError(f"{row.where}: expected {len(header)} cells as in the header; received {row.text!a:.80}.")
        shape = _corner(cells, row, numbers)
        if current is not None and (current.image, current.name) == (shape.image, shape.name):
            _join(current, shape)
            continue
        if current is not None:
            yield _closed(current)
        if (shape.image, shape.name) in done:
            raise UsageError(f"{row.where}: expected the corners of '{shape.name}' in rows that follow each other.")
        done.add((shape.image, shape.name))
        current = shape
    if current is not None:
        yield _closed(current)


def _header(row: Row) -> list[str]:
    header = [cell.casefold() for cell in row.cells]
    if not {"name", "x", "y"} <= set(header):
        raise UsageError(
            f"{row.where}: expected GeoJSON, or a table with the columns 'name', 'x' and 'y'; found {row.text!a:.80}."
        )
    images = tuple(name for name in IMAGE_COLUMNS if name != "name")
    _check_keys(dict.fromkeys(header), row.where, "column", images)
    named = next((name for name in images if name in header), None)
    return ["image" if cell == named else cell for cell in header]


def _corner(cells: Mapping[str, str], row: Row, numbers: Numbers) -> _Drawn:
    """Return a region that has one corner, that of a row."""
    where = row.where
    if not cells.get("name"):
        raise UsageError(f"{where}: expected the name of a region; received {row.text!a:.80}.")
    try:
        x, y = numbers(cells.get("x", "")), numbers(cells.get("y", ""))
        area = numbers(cells["area_m2"]) if cells.get("area_m2") else None
    except ValueError as error:
        raise UsageError(f"{where}: expected numbers as x, y and area_m2; received {row.text!a:.80}.") from error
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UsageError(f"{where}: expected finite x and y; received {row.text!a:.80}.")
    ignore = _flag(cells.get("ignore"), where)
    frame = _frame({key: cells[key] for key in ("width", "height") if cells.get(key)}, where)
    return _Drawn(where, cells["name"], [], ignore, area, frame, cells.get("image", ""), [(x, y)])


def _join(region: _Drawn, corner: _Drawn) -> None:
    """Add a corner to its region; what its row leaves empty is as in the rows before."""
    for key in ("ignore", "area_m2", "frame"):
        own, other = getattr(region, key), getattr(corner, key)
        if other and own != other:
            raise UsageError(
                f"{corner.where}: {key} of '{region.name}' differs from the rows before it: expected it in its first "
                "row, the same or empty in the others."
            )
    region.corners += corner.corners


def _closed(region: _Drawn) -> _Drawn:
    return replace(region, polygons=[[np.array(region.corners, np.float64)]])


def _check_keys(found: Mapping[str, Any], where: str, what: str, images: Sequence[str]) -> None:
    """Refuse what seems to be one of our keys, misspelt: it would be passed over without a word."""
    for key in found:
        if key in (*_OWN, *images):
            continue
        meant = get_close_matches(key, [own for own in _OWN if own not in found], 1, _NEAR)
        if meant:
            raise UsageError(f"{where}: the {what} '{key}' is not read. Did you mean '{meant[0]}'?")


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _flag(value: Any, where: str) -> bool:
    text = str(value).strip().casefold()
    if text not in _YES + _NO:
        raise UsageError(f"{where}: ignore: expected true or false; received {value!a:.60}.")
    return text in _YES


def _area(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{where}: area_m2: expected square metres; received {value!a:.60}.") from error


def _frame(stated: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """Return (height, width) of the image that a region was drawn in, None where it does not say so."""
    if stated.get("width") is None and stated.get("height") is None:
        return None
    whole = {key: int(text) for key in ("width", "height") if (text := _text(stated.get(key))).isdecimal()}
    frame = stated_frame(whole)
    if frame is None:
        raise UsageError(
            f"{where}: expected width and height of the image in pixels; "
            f"received {stated.get('width')!a:.30} and {stated.get('height')!a:.30}."
        )
    return frame
