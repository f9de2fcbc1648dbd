"""Label Studio (https://labelstud.io/guide/task_format): a .json of tasks, with points and rectangles in percent."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, label_text
from ..parsing import table
from ..text import file_name, read_json
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .gathered import Gathered, at_point, in_box
from .outline import json_outline

_ANNOTATED = ("annotations", "completions")
_MINIMAL = {"annotation_id", "annotator", "lead_time", "created_at", "updated_at"}
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
_LOCAL = "/data/local-files/?d="
_DOT = 0.5  # percent of the image's width, as wide as the dot is drawn
_Item = Mapping[str, Any]


def _kind(file: Path) -> Kind | None:
    outline = json_outline(file)
    is_task = "data" in outline.inner and outline.inner & {*_ANNOTATED, "predictions"}
    return "many" if outline.is_list and (is_task or len(outline.inner & _MINIMAL) > 1) else None


def without_upload_mark(name: str) -> str:
    """Return the name that a file had before Label Studio was given it: uploads get eight digits in front."""
    return _UPLOAD.sub("", name, count=1)


def read_label_studio(path: Path) -> Collection:
    """Return the marks of each image by its file name, from an export as JSON or JSON-MIN.

    Key points are heads, rectangles and ellipses one in their middle; all are percents of the image. Predictions are
    none of a person and are passed over, as are skipped annotations; a task without an annotation is not annotated.

    Raises:
        UsageError: malformed; the message names the task. That several people annotated an image is its own error.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise UsageError(f"'{path}': expected Label Studio's export, a list of tasks.")
    marks: dict[str, Marks] = {}
    for place, task in enumerate(content):
        where = f"'{path}' task {place}"
        if not isinstance(task, dict):
            raise UsageError(f"{where}: expected an object; received {task!a:.60}.")
        name = _image_of(task, where)
        results = _results(task, where)
        if isinstance(results, UsageError):
            marks[name] = Marks({}, error=results)
        elif results is not None and name in marks:
            marks[name] = Marks({}, error=UsageError(f"{where}: '{name}' is that of an earlier task, too: keep one."))
        elif results is not None:
            marks[name] = _marks(results, where)
    return Collection(marks)


def _image_of(task: _Item, where: str) -> str:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    named = texts.get("image") or next((text for text in texts.values() if "." in text.rsplit("/", 1)[-1]), "")
    parts = urlsplit(named) if "://" in named or "?" in named else None
    inner = parse_qs(parts.query).get("d", [""])[0] if parts is not None else ""
    return file_name(inner or unquote(parts.path if parts is not None else named), where)


def _results(task: _Item, where: str) -> list[Any] | UsageError | None:
    """Return what a person marked in an image, None where nobody did, or the error of several people."""
    key = next((key for key in _ANNOTATED if isinstance(task.get(key), list)), None)
    if key is None:
        if isinstance(task.get("data"), dict):
            return None
        parts = [value for value in task.values() if isinstance(value, list)]
        return [item for part in parts for item in part]
    found = [item for item in task[key] if isinstance(item, dict) and not item.get("was_cancelled")]
    chosen = [item for item in found if item.get("ground_truth")] or found
    if len(chosen) > 1:
        return UsageError(
            f"{where}: {len(chosen)} annotations of one image; expected one, or one that is ground truth."
        )
    results = chosen[0].get("result") if chosen else None
    return results if isinstance(results, list) else ([] if chosen else None)


def _marks(results: Iterable[Any], where: str) -> Marks:
    gathered, frame = Gathered(), None
    for place, item in enumerate(_merged(results)):
        at = f"{where} result {place}"
        sides = item.get("original_height"), item.get("original_width")
        frame = frame or stated_frame({"height": sides[0], "width": sides[1]})
        if "x" in item:
            gathered.add(_label(item), partial(_head, item, frame, at))
        elif any(_label_keys(item)):
            gathered.add(_label(item), partial(_no_head, item, at))
    return gathered.marks(frame, shares=True)


