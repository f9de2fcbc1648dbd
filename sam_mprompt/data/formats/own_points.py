"""The user's own annotated images: which image is in which split, and which marks are heads.

    crowd/  (or crowd/images/)        one of
      a.jpg                             a.txt, or a.json, beside each image or in `annotations/`
      b.png                             annotations.csv, annotations.jsonl, or a COCO file such as annotations.json
      ...
      train.txt  val.txt  test.txt    optional: names of images, one a line, with or without suffix

Without lists there may be folders `train`, `val` and `test` of that form, or `images/train` and so on with
`annotations/instances_train.json`, or folders of images alone with one file above that annotates them all (CVAT's
projects), or YOLO's data.yaml that names folders or lists, or what the annotation itself states (a column `split` of a
table, `split` or `subset` of an image in JSON, CVAT's `subset`); without any, all images are train (and val is carved
from it), and there is no test split. With lists but without `train.txt`, train is what no list names. Names of lists
and folders count in any case and in their usual variants (`Training`, `valid`, `validation`, `dev`, `testing`,
`train_list`; `.list` as `.txt`). Lists may lie in `splits/`, `lists/` or `ImageSets/Main/`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import UsageError
from ..image import IMAGE_SUFFIXES, sort_folder
from .annotation import SPLIT_NAMES, Entries, Entry, SplitName
from .image_folders import folders_below, subsets
from .labels import Counts, decide
from .own_folder import Annotated, OwnFolder
from .splits import list_folders, split_called, split_folders, split_lists, the_only, unread
from .stated import expect_agreement, of_splits, stated_splits
from .text import numbered_lines
from .tools.families import FAMILIES
from .tools.family import Family
from .tools.yolo_splits import Declared, declared_splits

_ALL = tuple(FAMILIES.values())
_DEFAULT = "default"


def is_own_points(root: Path, families: Sequence[Family] = _ALL) -> bool:
    """Whether `root` holds images and an annotation of at least one of them, or folders of splits that do."""
    if OwnFolder(root, families=families).annotated or any(_split_folders(root, families).values()):
        return True
    try:
        declared = declared_splits(root)
    except UsageError:
        return True  # reading it says why
    return declared is not None and OwnFolder(root, declared.folders, families, declared.files).annotated


def tools_of(root: Path, families: Sequence[Family] = _ALL) -> list[str]:
    """Return the names of the families that the annotation of a folder of own images is of."""
    whole, found = OwnFolder(root, families=families), _split_folders(root, families)
    folders = [folder for some in found.values() for folder in some] or [whole]
    if not found and (declared := declared_splits(root)):
        folders = [OwnFolder(root, declared.folders, families, declared.files)]
    return sorted(frozenset().union(*(folder.tools for folder in folders)))


def own_points(root: Path, label: str | None = None, families: Sequence[Family] = _ALL) -> Entries:
    """List the user's own images by split, with those that a list or an annotation names although they are not there.

    Args:
        root: the dataset's folder.
        label: the label of heads, where marks have labels and none is called head or person.
        families: the tools whose files are read.

    Raises:
        UsageError: an ambiguous layout, a malformed file, or several labels; the message names what is in conflict.
    """
    whole, found = OwnFolder(root, families=families), _split_folders(root, families)
    if not found:
        declared = declared_splits(root)
        return _declared(declared, root, label, families) if declared else _undivided(whole, root, label)
    if whole.annotated and not whole.spread:
        raise UsageError(
            f"Expected annotated images either in '{root}' or in its folders 'train', 'val' and 'test'; "
            "found both. Move one of them away."
        )
    folders = {split: folder for split, (folder, *_) in found.items()}
    the_only({split: [_place(folder, root) for folder in some] for split, some in found.items()})
    read = {split: folder.annotations() for split, folder in folders.items()}
    counts = _decided(list(read.values()), root, label)
    splits = {split: folder.entries(read[split], counts) for split, folder in folders.items()}
    used = {file for folder in folders.values() for file in folder.used}
    _note_unused(splits, [root, *(place for folder in folders.values() for place in folder.places)], used)
    known = {place for folder in folders.values() for place in (folder.folder, *folder.places)}
    splits[next(iter(splits))] += _other_folders(root, known)
    return splits


def _undivided(whole: OwnFolder, root: Path, label: str | None) -> Entries:
    """One annotation of all images, divided by lists or by the folders in which the images lie."""
    read = whole.annotations()
    entries = whole.entries(read, _decided([read], root, label))
    inner = list_folders(root)
    lists = the_only(next(filter(None, map(split_lists, [root, *inner])), {}))
    stated = stated_splits(read.splits, f"'{root}'")
    used = {*whole.used, *lists.values()}
    folders = _by_names({entry.image.parent for entry in entries if not entry.unused} if whole.spread else (), root)
    if folders and not lists:
        splits = _by_folders(entries, folders)
    else:
        splits = _by_images(entries, of_splits(stated) | _listed_images(lists, whole))
    expect_agreement(splits, stated, f"'{root}'")
    _note_unused(splits, [root, *whole.places, *inner], used)
    splits[next(iter(splits))] += _other_folders(root, {*whole.places, *whole.image_folders, *inner})
    return splits


def _by_folders(entries: Sequence[Entry], folders: Mapping[SplitName, Sequence[Path]]) -> Entries:
    """Divide entries by the folders of their images; a folder of no split is named as unused."""
    splits: Entries = {
        split: [e for e in entries if e.image.parent in own and not e.unused] for split, own in folders.items()
    }
    named = {place for own in folders.values() for place in own}
    others = {entry.image.parent for entry in entries if not entry.unused} - named
    splits[next(iter(splits))] += [entry for entry in entries if entry.unused]
    splits[next(iter(splits))] += [Entry(place, None, unused=True) for place in sorted(others)]
    return splits


def _by_names(places: Iterable[Path], root: Path) -> dict[SplitName, list[Path]]:
    """Return the folders of images of each split by their names; none where no name says one.

    What is called `default`, as CVAT calls what is in no subset, is train where nothing else is.
    """
    found: dict[SplitName, list[Path]] = {}
    rest = []
    for place in sorted(places):
        called = (split_called(part) for part in place.relative_to(root).parts)
        split = next((name for name in called if name is not None), None)
        if split is None:
            rest.append(place)
        else:
            found.setdefault(split, []).append(place)
    if found and "train" not in found and (default := [place for place in rest if place.name == _DEFAULT]):
        found["train"] = default
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def _declared(declared: Declared, root: Path, label: str | None, families: Sequence[Family]) -> Entries:
    """The splits that data.yaml names, as folders or as lists of images; what is in none of them is named."""
    whole = OwnFolder(root, declared.folders, families, declared.files)
    read = whole.annotations()
    entries = whole.entries(read, _decided([read], root, label))
    splits: Entries = {}
    for split, images in declared.splits.items():
        splits[split] = [e for e in entries if not e.unused and (e.image in images or e.image.parent in images)]
        there = {entry.image for entry in splits[split]}
        missing = (image for image in images if image.suffix.lower() in IMAGE_SUFFIXES and image not in there)
        splits[split] += [Entry(image, None) for image in sorted(missing)]
    taken = {entry.image for some in splits.values() for entry in some}
    left = [replace(entry, unused=True) for entry in entries if not entry.unused and entry.image not in taken]
    splits[next(iter(splits))] += [*left, *(entry for entry in entries if entry.unused)]
    others = [place for place in folders_below(root) if place not in declared.folders]
    splits[next(iter(splits))] += [Entry(place, None, unused=True) for place in others]
    _note_unused(splits, [root, *whole.places], {*whole.used, *declared.files})
    return splits


def _by_images(entries: list[Entry], named: Mapping[SplitName, Sequence[Path]]) -> Entries:
    """Divide entries by the images of each split; train without any is what no other split has."""
    known = {entry.image: entry for entry in entries}
    splits = {split: [known.get(image, Entry(image, None)) for image in images] for split, images in named.items()}
    if "train" not in splits:
        taken = {image for images in named.values() for image in images}
        return {"train": [entry for entry in entries if entry.image not in taken], **splits}
    splits["train"] += [entry for entry in entries if entry.unused]
    return splits


def _listed_images(lists: Mapping[SplitName, Path], whole: OwnFolder) -> dict[SplitName, list[Path]]:
    return {
        split: [whole.image(name, f"'{file}' line {number}") for number, name in _listed(file, whole)]
        for split, file in lists.items()
    }


def _listed(file: Path, whole: OwnFolder) -> list[tuple[int, str]]:
    """Return (line number, name) of each line of a list; `#` begins a comment unless an image is called so."""
    lines = [
        (n, line) for n, line in numbered_lines(file, comments=False) if not line.startswith("#") or whole.has(line)
    ]
    return [(number, _name(line, whole)) for number, line in lines]


def _name(line: str, whole: OwnFolder) -> str:
    """Return the image of a line, which may name the image's annotation behind it (as lists of P2PNet do)."""
    first = line.split(maxsplit=1)[0]
    alone = whole.has(line) or Path(first).suffix.lower() not in IMAGE_SUFFIXES
    return line if alone else first


