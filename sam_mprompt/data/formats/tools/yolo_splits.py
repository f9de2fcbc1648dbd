"""Which images a YOLO data.yaml gives to each split: folders, lists of images, or several of those."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ....errors import UsageError
from ....files import is_file, is_folder
from ...image import IMAGE_SUFFIXES
from ..annotation import SplitName
from ..text import MAX_BYTES_OF_ONE_IMAGE, file_name, numbered_lines, read_text

_KEYS: tuple[SplitName, ...] = ("train", "val", "test")
_IS_DATASET = re.compile(r"^(?:names|nc)\s*:", re.MULTILINE)
_QUOTES = "\"'"


class Declared(NamedTuple):
    """What a data.yaml says.

    Attributes:
        splits: for each split the folders of images, or the images of a list.
        folders: all folders in which images lie.
        files: the yaml and the lists.
    """

    splits: dict[SplitName, frozenset[Path]]
    folders: list[Path]
    files: list[Path]


def declared_splits(root: Path) -> Declared | None:
    """Return the splits that a YAML file in `root` declares; None where there is none, or it divides nothing.

    A path counts from the file's `path`, else from the file itself; one of another machine is looked for by its last
    parts below `root`. A val split that is the train split (as YOLO's smallest examples have it) is none of its own.
    What is not there is not declared: a list or folder that nothing leads to divides nothing.
    """
    for file in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        try:
            text = read_text(file, MAX_BYTES_OF_ONE_IMAGE) if file.is_file() else ""
        except UsageError:
            continue
        if _IS_DATASET.search(text) and (found := _declared(text, file, root)) is not None:
            return found
    return None


def _declared(text: str, file: Path, root: Path) -> Declared | None:
    base = next(iter(_values(text, "path")), "")
    splits: dict[SplitName, frozenset[Path]] = {}
    folders: list[Path] = []
    files = [file]
    for split in _KEYS:
        images: set[Path] = set()
        values = _values(text, split) or (_values(text, "valid") if split == "val" else [])
        for value in values:
            place = _found(value, base, root)
            if place is None:
                continue
            if is_folder(place):
                images.add(place)
                folders.append(place)
                continue
            files.append(place)
            for number, line in numbered_lines(place):
                image = _found(line, base, root) or _found(line, str(place.parent.relative_to(root)), root)
                if image is None:  # missing where it should be
                    folder = _found(str(PurePosixPath(line.replace("\\", "/")).parent), base, root) or root
                    image = folder / file_name(line, f"'{place}' line {number}")
                elif image.parent not in folders:
                    folders.append(image.parent)
                images.add(image)
        if images and not any(images == other for other in splits.values()):
            splits[split] = frozenset(images)
    return Declared(splits, list(dict.fromkeys(folders)), files) if len(splits) > 1 else None


def _values(text: str, key: str) -> list[str]:
    """Return the text or the list of texts of a key at the left margin."""
    found = re.search(rf"^{key}[ \t]*:[ \t]*(.*)\n?((?:[ \t]*-[ \t].*\n?)*)", text, re.MULTILINE)
    if found is None:
        return []
    inline = re.sub(r"(?:^|[ \t])#.*", "", found[1]).strip()
    if inline.startswith("["):
        items = inline.strip("[]").split(",")
    elif inline:
        items = [inline]
    else:
        items = [re.sub(r"[ \t]#.*", "", line.strip()[1:]) for line in found[2].splitlines()]
    plain = (item.strip().strip(_QUOTES) for item in items)
    return [item for item in plain if item and item not in ("null", "~")]


def _found(value: str, base: str, root: Path) -> Path | None:
    """Return the folder or file that a path means, in or below `root`; None where none is there."""
    for place in _places(value.replace("\\", "/"), base.replace("\\", "/"), root):
        known = is_folder(place) or (is_file(place) and place.suffix.lower() in (".txt", *IMAGE_SUFFIXES))
        if known and (inside := _inside(place, root)) is not None:
            return inside
    return None


def _inside(place: Path, root: Path) -> Path | None:
    """Return a path as one below `root`; None for one that is not. A link in the dataset may lead out of it."""
    for absolute in (os.path.abspath, os.path.realpath):
        lies, above = Path(absolute(place)), Path(absolute(root))
        if lies.is_relative_to(above):
            return root / lies.relative_to(above)
    return None


def _places(value: str, base: str, root: Path) -> Iterator[Path]:
    yield root / base / value
    yield root / value
    parts = [part for part in Path(value).parts if part not in ("/", ".", "..") and not part.endswith(":")]
    for number in range(len(parts)):  # of another machine, or counted from another folder
        yield root.joinpath(*parts[number:])
