"""Roboflow's exports: train/, valid/ and test/ with _annotations.coco.json, or the files of YOLO or Pascal VOC."""

from collections.abc import Sequence
from pathlib import Path

from ..annotation import SplitName
from ..labels import Marks
from .coco import coco_text, read_coco
from .collection import read_collection
from .family import Collection, Content, Family, Kind, Picture
from .outline import beginning
from .voc import VOC, read_voc
from .yolo import YOLO, read_yolo

_READMES = ("README.roboflow.txt", "README.dataset.txt")
_LEVELS = 3  # labels/, train/ and the folder of the export
_FOLDERS: dict[SplitName, str] = {"train": "train", "val": "valid", "test": "test"}


def _kind(file: Path) -> Kind | None:
    if file.name.startswith("_annotations."):
        return "many" if file.suffix.lower() in (".json", ".csv") else None
    if file.suffix.lower() not in (".txt", ".xml") or not _is_export(file):
        return None
    return (VOC if file.suffix.lower() == ".xml" else YOLO).kind_of(file)


def _is_export(file: Path) -> bool:
    """Whether one of the folders above a file is one that Roboflow wrote, by its readme or its data.yaml."""
    for folder in list(file.parents)[:_LEVELS]:
        if any((folder / name).is_file() for name in _READMES):
            return True
        if (folder / "data.yaml").is_file():
            return "\nroboflow:" in beginning(folder / "data.yaml")
    return False


def _read_one(path: Path) -> Marks:
    return read_voc(path) if path.suffix.lower() == ".xml" else read_yolo(path)


def _read_many(path: Path) -> Collection:
    return read_collection(path) if path.suffix.lower() == ".csv" else read_coco(path)


def _place(name: str, split: SplitName | None) -> str:
    return f"{_FOLDERS[split or 'train']}/{name}"


def _write(pictures: Sequence[Picture]) -> Content:
    splits = dict.fromkeys(picture.split for picture in pictures)
    return {
        _place("_annotations.coco.json", split): coco_text([picture for picture in pictures if picture.split == split])
        for split in splits
    }


ROBOFLOW = Family(
    "roboflow",
    "Roboflow's train/_annotations.coco.json, or its files of YOLO or Pascal VOC",
    (".json", ".csv", ".txt", ".xml"),
    _kind,
    read_one=_read_one,
    read_many=_read_many,
    write=_write,
    place=_place,
    boxes_only=True,
)