def _place(folder: OwnFolder, root: Path) -> Path:
    return folder.image_folders[0] if folder.folder == root else folder.folder


def _decided(read: list[Annotated], root: Path, label: str | None) -> Counts:
    labels = {name for annotated in read for name in annotated.labels}
    listed = {name for annotated in read for name in annotated.listed}
    return decide(labels, f"'{root}'", listed_only=listed, label=label)


def _note_unused(splits: Entries, folders: list[Path], used: set[Path]) -> None:
    first = splits[next(iter(splits))]
    noted = {entry.image for some in splits.values() for entry in some if entry.unused}
    first += unread(folders, {*used, *noted})


def _split_folders(root: Path, families: Sequence[Family]) -> dict[SplitName, list[OwnFolder]]:
    """Return the annotated folders of each split: `train/` with its images, or the images in `images/train/`."""
    own = {
        split: [OwnFolder(place, families=families) for place in places]
        for split, places in split_folders(root).items()
    }
    found = {split: annotated for split, some in own.items() if (annotated := [f for f in some if f.annotated])}
    if found:
        return found
    below = subsets(root)
    parts: dict[SplitName, list[OwnFolder]] = {}
    if len(below) > 1:
        for name, images in below.items():
            if (split := split_called(name)) is not None and (folder := OwnFolder(root, images, families)).annotated:
                parts.setdefault(split, []).append(folder)
    return parts


def _other_folders(root: Path, known: set[Path]) -> list[Entry]:
    """Return an entry for each folder that holds images or text of annotation, none of which is read."""
    places = [p for p in (*root.iterdir(), *subsets(root).values()) if p.is_dir() and not p.name.startswith(".")]
    other = [p for p in sorted(places) if not any(place == p or p in place.parents for place in known)]
    return [Entry(p, None, unused=True) for p in other if sort_folder(p).images or unread([p], ())]