def _merged(results: Iterable[Any]) -> list[_Item]:
    """Return each mark once, its value beside what else is said; shape and label may be two results of one id."""
    found: dict[object, dict[str, Any]] = {}
    for place, result in enumerate(results):
        item = result if isinstance(result, dict) else {}
        value = item.get("value")
        key = item.get("id") if isinstance(item.get("id"), str | int) else (place,)
        found.setdefault(key, {}).update({**item, **(value if isinstance(value, dict) else {})})
    return list(found.values())


def _label_keys(item: _Item) -> Iterator[str]:
    return (key for key in item if key.endswith("labels"))


def _label(item: _Item) -> Label:
    given = next((item[key] for key in _label_keys(item)), None)
    if isinstance(given, list):
        return ", ".join(str(label) for label in given) or None
    return label_text(given)


def _no_head(item: _Item, where: str) -> Annotation:
    raise UsageError(f"{where}: expected a key point, rectangle or ellipse; received {item.get('type')!a:.60}.")


def _head(item: _Item, frame: tuple[int, int] | None, where: str) -> Annotation:
    """Return a mark in shares of the image."""
    if item.get("image_rotation"):
        raise UsageError(f"{where}: marked on an image that was turned by {item['image_rotation']!a:.20} degrees.")
    x, y = table([[item.get("x"), item.get("y")]], "x y", where)[0] / 100
    if not {"width", "height"} <= item.keys():
        return at_point(x, y)
    sides = [item["width"], item["height"], item.get("rotation") or 0]
    width, height, turn = table([sides], "width height rotation", where)[0]
    if turn and frame is None:
        raise UsageError(f"{where}: expected 'original_width' and 'original_height' beside a rotation.")
    # A rectangle is turned around its upper left corner, in pixels.
    ratio = frame[1] / frame[0] if frame is not None else 1.0
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    corners = [
        (x + (across * cosine - down * sine) / ratio, y + across * sine + down * cosine)
        for across in (0, width / 100 * ratio)
        for down in (0, height / 100)
    ]
    xs, ys = zip(*corners, strict=True)
    return in_box(min(xs), min(ys), max(xs), max(ys))


def _text(pictures: Sequence[Picture]) -> str:
    tasks = []
    for number, picture in enumerate(pictures, start=1):
        results = [{**item, "id": f"{number}-{place}"} for place, item in enumerate(_written(picture))]
        tasks.append(
            {
                "id": number,
                "data": {"image": _LOCAL + quote(picture.path)},
                "annotations": [{"result": results, "was_cancelled": False, "ground_truth": False}],
            }
        )
    return json.dumps(tasks, indent=1)


def _written(picture: Picture) -> Iterator[dict[str, Any]]:
    height, width = picture.size
    shared: dict[str, Any] = {"original_width": width, "original_height": height, "image_rotation": 0}
    shared |= {"from_name": "label", "to_name": "image"}
    if picture.boxes is None:
        for x, y in picture.points.tolist():
            place = {"x": round(100 * x / width, 6), "y": round(100 * y / height, 6), "width": _DOT}
            yield {**shared, "type": "keypointlabels", "value": {**place, "keypointlabels": [HEAD]}}
        return
    for x1, y1, x2, y2 in picture.boxes.tolist():
        sides = {"x": x1 / width, "y": y1 / height, "width": (x2 - x1) / width, "height": (y2 - y1) / height}
        place = {key: round(100 * share, 6) for key, share in sides.items()}
        yield {**shared, "type": "rectanglelabels", "value": {**place, "rotation": 0, "rectanglelabels": [HEAD]}}


LABEL_STUDIO = Family(
    "label-studio",
    "Label Studio's .json of tasks",
    (".json",),
    _kind,
    read_many=read_label_studio,
    write=one_file("label-studio.json", _text),
)
