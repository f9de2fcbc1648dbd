"""The user's own annotated images: which image is in which split, and which marks are heads.

    crowd/  (or crowd/images/)        one of
      a.jpg                             a.txt, or a.json, beside each image or in `annotations/`
      b.png                             annotations.csv, annotations.jsonl, or a COCO file such as annotations.json
      ...
      train.txt  val.txt  test.txt    optional: names of images, one a line, with or without suffix

Without lists there may be folders `train`, `val` and `test` of that form, or `images/train` and so on with
`annotations/instances_train.json`; without either, all images are train (and val is carved from it), and there is no
test split. With lists but without `train.txt`, train is what no list names. Names of lists and folders count in any
case and in their usual variants (`Training`, `valid`, `validation`, `dev`, `testing`, `train_list`; `.list` as `.txt`).
Lists may lie in `splits/`, `lists/` or `ImageSets/Main/`. Without any, what the annotation itself states counts: a
column `split` of a table, `split` or `subset` of an image in JSON, CVAT's `subset`.
"""

from collections.abc import Sequence
from pathlib import Path

from ...errors import UsageError, listed
from ..image import IMAGE_SUFFIXES, sort_folder
from .annotation import Entries, Entry, SplitName
from .labels import Counts, decide
from .own_folder import Annotated, OwnFolder, subsets
from .splits import list_folders, split_called, split_folders, split_lists, the_only, unread
from .text import numbered_lines
from .tools.families import FAMILIES
from .tools.family import Family

_ALL = tuple(FAMILIES.values())


def is_own_points(root: Path, families: Sequence[Family] = _ALL) -> bool:
    """Whether `root` holds images and an annotation of at least one of them, or folders of splits that do."""
    return OwnFolder(root, families=families).annotated or any(_split_folders(root, families).values())


def tools_of(root: Path, families: Sequence[Family] = _ALL) -> list[str]:
    """Return the names of the families that the annotation of a folder of own images is of."""
    whole, found = OwnFolder(root, families=families), _split_folders(root, families)
    folders = [folder for some in found.values() for folder in some] or [whole]
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
        return _by_lists(whole, root, label)
    if whole.annotated:
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


def _by_lists(whole: OwnFolder, root: Path, label: str | None) -> Entries:
    """One folder of images, divided by the lists that lie beside them."""
    read = whole.annotations()
    entries = whole.entries(read, _decided([read], root, label))
    known = {entry.image: entry for entry in entries}
    inner = list_folders(root)
    lists = the_only(next(filter(None, map(split_lists, [root, *inner])), {}))
    named = {
        split: [whole.image(name, f"'{file}' line {number}") for number, name in _listed(file, whole)]
        for split, file in lists.items()
    }
    stated = _stated(read, root)
    if lists:
        _expect_agreement(named, stated, root)
    for image, split in stated.items() if not lists else ():
        if split != "train":
            named.setdefault(split, []).append(image)
    splits = {split: [known.get(image, Entry(image, None)) for image in images] for split, images in named.items()}
    if "train" not in splits:
        taken = {entry.image for listed in splits.values() for entry in listed}
        splits = {"train": [entry for entry in entries if entry.image not in taken], **splits}
    else:
        splits["train"] += [entry for entry in entries if entry.unused]
    _note_unused(splits, [root, *whole.places, *inner], {*whole.used, *lists.values()})
    splits["train"] += _other_folders(root, {*whole.places, *inner})
    return splits


def _expect_agreement(named: dict[SplitName, list[Path]], stated: dict[Path, SplitName], root: Path) -> None:
    """Refuse an image that a list puts into another split than its annotation."""
    for split, images in named.items():
        for image in images:
            if stated.get(image, split) != split:
                raise UsageError(
                    f"'{root}': '{image.name}' is in the {split} split by a list and in {stated[image]} by its "
                    "annotation: expected the same split, or one of them alone."
                )


def _stated(read: Annotated, root: Path) -> dict[Path, SplitName]:
    """Return the split of each image that the annotation itself states.

    What is not called as a split is (a set "A" or "B") divides otherwise and is passed over where none is; beside names
    of splits it is a UsageError.
    """
    called = {image: split_called(name) for image, name in read.splits.items()}
    if other := {read.splits[image] for image, split in called.items() if split is None}:
        if len(other) < len(set(read.splits.values())):
            names = listed(sorted(set(read.splits.values())))
            raise UsageError(f"'{root}': its images are of the splits {names}: expected train, val and test alone.")
        return {}
    return {image: split for image, split in called.items() if split is not None}


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
    return folder.image_folder if folder.folder == root else folder.folder


def _decided(read: list[Annotated], root: Path, label: str | None) -> Counts:
    labels = {name for annotated in read for name in annotated.labels}
    listed = {name for annotated in read for name in annotated.listed}
    return decide(labels, f"'{root}'", listed_only=listed, label=label)


def _note_unused(splits: Entries, folders: list[Path], used: set[Path]) -> None:
    splits[next(iter(splits))] += unread(folders, used)


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
