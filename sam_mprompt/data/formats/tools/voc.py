"""Pascal VOC (http://host.robots.ox.ac.uk/pascal/VOC/), as labelImg and others write it: an .xml of boxes an image."""

from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Marks
from .family import HEAD, Family, Kind, Picture, file_each
from .gathered import Gathered, in_box
from .outline import root_element
from .xml_text import frame_of, number, read_xml

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _kind(file: Path) -> Kind | None:
    return "one" if root_element(file) == "annotation" else None


def read_voc(path: Path) -> Marks:
    """Return the marks of one image: each object is a head in the middle of its box.

    Corners are taken as coordinates, as all tools of today write them, also where the first pixel was 1 in 2007.

    Raises:
        UsageError: malformed; the message names the object.
    """
    root = read_xml(path, "annotation")
    gathered = Gathered()
    for place, thing in enumerate(root.findall("object")):
        label = (thing.findtext("name") or "").strip() or None
        gathered.add(label, partial(_head, thing, f"'{path}' object {place}"))
    return gathered.marks(frame_of(root.findtext("size/height"), root.findtext("size/width")))


def _head(thing: Element, where: str) -> Annotation:
    box = thing.find("bndbox")
    if box is None:
        raise UsageError(f"{where}: expected a <bndbox>.")
    return in_box(*(number(box.findtext(side), side, where) for side in _CORNERS))


def _text(picture: Picture) -> str:
    root = Element("annotation")
    SubElement(root, "filename").text = picture.name
    size = SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*picture.size[::-1], 3), strict=True):
        SubElement(size, name).text = str(value)
    for box in [] if picture.boxes is None else picture.boxes.tolist():
        thing = SubElement(root, "object")
        for name, text in (("name", HEAD), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            SubElement(thing, name).text = text
        corners = SubElement(thing, "bndbox")
        for name, value in zip(_CORNERS, box, strict=True):
            SubElement(corners, name).text = f"{value:.2f}"
    indent(root)
    return tostring(root, "unicode") + "\n"


VOC = Family(
    "voc",
    "a Pascal VOC .xml for each image",
    (".xml",),
    _kind,
    read_one=read_voc,
    write=file_each(".xml", _text),
    boxes_only=True,
)
