"""What splits, their lists and their folders are called, and which files of a dataset nothing reads."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .annotation import SPLIT_NAMES, Entry, SplitName

LIST_SUFFIXES = (".txt", ".list", ".lst")
"""Suffixes, in lower case, of the files that name a split's images."""

_CALLED: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_AROUND = {"list", "lists", "file", "files", "image", "images", "img", "names", "set", "split", "data"}
"""Words that lists and folders have beside the split's name, as in `train_list.txt`."""

_LIST_FOLDERS = ("split", "splits", "list", "lists", "imagesets", "main")
TEXT_SUFFIXES = {*LIST_SUFFIXES, ".csv", ".tsv", ".json", ".jsonl", ".xml", ".geojson", ".pnt", ".roi", ".mat"}
"""Suffixes of files that are named where nothing reads them."""
_ABOUT = ("readme", "license", "licence", "classes", "changelog", "citation", "notes")


def split_called(name: str) -> SplitName | None:
    """Return the split that a list or folder of this name is for, in any case, also `train_list`; None for none."""
    if (exactly := _exactly(name)) is not None:
        return exactly
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word not in _AROUND]
    return _exactly(words[0]) if len(words) == 1 else None


def _exactly(name: str) -> SplitName | None:
    return next((split for split in SPLIT_NAMES if name.casefold() in _CALLED[split]), None)


def stated_split(content: Mapping[str, Any]) -> str:
    """Return the split that an object of a foreign file states for its image, empty where it states none."""
    return next((value for key in ("split", "subset") if isinstance(value := content.get(key), str)), "").strip()


def split_lists(root: Path) -> dict[SplitName, list[Path]]:
    """Return the files in `root` that name the images of each split, such as `Train.txt` or `test_list.txt`."""
    files = (path for path in _children(root) if path.suffix.lower() in LIST_SUFFIXES and path.is_file())
    return _by_split((path.stem, path) for path in files)


def list_folders(root: Path) -> list[Path]:
    """Return the folders below `root` that hold lists by their name: `splits`, Pascal VOC's `ImageSets/Main`."""
    below = [path for path in _children(root) if path.is_dir() and path.name.casefold() in _LIST_FOLDERS]
    return below + [inner for path in below for inner in list_folders(path)]


def split_folders(root: Path) -> dict[SplitName, list[Path]]:
    """Return the folders in `root` that are called as each split is, such as `train` or `Validation`."""
    return _by_split((path.name, path) for path in _children(root) if path.is_dir())


def the_only(found: dict[SplitName, list[Path]]) -> dict[SplitName, Path]:
    """Return the list or folder of each split. Raises UsageError where a split has two."""
    for split, paths in found.items():
        if len(paths) > 1:
            raise UsageError(
                f"Expected one list or folder for the {split} split in '{paths[0].parent}'; "
                f"found '{paths[0].name}' and '{paths[1].name}'. Move one of them away."
            )
    return {split: paths[0] for split, paths in found.items()}


def unread(folders: Iterable[Path], used: Iterable[Path]) -> list[Entry]:
    """Return an entry for each text file directly in the folders that nothing used and that is no readme or licence."""
    known = set(used)
    files = [path for folder in dict.fromkeys(folders) for path in _children(folder)]
    return [
        Entry(path, None, unused=True)
        for path in files
        if path.suffix.lower() in TEXT_SUFFIXES
        and path not in known
        and not path.name.casefold().startswith(_ABOUT)
        and path.is_file()
    ]


def _by_split(named: Iterable[tuple[str, Path]]) -> dict[SplitName, list[Path]]:
    found: dict[SplitName, list[Path]] = {}
    for name, path in named:
        if (split := split_called(name)) is not None:
            found.setdefault(split, []).append(path)
    for split, paths in found.items():  # `train.txt` comes before `train_list.txt`, which is then named as unread
        found[split] = [path for path in paths if _exactly(path.stem) or _exactly(path.name)] or paths
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
