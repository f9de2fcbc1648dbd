"""CVAT (https://docs.cvat.ai/docs/other/xml_format/): annotations.xml, "CVAT for images", with points and boxes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation, SplitName
from ..parsing import table
from ..text import file_name
from .family import HEAD, Collection, Family, Kind, Picture, in_folders, one_file
from .gathered import Gathered, at_point, in_box
from .outline import root_element
from .xml_text import frame_of, number, read_xml

_NO_SHAPES = ("tag",)
_CORNERS = ("xtl", "ytl", "xbr", "ybr")


def _kind(file: Path) -> Kind | None:
    return "many" if root_element(file) == "annotations" else None


def read_cvat(path: Path) -> Collection:
    """Return the marks of each image by its name, and the labels of the task or of all tasks of a project.

    In a project's export the subset of an image, which is the folder below `images/` that it lies in, leads its name.
    Each point of <points> is a head; a box or an ellipse is one in its middle. Tags of a whole image are no marks.

    Raises:
        UsageError: malformed, or a video's tracks; the message names the image.
    """
    root = read_xml(path, "annotations")
    images = root.findall("image")
    if not images and root.find("track") is not None:
        raise UsageError(f"'{path}': expected CVAT's annotation for images; received tracks of a video.")
    marks = {}
    for image in images:
        name = "/".join(filter(None, (image.get("subset"), image.get("name"))))
        where = f"'{path}' image '{name}'"
        file_name(image.get("name") or "", where)
        if name in marks:
            raise UsageError(f"{where}: expected one element for each image; received a second one of this name.")
        gathered = Gathered()
        for shape in image:
            if shape.tag not in _NO_SHAPES:
                gathered.add(shape.get("label"), partial(_head, shape, where))
        frame = frame_of(image.get("height"), image.get("width"))
        marks[name] = gathered.marks(frame, split=image.get("subset") or "")
    defined = (label.findtext("name") for label in root.iterfind("meta//label"))
    return Collection(marks, frozenset(name for name in defined if name))


def _head(shape: Element, where: str) -> Annotation:
    where = f"{where} <{shape.tag}>"
    if shape.tag == "points":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair.strip()]
        return Annotation(table([[number(x, "x", where) for x in pair] for pair in pairs], "x y", where))
    if shape.tag == "box":
        return in_box(*(number(shape.get(side), side, where) for side in _CORNERS))
    if shape.tag == "ellipse":
        return at_point(*(number(shape.get(side), side, where) for side in ("cx", "cy")))
    raise UsageError(f"{where}: expected points, a box or an ellipse.")


def _text(pictures: Sequence[Picture]) -> str:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    SubElement(task, "size").text = str(len(pictures))
    label = SubElement(SubElement(task, "labels"), "label")
    SubElement(label, "name").text = HEAD
    for place, picture in enumerate(pictures):
        height, width = picture.size
        facts = {"id": str(place), "name": picture.name, "width": str(width), "height": str(height)}
        image = SubElement(root, "image", facts)
        shared = {"label": HEAD, "source": "manual", "occluded": "0"}
        if picture.boxes is None:
            for x, y in picture.points.tolist():
                SubElement(image, "points", {**shared, "points": f"{x:.2f},{y:.2f}", "z_order": "0"})
        else:
            for box in np.round(picture.boxes, 2).tolist():
                corners = {side: f"{value:.2f}" for side, value in zip(_CORNERS, box, strict=True)}
                SubElement(image, "box", {**shared, **corners, "z_order": "0"})
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, "unicode") + "\n"


def _place(name: str, split: SplitName | None) -> str:
    return in_folders(f"images/{name}", split)


CVAT = Family(
    "cvat",
    "CVAT's annotations.xml",
    (".xml",),
    _kind,
    read_many=read_cvat,
    write=one_file("annotations.xml", _text),
    place=_place,
)
