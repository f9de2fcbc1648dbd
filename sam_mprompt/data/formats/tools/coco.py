"""COCO instances and keypoints (https://cocodataset.org/#format-data): one .json of many images."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, joined
from ..parsing import centres, row, table
from ..splits import stated_split
from ..text import read_json
from .family import HEAD, Collection, Family, Kind, Picture, one_file
from .outline import json_outline

_Key = int | str | None
_NOBODY = Annotation(np.empty((0, 2)))
_OF_HEAD = {"head", "nose", "eye", "ear", "face", "forehead", "chin", "headtop", "skull"}
_NAMES = ("*coco*.json", "instances*.json", "person_keypoints*.json", "annotations.json")
_LISTS = {"images", "annotations"}


def _kind(file: Path) -> Kind | None:
    if any(fnmatchcase(file.name.casefold(), pattern) for pattern in _NAMES):
        return "many"
    outline = json_outline(file)
    return "many" if not outline.is_list and (outline.keys >= _LISTS or _only_begun(outline.keys)) else None


def _only_begun(keys: frozenset[str]) -> bool:
    """Whether these are keys of a COCO file of which the beginning shows the first list only."""
    return bool(keys & _LISTS) and bool(keys & {"info", "licenses", "categories"})


def read_coco(path: Path) -> Collection:
    """Return the marks of each image by its file name, and the names of the categories that are defined.

    Each annotation is one head, at its first labelled keypoint of a head (by the names that the category gives: head,
    nose, eyes, ears), else at the first labelled one, which is told of a person's body; else at the centre of its box.
    Its label is its category. Annotations with `iscrowd` cover a group and are reported instead of counted.

    Raises:
        UsageError: malformed; the message names the field.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        raise UsageError(f"'{path}': expected a COCO file, an object with the lists 'images' and 'annotations'.")
    images = _images(content["images"], path)
    labels, bodies = _labels(content), _bodies(content)
    elsewhere: dict[_Key, Counter[str]] = {}
    parts: dict[_Key, dict[Label, list[Annotation]]] = {}
    wrong: dict[_Key, dict[Label, UsageError]] = {}
    for index, annotation in enumerate(content["annotations"]):
        where = f"'{path}' annotations[{index}]"
        image = _key(annotation, "image_id")
        if image not in images:
            raise UsageError(f"{where}: expected the 'image_id' of one of the file's images.")
        category = _key(annotation, "category_id")
        label = None if category is None else labels.get(category, f"category {category}")
        heads = parts.setdefault(image, {}).setdefault(label, [])
        try:
            body = bodies.get(category, ())
            head, joint = _head(annotation, body, where)
            heads.append(head)
            if joint:
                elsewhere.setdefault(image, Counter())[joint] += 1
        except UsageError as error:  # matters only if this label counts
            wrong.setdefault(image, {}).setdefault(label, error)
    marks: dict[str, Marks] = {}
    annotated: dict[str, _Key] = {}
    for image, (name, frame, split) in images.items():
        by_label = {label: wrong.get(image, {}).get(label) or joined(p) for label, p in parts.get(image, {}).items()}
        if name in annotated and by_label:
            twice = UsageError(f"'{path}' annotates '{name}' under two ids, {annotated[name]} and {image}: keep one.")
            marks[name] = Marks({}, frame, twice, split=split)
        elif by_label or name not in marks:
            marks[name] = Marks(by_label, frame, reading=_told(elsewhere.get(image)), split=split)
        if by_label:
            annotated.setdefault(name, image)
    return Collection(marks, frozenset(_defined(content)))


def _images(listed: list[Any], path: Path) -> dict[_Key, tuple[str, tuple[int, int] | None, str]]:
    """Return file name, stated size and stated split of each image by its id."""
    images: dict[_Key, tuple[str, tuple[int, int] | None, str]] = {}
    for index, image in enumerate(listed):
        name = image.get("file_name") if isinstance(image, dict) else None
        key = _key(image, "id")
        if not isinstance(name, str) or key is None:
            raise UsageError(f"'{path}' images[{index}]: expected 'id' and 'file_name'.")
        if key in images and images[key][0] != name:
            raise UsageError(f"'{path}' images[{index}]: its id {key!a:.20} is that of another image, too.")
        images[key] = name, stated_frame(image), stated_split(image)
    return images


