"""The files that this package proposes: .txt and .json beside an image, annotations.csv and annotations.jsonl."""

import json
from collections.abc import Sequence
from pathlib import Path

from ....shown import csv_line
from .collection import read_collection
from .csv_heads import read_csv, read_csv_of_one_image, table_kind
from .family import Family, Kind, Picture, file_each, one_file
from .outline import json_outline
from .sidecars import read_sidecar

CSV_HEADER = ("image", "x", "y")


def csv_rows(name: str, points: Sequence[Sequence[float]]) -> str:
    """Return the rows of one image, each with the end of its line; of an image with nobody one without coordinates."""
    rows = [(name, f"{x:.2f}", f"{y:.2f}") for x, y in points] or [(name, "", "")]
    return "".join(csv_line(row) for row in rows)


def _csv_text(pictures: Sequence[Picture]) -> str:
    return csv_line(CSV_HEADER) + "".join(csv_rows(picture.name, picture.points.tolist()) for picture in pictures)


def _is_json(file: Path) -> Kind | None:
    if file.suffix.lower() == ".jsonl":
        return "many" if file.name.casefold() == "annotations.jsonl" else None
    outline = json_outline(file)
    if outline.is_list:
        return "many" if "image" in outline.inner and outline.inner & {"points", "boxes", "x"} else None
    return "one" if outline.keys & {"points", "boxes"} else None


def _json_text(picture: Picture) -> str:
    height, width = picture.size
    content = {"points": picture.points.round(3).tolist(), "width": width, "height": height}
    if picture.boxes is not None:
        content["boxes"] = picture.boxes.round(3).tolist()
    return json.dumps(content)


def json_list(pictures: Sequence[Picture]) -> str:
    """Return one file of many images, a list of objects with the image's name, its size and its points."""
    listed = [{"image": picture.name, **json.loads(_json_text(picture))} for picture in pictures]
    return json.dumps(listed, indent=1)


def _txt_text(picture: Picture) -> str:
    return "".join(f"{x:.3f} {y:.3f}\n" for x, y in picture.points.tolist())


TXT = Family(
    "txt",
    "a .txt of `x y` for each image",
    (".txt",),
    lambda _file: "one",
    read_one=read_sidecar,
    write=file_each(".txt", _txt_text),
)
JSON = Family(
    "json",
    "a .json of points for each image, or annotations.jsonl",
    (".json", ".jsonl"),
    _is_json,
    read_one=read_sidecar,
    read_many=read_collection,
    write=file_each(".json", _json_text),
)
CSV = Family(
    "csv",
    "a .csv of image, x and y, or of x and y for each image",
    (".csv", ".tsv"),
    table_kind,
    read_one=read_csv_of_one_image,
    read_many=read_csv,
    write=one_file("annotations.csv", _csv_text),
)
