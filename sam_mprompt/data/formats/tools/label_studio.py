"""Label Studio (https://labelstud.io/guide/task_format): a .json of tasks, with points and rectangles in percent."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, label_text
from ..parsing import row
from ..text import file_name, read_json
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .gathered import Gathered, at_point, in_box
from .outline import json_outline

_ANNOTATED = ("annotations", "completions")
_MINIMAL = {"annotation_id", "annotator", "lead_time", "created_at", "updated_at"}
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
_SIGNS = re.compile(r"[^-\w.]")
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


def as_uploaded(name: str) -> str:
    """Return what Label Studio makes of a file's name, beside the digits in front: of blanks `_`, of signs nothing."""
    return _SIGNS.sub("", name.strip().replace(" ", "_"))


def read_label_studio(path: Path) -> Collection:
    """Return the marks of each image by its file name, from an export as JSON or JSON-MIN.

    Key points are heads, rectangles and ellipses one in their middle; all are percents of the image. Predictions are
    none of a person and are passed over, as are skipped annotations; a task without an annotation is not annotated.
    Where several people annotated an image, the ground truth counts, else what was saved last, and that is told.

    Raises:
        UsageError: malformed; the message names the task. That two tasks are of one image is its own error.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise UsageError(f"'{path}': expected Label Studio's export, a list of tasks.")
    tasks: dict[str, list[_Task]] = {}
    for place, item in enumerate(content):
        where = f"'{path}' task {place}"
        if not isinstance(item, dict):
            raise UsageError(f"{where}: expected an object; received {item!a:.60}.")
        tasks.setdefault(_image_of(item, where), []).append(_Task(where, item.get("id"), _annotations(item)))
    found = {name: _of_tasks([task for task in some if task.annotations], name) for name, some in tasks.items()}
    return Collection({name: marks for name, marks in found.items() if marks is not None})


class _Task(NamedTuple):
    """An image as it stands in the file: where, its number, and what people did with it."""

    where: str
    number: object
    annotations: list[_Item]


def _of_tasks(tasks: Sequence[_Task], name: str) -> Marks | None:
    """Return the marks of one image, None where nobody annotated it; of several people's those that count."""
    if not tasks:
        return None
    minimal = all("result" not in task.annotations[0] for task in tasks)
    if minimal and len({str(task.number) for task in tasks}) == 1:
        tasks = [tasks[0]._replace(annotations=[item for task in tasks for item in task.annotations])]  # of JSON-MIN
    if len(tasks) > 1:
        where = tasks[1].where
        return Marks({}, error=UsageError(f"{where}: '{name}' is that of an earlier task, too: keep one."))
    where, _, found = tasks[0]
    best = [item for item in found if item.get("ground_truth")] or found
    chosen = max(best, key=_saved)
    marks = _marks(_results(chosen), where)
    if len(best) == 1:
        return marks
    who = chosen.get("completed_by", chosen.get("annotator"))
    by = f", by annotator {who}" if isinstance(who, int | str) else ""
    return replace(marks, reading=f"annotated {len(best)} times, of which what was saved last{by} counts")


def _saved(annotation: _Item) -> tuple[str, int]:
    """Return what orders annotations by when they were saved."""
    times = (annotation.get(key) for key in ("updated_at", "created_at"))
    number = annotation.get("annotation_id", annotation.get("id"))
    return next((time for time in times if isinstance(time, str)), ""), number if isinstance(number, int) else 0


def _image_of(task: _Item, where: str) -> str:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    texts = {key: text for key, text in texts.items() if key not in _MINIMAL}
    named = texts.get("image") or next((text for text in texts.values() if "." in text.rsplit("/", 1)[-1]), "")
    parts = urlsplit(named) if "://" in named or "?" in named else None
    inner = parse_qs(parts.query).get("d", [""])[0] if parts is not None else ""
    path = inner or unquote(parts.path if parts is not None else named)
    file_name(path, where)
    return path


def _annotations(task: _Item) -> list[_Item]:
    """Return what people saved for an image: an item for each, without those that they skipped."""
    key = next((key for key in _ANNOTATED if isinstance(task.get(key), list)), None)
    if key is not None:
        return [item for item in task[key] if isinstance(item, dict) and not item.get("was_cancelled")]
    return [] if isinstance(task.get("data"), dict) else [task]


def _results(annotation: _Item) -> list[Any]:
    """Return the marks of an annotation; one of JSON-MIN has them under the names of the controls."""
    if "result" in annotation:
        return annotation["result"] if isinstance(annotation["result"], list) else []
    parts = [value for key, value in annotation.items() if isinstance(value, list) and key not in _ANNOTATED]
    return [item for part in parts for item in part]


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
    x, y = row([item.get("x"), item.get("y")], "x y", where) / 100
    if not {"width", "height"} <= item.keys():
        return at_point(x, y)
    sides = [item["width"], item["height"], item.get("rotation") or 0]
    width, height, turn = row(sides, "width height rotation", where)
    if not math.isfinite(turn):
        raise UsageError(f"{where}: expected a rotation in degrees; received {item['rotation']!a:.20}.")
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