def _told(joints: Counter[str] | None) -> str:
    """Return what to tell of people whose head has no key point, by the joint that stands for it."""
    listed = ", ".join(f"{joint} ({number})" for joint, number in joints.most_common(3)) if joints else ""
    return f"heads without a key point, placed at another of the body: {listed}" if listed else ""


def _head(annotation: dict[str, Any], body: Sequence[str], where: str) -> tuple[Annotation, str]:
    """Return a head, and the name of the key point that it is placed at where that is none of a head's."""
    if annotation.get("iscrowd"):
        return _NOBODY._replace(groups=1), ""
    boxes = None
    if annotation.get("bbox"):
        x, y, width, height = row(annotation["bbox"], "x y width height", f"{where} bbox")
        boxes = np.array([[x, y, x + width, y + height]])
    keypoints = annotation.get("keypoints") or []
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        raise UsageError(f"{where} keypoints: expected a list of x, y, visibility, x, y, visibility...")
    triples = [keypoints[start : start + 3] for start in range(0, len(keypoints), 3)]
    places = table(triples, "x y visibility", f"{where} keypoints")
    labelled = np.flatnonzero(places[:, 2] > 0).tolist()
    if labelled:
        of_head = [number for number in labelled if number < len(body) and _is_of_head(body[number])]
        chosen = of_head[0] if of_head else labelled[0]
        joint = body[chosen] if not of_head and chosen < len(body) and any(map(_is_of_head, body)) else ""
        has_box = boxes is not None and (boxes[:, 2:] > boxes[:, :2]).all()  # readers want one, if of no extent
        return Annotation(places[chosen : chosen + 1, :2], boxes if has_box else None), joint
    if boxes is None:
        raise UsageError(f"{where}: expected a 'bbox' or a labelled keypoint.")
    return Annotation(centres(boxes), boxes), ""


def _is_of_head(joint: str) -> bool:
    return bool(_OF_HEAD & set(re.split(r"[\W_]+", joint.casefold())))


def _bodies(content: dict[str, Any]) -> dict[_Key, list[str]]:
    """Return the names of the key points of each category by its id."""
    listed = {_key(category, "id"): category.get("keypoints") for category in _categories(content)}
    return {key: [str(joint) for joint in joints] for key, joints in listed.items() if isinstance(joints, list)}


def _labels(content: dict[str, Any]) -> dict[_Key, str]:
    """Return the name of each category by its id."""
    return {_key(category, "id"): str(category["name"]) for category in _categories(content) if "name" in category}


def _defined(content: dict[str, Any]) -> set[str]:
    """Return the names of the categories, without those that only head others (Roboflow's first is the project)."""
    named = [category for category in _categories(content) if _is_text(category, "name")]
    above = {c["supercategory"] for c in named if _is_text(c, "supercategory") and c["supercategory"] != c["name"]}
    return {category["name"] for category in named} - above


def _categories(content: dict[str, Any]) -> list[dict[str, Any]]:
    listed = content.get("categories")
    return [category for category in (listed if isinstance(listed, list) else []) if isinstance(category, dict)]


def _is_text(item: dict[str, Any], field: str) -> bool:
    return isinstance(item.get(field), str)


def _key(item: Any, field: str) -> _Key:
    """Return an identifier of a COCO object, None when there is none or it is of another type."""
    value = item.get(field) if isinstance(item, dict) else None
    return value if isinstance(value, int | str) else None


def coco_text(pictures: Sequence[Picture]) -> str:
    """Return the COCO file of images: each head has one keypoint and its box, which is of no extent without one."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.size
        images.append({"id": number, "file_name": picture.name, "width": width, "height": height})
        boxes = np.hstack([picture.points] * 2) if picture.boxes is None else picture.boxes
        for (x, y), (x1, y1, x2, y2) in zip(picture.points.tolist(), boxes.tolist(), strict=True):
            found: dict[str, Any] = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            found |= {"keypoints": [round(x, 3), round(y, 3), 2], "num_keypoints": 1}
            found |= {"bbox": [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]}
            annotations.append(found | {"area": round((x2 - x1) * (y2 - y1), 3)})
    category = {"id": 1, "name": HEAD, "supercategory": "person", "keypoints": [HEAD], "skeleton": []}
    return json.dumps({"images": images, "annotations": annotations, "categories": [category]}, indent=1)


COCO = Family(
    "coco",
    "a COCO .json such as annotations.json",
    (".json",),
    _kind,
    read_many=read_coco,
    write=one_file("annotations.json", coco_text),
)
