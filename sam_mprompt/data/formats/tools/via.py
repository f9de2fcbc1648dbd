"""VGG Image Annotator (https://www.robots.ox.ac.uk/~vgg/software/via/), VIA: a .json or .csv of regions of images."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ....errors import UsageError
from ....shown import csv_line
from ..annotation import Annotation
from ..labels import Label, label_text
from ..parsing import row
from ..text import file_name, parse_json, read_json, streamed_lines
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .gathered import Gathered, at_point, in_box
from .outline import first_row, json_outline

_HEADER = (
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
)
CALLED = ("label", "class", "category", "name", "type", "object")
"""Attributes of a region that say what it is, where it has several."""


def _json_kind(file: Path) -> Kind | None:
    outline = json_outline(file)
    is_project = "_via_img_metadata" in outline.keys
    return "many" if is_project or (not outline.is_list and {"filename", "regions"} <= outline.inner) else None


def _csv_kind(file: Path) -> Kind | None:
    row = first_row(file)
    return "many" if "region_shape_attributes" in row and "filename" in row else None


def read_via(path: Path) -> Collection:
    """Return the marks of each image by its file name, from annotations or a whole project of VIA 1 or 2 as JSON.

    A point is a head, the middle of a circle, an ellipse or a rectangle likewise. A region's label is its attribute
    called label, class, category, name, type or object, else the only one that it has.

    Raises:
        UsageError: malformed, or an image twice; the message names image and region.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("_via_img_metadata"), dict):
        content = content["_via_img_metadata"]
    if not isinstance(content, dict):
        raise UsageError(f"'{path}': expected VIA's annotation, an object with one entry for each image.")
    found: dict[str, Gathered] = {}
    for key, image in content.items():
        if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
            raise UsageError(f"'{path}' {key!a:.60}: expected an object with 'filename' and 'regions'.")
        where = f"'{path}' image '{image['filename']}'"
        name = file_name(image["filename"], where)
        if name in found:
            raise UsageError(f"{where}: expected each image once; received a second entry of this name.")
        found[name] = Gathered()
        regions = image.get("regions")
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        for place, region in enumerate(regions if isinstance(regions, list) else []):
            inside = region if isinstance(region, dict) else {}
            _add(
                found[name], inside.get("shape_attributes"), inside.get("region_attributes"), f"{where} region {place}"
            )
    return Collection({name: gathered.marks() for name, gathered in found.items()})


def read_via_csv(path: Path) -> Collection:
    """Return the marks of each image by its file name, from the rows that VIA writes; see `read_via`.

    Raises:
        UsageError: malformed; the message names the line.
    """
    rows = csv.DictReader(line for _, line in streamed_lines(path))
    found: dict[str, Gathered] = {}
    try:
        for row in rows:
            where = f"'{path}' line {rows.line_num}"
            gathered = found.setdefault(file_name(row.get("filename") or "", where), Gathered())
            shape = parse_json(row.get("region_shape_attributes") or "{}", f"{where} region_shape_attributes")
            attributes = parse_json(row.get("region_attributes") or "{}", f"{where} region_attributes")
            if shape or row.get("region_count") != "0":
                _add(gathered, shape, attributes, where)
    except csv.Error as error:
        raise UsageError(f"'{path}' is not a CSV file: {error}.") from error
    return Collection({name: gathered.marks() for name, gathered in found.items()})


def _add(gathered: Gathered, shape: Any, attributes: Any, where: str) -> None:
    if not isinstance(shape, dict):
        raise UsageError(f"{where}: expected a region with 'shape_attributes'; received {shape!a:.60}.")
    gathered.add(_label(attributes if isinstance(attributes, dict) else {}), partial(_head, shape, where))


def _label(attributes: Mapping[str, Any]) -> Label:
    named = {key.strip().casefold(): value for key, value in attributes.items()}
    given = next((named[key] for key in CALLED if key in named), None)
    if given is None and len(named) == 1:
        given = next(iter(named.values()))
    if isinstance(given, dict):  # of a checkbox: which are ticked
        return ", ".join(str(key) for key, ticked in given.items() if ticked) or None
    return label_text(given)


def _head(shape: Mapping[str, Any], where: str) -> Annotation:
    kind = shape.get("name")
    if kind in ("point", "circle", "ellipse"):
        return at_point(*row([shape.get("cx"), shape.get("cy")], "cx cy", where))
    if kind == "rect":
        sides = [shape.get(key) for key in ("x", "y", "width", "height")]
        x, y, width, height = row(sides, "x y width height", where)
        return in_box(x, y, x + width, y + height)
    raise UsageError(f"{where}: expected a point, circle, ellipse or rect; received {kind!a:.60}.")


def _regions(picture: Picture) -> Iterator[dict[str, Any]]:
    if picture.boxes is None:
        for x, y in picture.points.round(3).tolist():
            yield {"name": "point", "cx": x, "cy": y}
        return
    for x1, y1, x2, y2 in picture.boxes.tolist():
        sides = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        yield {"name": "rect", **{key: round(value, 3) for key, value in sides.items()}}


def _json_text(pictures: Sequence[Picture]) -> str:
    content = {}
    for picture in pictures:
        regions = [{"shape_attributes": shape, "region_attributes": {"label": HEAD}} for shape in _regions(picture)]
        content[f"{picture.name}{picture.bytes or -1}"] = {
            "filename": picture.name,
            "size": picture.bytes or -1,
            "regions": regions,
            "file_attributes": {},
        }
    return json.dumps(content, indent=1)


def _csv_text(pictures: Sequence[Picture]) -> str:
    text = io.StringIO()
    text.write(csv_line(_HEADER))
    for picture in pictures:
        regions = list(_regions(picture))
        start = (picture.name, picture.bytes or -1, "{}", len(regions))
        for place, shape in enumerate(regions):
            text.write(csv_line((*start, place, json.dumps(shape), json.dumps({"label": HEAD}))))
        if not regions:
            text.write(csv_line((*start, 0, "{}", "{}")))
    return text.getvalue()


VIA = Family(
    "via",
    "VIA's .json of regions",
    (".json",),
    _json_kind,
    read_many=read_via,
    write=one_file("via.json", _json_text),
)
VIA_CSV = Family(
    "via-csv",
    "VIA's .csv of regions",
    (".csv",),
    _csv_kind,
    read_many=read_via_csv,
    write=one_file("via.csv", _csv_text),
)
