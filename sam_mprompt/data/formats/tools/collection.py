"""The user's own annotation of many images in one file: which marks it gives to which image, by the images' names."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, joined
from ..parsing import row
from ..splits import stated_split
from ..text import parse_json, read_json, streamed_lines
from .coco import read_coco
from .csv_heads import read_csv
from .family import Collection
from .gathered import at_point
from .outline import json_outline
from .sidecars import label_of, marks_of


def read_collection(path: Path) -> Collection:
    """Read one file of our own kinds or of COCO that annotates many images: a `.csv`, a `.jsonl`, or a `.json`.

    Raises:
        UsageError: malformed; the message names the line or the field.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return Collection(_listed(path)) if json_outline(path).is_list else read_coco(path)
    return read_csv(path) if suffix in (".csv", ".tsv") else Collection(_jsonl(path))


def _jsonl(path: Path) -> dict[str, Marks]:
    """Objects one a line; see `_objects`."""
    lines = ((f"'{path}' line {number}", line.strip()) for number, line in streamed_lines(path))
    return _objects((where, parse_json(line, where)) for where, line in lines if line and not line.startswith("#"))


def _listed(path: Path) -> dict[str, Marks]:
    """A list of objects; see `_objects`."""
    return _objects((f"'{path}' [{place}]", item) for place, item in enumerate(read_json(path)))


def _objects(objects: Iterable[tuple[str, Any]]) -> dict[str, Marks]:
    """Objects with `image` and either `x` and `y`, or `points` and `boxes`, or nothing (an image with nobody).

    Each has where it stands before it, which leads the message of an error.
    """
    found: dict[str, list[Marks]] = {}
    for where, content in objects:
        if not isinstance(content, dict) or not isinstance(content.get("image"), str):
            raise UsageError(f"{where}: expected an object with the file name of an image as 'image'.")
        marks = Marks({}, stated_frame(content))
        if "x" in content or "y" in content:
            head = at_point(*row([content.get("x"), content.get("y")], "x y", where))
            marks = Marks({label_of(content): head}, marks.frame)
        elif "points" in content or "boxes" in content:
            marks = marks_of(content, where)
        found.setdefault(content["image"], []).append(replace(marks, split=stated_split(content)))
    return {name: _merged(parts) for name, parts in found.items()}


def _merged(parts: Iterable[Marks]) -> Marks:
    gathered: dict[Label, list[Annotation]] = {}
    frame, split = None, ""
    for part in parts:
        frame, split = frame or part.frame, split or part.split
        for label, marks in part.by_label.items():
            if isinstance(marks, Annotation):
                gathered.setdefault(label, []).append(marks)
    return Marks({label: joined(marks) for label, marks in gathered.items()}, frame, split=split)
