"""VIA 3 (https://gitlab.com/vgg/via/-/tree/master/via-3.x.y): a project .json with `file`, `view` and `metadata`."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, label_text
from ..parsing import row
from ..text import file_name, read_json
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .gathered import Gathered, at_point, in_box
from .outline import json_outline
from .via import CALLED

_KEYS = {"project", "attribute", "file", "view", "metadata"}
_POINT, _RECTANGLE, _CIRCLE, _ELLIPSE = 1, 2, 3, 4
_SHAPES: dict[float, str] = {
    5: "line",
    6: "polyline",
    7: "polygon",
    8: "rectangle by its extreme points",
    9: "circle by its points",
}
_IMAGE, _LOCAL, _RADIO, _OF_REGION = 2, 1, 3, "FILE1_Z0_XY1"
_VERSION = "3.1.2"


def _kind(file: Path) -> Kind | None:
    outline = json_outline(file)
    told = outline.keys >= _KEYS or (outline.keys >= {"project", "config"} and "data_format_version" in outline.inner)
    return "many" if told and not outline.is_list else None


def read_via3(path: Path) -> Collection:
    """Return the marks of each image by its file name, from a project of VIA 3.

    A point is a head, the middle of a circle, an ellipse or a rectangle likewise. A region's label is its attribute
    called label, class, category, name, type or object, else the only one that it has; of options their text.

    Raises:
        UsageError: malformed, an image twice, or an image beside others in one view; the message names the entry.
    """
    content = read_json(path)
    parts = content if isinstance(content, dict) else {}
    files, views, metadata = (parts.get(key) for key in ("file", "view", "metadata"))
    if not isinstance(files, dict) or not isinstance(views, dict) or not isinstance(metadata, dict):
        raise UsageError(f"'{path}': expected a project of VIA 3, an object with 'file', 'view' and 'metadata'.")
    found: dict[str, Gathered] = {}
    of_view: dict[str, Gathered] = {}
    for view, shown in views.items():
        listed = shown.get("fid_list") if isinstance(shown, dict) else None
        if not isinstance(listed, list) or len(listed) != 1:
            raise UsageError(f"'{path}' view {view!a:.60}: expected a view of one image; received {listed!a:.60}.")
        image = files.get(str(listed[0]))
        if not isinstance(image, dict) or not isinstance(image.get("fname"), str):
            raise UsageError(f"'{path}' view {view!a:.60}: expected the number of a file with a name as 'fname'.")
        name = image["fname"]
        where = f"'{path}' image '{name}'"
        file_name(name, where)
        if name in found:
            raise UsageError(f"{where}: expected each image once; received a second view of it.")
        found[name] = of_view[str(view)] = Gathered()
    attributes = parts.get("attribute")
    for key, region in metadata.items():
        where = f"'{path}' metadata {key!a:.60}"
        gathered = of_view.get(str(region.get("vid"))) if isinstance(region, dict) else None
        if gathered is None:
            raise UsageError(f"{where}: expected the number of a view as 'vid'; received {region!a:.60}.")
        if region.get("xy"):  # else it says something of the whole image
            label = _label(region.get("av"), attributes if isinstance(attributes, dict) else {})
            gathered.add(label, partial(_head, region["xy"], where))
    return Collection({name: gathered.marks() for name, gathered in found.items()})


def _label(values: Any, attributes: Mapping[str, Any]) -> Label:
    """Return what a region is called: the text of the option that was chosen, or the text that was written."""
    named: dict[str, Label] = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        attribute = attributes.get(str(key))
        known: dict[str, Any] = attribute if isinstance(attribute, dict) else {}
        listed = known.get("options")
        options: dict[str, Any] = listed if isinstance(listed, dict) else {}
        chosen = [options.get(part.strip()) for part in str(value).split(",")]  # of a checkbox several
        text = ", ".join(str(part) for part in chosen) if options and None not in chosen else label_text(value)
        named[str(known.get("aname", key)).strip().casefold()] = text
    given = next((named[name] for name in CALLED if name in named), None)
    return next(iter(named.values())) if given is None and len(named) == 1 else given


def _head(xy: Any, where: str) -> Annotation:
    if not isinstance(xy, list) or not isinstance(xy[0], int | float):
        raise UsageError(f"{where}: expected the kind of a shape and its numbers as 'xy'; received {xy!a:.60}.")
    kind, values = xy[0], xy[1:]
    if kind in (_POINT, _CIRCLE, _ELLIPSE):
        return at_point(*row(values[:2], "x y", where))
    if kind == _RECTANGLE:
        x, y, width, height = row(values, "x y width height", where)
        return in_box(x, y, x + width, y + height)
    name = _SHAPES.get(kind, f"shape {kind!a:.20}")
    raise UsageError(f"{where}: expected a point, circle, ellipse or rectangle; received a {name}.")


def _text(pictures: Sequence[Picture]) -> str:
    files, views, metadata = {}, {}, {}
    for number, picture in enumerate(pictures, start=1):
        view = str(number)
        files[view] = {"fid": view, "fname": picture.name, "type": _IMAGE, "loc": _LOCAL, "src": ""}
        views[view] = {"fid_list": [view]}
        for place, xy in enumerate(_shapes(picture)):
            metadata[f"{view}_{place:08d}"] = {"vid": view, "flg": 0, "z": [], "xy": xy, "av": {"1": "1"}}
    project = {"pid": "__VIA_PROJECT_ID__", "rev": "__VIA_PROJECT_REV_ID__", "pname": "heads", "vid_list": list(views)}
    label = {"aname": "label", "anchor_id": _OF_REGION, "type": _RADIO, "desc": "", "options": {"1": HEAD}}
    content = {
        "project": project | {"data_format_version": _VERSION, "creator": "sam-mprompt"},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": {"1": label | {"default_option_id": "1"}},
        "file": files,
        "metadata": metadata,
        "view": views,
    }
    return json.dumps(content)


def _shapes(picture: Picture) -> list[list[float]]:
    if picture.boxes is None:
        return [[_POINT, *place] for place in picture.points.round(3).tolist()]
    sides = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in picture.boxes.tolist()]
    return [[_RECTANGLE, *(round(value, 3) for value in side)] for side in sides]


VIA3 = Family(
    "via3",
    "a project .json of VIA 3",
    (".json",),
    _kind,
    read_many=read_via3,
    write=one_file("via3.json", _text),
)
