"""ImageJ's Cell Counter (https://imagej.net/plugins/cell-counter): `CellCounter_a.xml` of the markers of one image."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, Marks
from .family import Family, Kind
from .neighbours import is_called_as
from .outline import root_element
from .xml_text import number, read_xml

_ROOT = "CellCounter_Marker_File"
_PUT_IN_FRONT = re.compile(r"^cellcounter_", re.IGNORECASE)


def _kind(file: Path) -> Kind | None:
    return "one" if root_element(file) == _ROOT else None


def _image_of(stem: str) -> str:
    """Return `a` of `CellCounter_a.xml`, as the plugin proposes it."""
    return _PUT_IN_FRONT.sub("", stem)


def read_markers(path: Path) -> Marks:
    """Return the markers of one image; the name of a marker's type ("Type 1") is its label.

    Raises:
        UsageError: malformed, of another image than the file is called after, or of several slices of a stack; the
            message names type and marker.
    """
    root = read_xml(path, _ROOT)
    image = (root.findtext("Image_Properties/Image_Filename") or "").strip()
    if image and not is_called_as(path.with_name(_image_of(path.stem) + path.suffix), image):
        raise UsageError(f"'{path}': expected the markers of the image that it is called after; found {image!a:.60}.")
    by_label: dict[Label, Annotation | UsageError] = {}
    slices: set[float] = set()
    for kind in root.iterfind("Marker_Data/Marker_Type"):
        called = (kind.findtext("Type") or "").strip()
        label = (kind.findtext("Name") or "").strip() or f"Type {called}"
        places = []
        for place, marker in enumerate(kind.iterfind("Marker")):
            where = f"'{path}' {label!a:.60} marker {place}"
            places.append([_coordinate(marker, axis, where) for axis in "XY"])
            slices.add(_coordinate(marker, "Z", where) if marker.find("MarkerZ") is not None else 1)
        if label in by_label:
            raise UsageError(f"'{path}': expected each type once; received {label!a:.60} twice.")
        by_label[label] = Annotation(np.array(places, np.float64).reshape(-1, 2))
    if len(slices) > 1:
        raise UsageError(f"'{path}': expected the markers of one image; found those of {len(slices)} slices.")
    return Marks(by_label)


def _coordinate(marker: Element, axis: str, where: str) -> float:
    return number(marker.findtext(f"Marker{axis}"), f"Marker{axis}", where)


CELL_COUNTER = Family(
    "cell-counter",
    "CellCounter_*.xml of ImageJ's Cell Counter for each image",
    (".xml",),
    _kind,
    read_one=read_markers,
    image_of=_image_of,
)
