"""GeoJSON in pixels (https://www.rfc-editor.org/rfc/rfc7946), as QGIS and QuPath write it: a point on every head.

QGIS shows an image that has no place on the map with x to the right and y *upwards* from the upper left corner, so that
its rows are at negative y. QuPath counts y downwards.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, Marks, joined, label_text
from ..parsing import table
from ..text import read_json
from .family import HEAD, Collection, Family, Kind, Picture, file_each
from .gathered import Gathered
from .neighbours import is_called_as
from .outline import beginning, json_outline
from .sidecars import label_of

IMAGE_PROPERTIES = ("image", "file", "filename", "file_name", "image_name", "image_path", "img")
_POINTS = ("Point", "MultiPoint")
_NAMES_IMAGES = re.compile(rf'"properties"\s*:\s*\{{[^{{}}]*"(?:{"|".join(IMAGE_PROPERTIES)})"\s*:\s*"', re.IGNORECASE)
_TYPE = re.compile(r'"type"\s*:\s*"(?:FeatureCollection|Feature|GeometryCollection|Point|MultiPoint)"')
_UPWARDS = "y is negative, as in QGIS for an image without a place on the map, and was turned downwards"


def _kind(file: Path) -> Kind | None:
    outline = json_outline(file)
    if "type" not in outline.keys or not outline.keys & {"features", "geometry", "geometries", "coordinates"}:
        return None
    text = beginning(file)
    if not _TYPE.search(text):
        return None
    return "many" if _NAMES_IMAGES.search(text) else "one"


def read_geojson(path: Path) -> Marks:
    """Read the points of one image; the label is a feature's `label`, `class` or `category`, or QuPath's class.

    Raises:
        UsageError: malformed; the message names the feature.
    """
    gathered = Gathered()
    for feature in _features(path):
        if not is_called_as(path, feature.image):
            raise UsageError(
                f"{feature.where}: expected the image that the file is called after; found {feature.image!a:.60}."
            )
        gathered.add(feature.label, feature.mark)
    return _downwards({"": gathered.marks()})[""]


def read_geojson_of_many(path: Path) -> Collection:
    """Read the points of many images, which the features name as `image`, `file` or the like.

    Raises:
        UsageError: malformed, or a feature without an image; the message names the feature.
    """
    gathered: dict[str, Gathered] = {}
    for feature in _features(path):
        if not feature.image:
            raise UsageError(f"{feature.where}: expected the name of its image, which others have.")
        gathered.setdefault(feature.image, Gathered()).add(feature.label, feature.mark)
    return Collection(_downwards({image: found.marks() for image, found in gathered.items()}))


class _Feature(NamedTuple):
    where: str
    label: Label
    image: str
    mark: Callable[[], Annotation]


def _features(path: Path) -> Iterator[_Feature]:
    content = read_json(path)
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        features = content["features"]
    elif kind == "Feature":
        features = [content]
    elif kind in (*_POINTS, "GeometryCollection"):
        features = [{"type": "Feature", "geometry": content}]
    else:
        raise UsageError(f"'{path}': expected GeoJSON, such as a FeatureCollection of Points; received {kind!a:.60}.")
    for index, feature in enumerate(features):
        where = f"'{path}' features[{index}]"
        if not isinstance(feature, dict) or "geometry" not in feature:
            raise UsageError(f"{where}: expected a Feature with a geometry; received {feature!a:.60}.")
        properties = feature.get("properties")
        named = properties if isinstance(properties, dict) else {}
        yield _Feature(where, _label(named), image_named(named), partial(_points, feature["geometry"], where))


def _points(geometry: Any, where: str) -> Annotation:
    return joined(list(_geometry(geometry, where)))


def _geometry(geometry: Any, where: str) -> Iterator[Annotation]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if geometry is None:  # a row of QGIS's table that nobody has placed
        return
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        for inner in geometry["geometries"]:
            if isinstance(inner, dict) and inner.get("type") == "GeometryCollection":
                raise UsageError(f"{where}: expected no collection of geometries inside another.")
            yield from _geometry(inner, where)
        return
    if kind not in _POINTS:
        raise UsageError(f"{where}: expected a Point or MultiPoint; received {kind!a:.60}.")
    coordinates = geometry.get("coordinates")
    places = [coordinates] if kind == "Point" else coordinates
    if isinstance(places, list):
        places = [place[:2] if isinstance(place, list) else place for place in places]  # without a height
    yield Annotation(table([] if places == [[]] else places, "x y", f"{where} coordinates"))


def _label(properties: dict[str, Any]) -> Label:
    classification = properties.get("classification")
    if isinstance(classification, dict):  # QuPath's
        return label_text(classification.get("name"))
    return label_of({key.casefold(): value for key, value in properties.items()})


def image_named(properties: dict[str, Any]) -> str:
    """Return the image that a feature's properties name, an empty text where they name none."""
    named = {key.casefold(): value for key, value in properties.items()}
    return next((named[key] for key in IMAGE_PROPERTIES if isinstance(named.get(key), str) and named[key]), "")


def _downwards(found: dict[str, Marks]) -> dict[str, Marks]:
    """Turn y downwards where most of a file's points have it negative: no pixel has."""
    all_y = [part.points[:, 1] for marks in found.values() for part in _annotations(marks)]
    heights = np.concatenate(all_y) if all_y else np.empty(0)
    if (heights < 0).sum() <= (heights > 0).sum():
        return found
    return {
        image: Marks({label: _turned(part) for label, part in marks.by_label.items()}, reading=_UPWARDS)
        for image, marks in found.items()
    }


def _annotations(marks: Marks) -> list[Annotation]:
    return [part for part in marks.by_label.values() if isinstance(part, Annotation)]


def _turned(part: Annotation | UsageError) -> Annotation | UsageError:
    return part if isinstance(part, UsageError) else part._replace(points=part.points * (1, -1) + 0.0)


def _written(picture: Picture) -> str:
    """Return the points for QGIS, with y upwards."""
    features = [
        {
            "type": "Feature",
            "properties": {"label": HEAD},
            "geometry": {"type": "Point", "coordinates": [x, 0.0 - y]},
        }
        for x, y in picture.points.round(3).tolist()
    ]
    return json.dumps({"type": "FeatureCollection", "name": Path(picture.name).stem, "features": features})


GEOJSON = Family(
    "geojson",
    "a .geojson of points in pixels for each image (QGIS, QuPath)",
    (".geojson", ".json"),
    _kind,
    read_one=read_geojson,
    read_many=read_geojson_of_many,
    write=file_each(".geojson", _written),
)
