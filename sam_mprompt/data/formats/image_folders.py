"""Where the images lie that a folder's files annotate: in it, in `images/`, or below; and where labels of each lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..image import sort_folder

ANNOTATIONS = ("annotations", "Annotations", "labels", "ann")
"""Folders of annotation as tools call them."""

_IMAGES = ("images", "JPEGImages", "obj_train_data", "img")
"""Folders of images as most tools, Pascal VOC, CVAT's YOLO and Supervisely call them."""
_DEEPEST = 3
_MOST = 500  # folders that are looked into


def subsets(root: Path) -> dict[str, Path]:
    """Return the folders of images below `root/images/` by name, where that holds no image itself (as CVAT has it)."""
    inner = root / "images"
    if not inner.is_dir() or sort_folder(inner).images:
        return {}
    return {child.name: child for child in _below(inner) if sort_folder(child).images}


def image_folder(folder: Path) -> Path:
    """Return `images/` or the like, or the only folder below that, where they hold images; else the folder itself."""
    below = subsets(folder)
    if len(below) == 1:
        return next(iter(below.values()))
    called = (folder / name for name in _IMAGES)
    return next((place for place in called if sort_folder(place).images), folder)


def folders_below(folder: Path) -> list[Path]:
    """Return the folders of images up to three levels below one, those of annotation left out."""
    return [place for place in _walk(folder, _DEEPEST) if sort_folder(place).images]


def label_folders(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Return where annotation may lie for folders of images in or below `folder`, those that are there.

    That is `folder`, its `annotations/`, `labels/` and the like, and what answers to a folder of images there or beside
    it: `labels/train/` to `images/train/`, `train/labels/` to `train/images/`.
    """
    places = [folder, *(folder / name for name in ANNOTATIONS)]
    for place in images:
        if place == folder or folder not in place.parents:
            continue
        parts = place.relative_to(folder).parts
        for number, part in enumerate(parts):
            if part in _IMAGES:
                places += [folder.joinpath(*parts[:number], name, *parts[number + 1 :]) for name in ANNOTATIONS]
        places += [folder.joinpath(name, *parts) for name in ANNOTATIONS]
    return without_twins(places)


def without_twins(places: Sequence[Path]) -> list[Path]:
    """Return the folders that are there, one that a file system calls by two names once."""
    found: dict[tuple[int, int], Path] = {}
    for place in places:
        if place.is_dir():
            status = place.stat()
            found.setdefault((status.st_dev, status.st_ino), place)
    return list(found.values())


def files_in(place: Path) -> Iterator[Path]:
    """Yield what lies in a folder and is not hidden, folders too."""
    if place.is_dir():
        yield from (file for file in sorted(place.iterdir()) if not file.name.startswith("."))


def _walk(folder: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    level = [folder]
    for _ in range(depth):
        level = [child for place in level for child in _below(place) if child.name not in ANNOTATIONS]
        found += level
        if len(found) > _MOST:
            break
    return found[:_MOST]


def _below(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return []
    return [child for child in children if not child.name.startswith(".") and child.is_dir()]
