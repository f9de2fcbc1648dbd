"""What the numbers of a YOLO label file mean: classes.txt, obj.names, or the data.yaml of Ultralytics and Roboflow."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ....errors import UsageError
from ..splits import split_called
from ..text import MAX_BYTES_OF_ONE_IMAGE, read_text

_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt")
_INSIDE = ("labels", "obj_train_data", "annotations", "images")
_INLINE = re.compile(r"^names\s*:\s*([\[{].*?[\]}])", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^names\s*:[ \t]*(?:#.*)?\n((?:(?:[ \t]+|-).*\n?|[ \t]*\n)+)", re.MULTILINE)
_ITEM = re.compile(r"""(?:(\d+)\s*:\s*|-\s+)?("[^"]*"|'[^']*'|[^\s,\[\]{}#'"][^,\[\]{}#\n]*)""")
_COMMENT = re.compile(r"(?:^|[ \t])#.*", re.MULTILINE)
_KEY_POINTS = re.compile(r"^kpt_shape\s*:\s*\[\s*(\d{1,3})\s*,\s*([23])\s*\]", re.MULTILINE)


class Classes(NamedTuple):
    """What a YOLO dataset says of its label files.

    Attributes:
        names: of each class by its number; empty where none are given.
        key_points: number of key points of an object and of values each (2, or 3 with visibility); None without.
    """

    names: Mapping[int, str] = MappingProxyType({})
    key_points: tuple[int, int] | None = None

    def label(self, number: int) -> str:
        """Return the name of a class, its number where it has none."""
        return self.names.get(number, str(number))


def classes_of(file: Path) -> Classes:
    """Return the classes of a label file: those of its folder, or of the dataset that the folder is a part of.

    Raises:
        UsageError: their file cannot be read.
    """
    for folder in _folders(file.parent):
        for name in _LISTS:
            if (folder / name).is_file():
                lines = read_text(folder / name, MAX_BYTES_OF_ONE_IMAGE).splitlines()
                return Classes(dict(enumerate(line.strip() for line in lines if line.strip())))
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            if path.is_file() and (found := _of_yaml(path)) is not None:
                return found
    return Classes()


def _folders(folder: Path) -> list[Path]:
    """Return the folder, and those above as long as the lower one is a part of a dataset by its name."""
    found = [folder]
    while found[-1].name in _INSIDE or split_called(found[-1].name) is not None:
        found.append(found[-1].parent)
    return found


def _of_yaml(path: Path) -> Classes | None:
    """Return what the few keys of a dataset's YAML say that matter here; None where it names no classes."""
    try:
        text = read_text(path, MAX_BYTES_OF_ONE_IMAGE)
    except UsageError:
        return None
    found = _INLINE.search(text) or _BLOCK.search(text)
    if found is None:
        return None
    names: dict[int, str] = {}
    for number, name in _ITEM.findall(_COMMENT.sub("", found[1])):
        names[int(number) if number else len(names)] = name.strip().strip("'\"")
    shape = _KEY_POINTS.search(text)
    return Classes(names, (int(shape[1]), int(shape[2])) if shape else None)
