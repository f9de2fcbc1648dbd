"""DotDotGoose (https://biodiversityinformatics.amnh.org/open_source/dotdotgoose/): dots of many images in one .pnt."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, Marks
from ..parsing import table
from ..text import read_json
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .outline import json_outline


def _kind(file: Path) -> Kind | None:
    return "many" if "points" in json_outline(file).keys else None


def read_pnt(path: Path) -> Collection:
    """Read dots by image and class.

    DotDotGoose lists every image of the folder, and one that nobody has looked at has no class there: it is taken as
    not annotated. An image with nobody has a class without dots.

    Raises:
        UsageError: malformed; the message names image and class.
    """
    content = read_json(path)
    points = content.get("points") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(points, dict):
        raise UsageError(f"'{path}': expected an object with 'points' by image and class, as DotDotGoose saves it.")
    marks: dict[str, Marks] = {}
    for image, classes in points.items():
        where = f"'{path}' points[{image!a:.60}]"
        if not isinstance(classes, dict):
            raise UsageError(f"{where}: expected an object of classes; received {classes!a:.60}.")
        if classes:
            by_label: dict[Label, Annotation | UsageError] = {
                label.strip() or None: _dots(dots, f"{where}[{label!a:.60}]") for label, dots in classes.items()
            }
            marks[image] = Marks(by_label)
    listed = content.get("classes")
    names = listed if isinstance(listed, list) else []
    return Collection(marks, frozenset(name for name in names if isinstance(name, str)))


def _dots(dots: Any, where: str) -> Annotation:
    if isinstance(dots, list):
        dots = [[dot.get("x"), dot.get("y")] if isinstance(dot, dict) else dot for dot in dots]
    return Annotation(table(dots, "x y", where))


def _written(pictures: Sequence[Picture]) -> str:
    points = {
        picture.name: {HEAD: [{"x": x, "y": y} for x, y in picture.points.round(3).tolist()]} for picture in pictures
    }
    content = {
        "classes": [HEAD],
        "points": points,
        "colors": {HEAD: [255, 255, 0]},
        "metadata": {"survey_id": "", "coordinates": {}},
        "custom_fields": {"fields": [], "data": {}},
        "ui": {"grid": {"size": 200, "color": [255, 255, 255]}, "point": {"radius": 9, "color": [255, 0, 0]}},
    }
    return json.dumps(content)


DOTDOTGOOSE = Family(
    "dotdotgoose",
    "a .pnt of DotDotGoose",
    (".pnt",),
    _kind,
    read_many=read_pnt,
    write=one_file("annotations.pnt", _written),
)
