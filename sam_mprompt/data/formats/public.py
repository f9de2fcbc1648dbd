"""The public crowd benchmarks as they lie on disk: one function a format lists its splits without opening an image."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import UsageError
from ..image import images_in, natural_order, sort_folder
from .annotation import SPLIT_NAMES, Annotation, Entries, Entry, SplitName
from .parsing import number_rows, read_mat, table
from .splits import split_called, split_folders, split_lists, the_only
from .text import numbered_lines, read_json

UCF50_FOLDS = 5
"""Number of folds of UCF_CC_50, of ten images each."""

_UCF50_IMAGES = 50
_OFFICIAL_PART_A = {"train": 300, "test": 182}  # images
_IN_TRAIN = {f"IMG_{number}" for number in (40, 82, 98, 142, 173, 181)}

_Attributes = Mapping[str, str | int | float]


def is_shanghaitech(root: Path) -> bool:
    """Whether `root` is one part of ShanghaiTech."""
    return any((folder / "images").is_dir() for folders in _data_folders(root).values() for folder in folders)


def _data_folders(root: Path) -> dict[SplitName, list[Path]]:
    """Return the folders called `train_data`, `test_data` and so on, by split."""
    found: dict[SplitName, list[Path]] = {}
    for folder in sorted(root.glob("*_[dD][aA][tT][aA]")):
        split = split_called(folder.name[: -len("_data")])
        if split is not None and folder.is_dir():
            found.setdefault(split, []).append(folder)
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def shanghaitech(root: Path) -> Entries:
    """ShanghaiTech part A or B: `train_data|test_data/{images/IMG_n.jpg, ground-truth|ground_truth/GT_IMG_n.mat}`.

    Six of the official part A's test images have near-duplicates in train; their attribute `in_train` is "yes", so that
    figures without them are those of the group "no".
    """
    splits: Entries = {}
    for split, folder in the_only(_data_folders(root)).items():
        annotations = _files(folder / "ground-truth", r"GT_(.+)\.mat")
        annotations |= _files(folder / "ground_truth", r"GT_(.+)\.mat")
        splits[split] = _paired(folder / "images", annotations, shanghaitech_points)
    if {split: len(entries) for split, entries in splits.items()} == _OFFICIAL_PART_A:
        splits["test"] = [
            replace(entry, attributes={"in_train": "yes" if entry.image.stem in _IN_TRAIN else "no"})
            for entry in splits["test"]
        ]
    return splits


def shanghaitech_points(path: Path) -> Annotation:
    """Read one `.mat` of ShanghaiTech. Raises UsageError where it is malformed."""
    info = read_mat(path, "image_info")
    try:
        location = info[0, 0]["location"][0, 0]
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"'{path}' has no points at image_info[0,0]['location'][0,0], as ShanghaiTech has.") from error
    stated = None
    with suppress(IndexError, KeyError, ValueError, TypeError, OverflowError):
        stated = int(np.ravel(info[0, 0]["number"][0, 0])[0])
    return Annotation(table(location, "x y", f"'{path}' location"), stated=stated)


def is_qnrf(root: Path) -> bool:
    """Whether `root` is UCF-QNRF."""
    folders = (folder for some in split_folders(root).values() for folder in some)
    return any(_files(folder, r"(.+)_ann\.mat") for folder in folders)


def qnrf(root: Path) -> Entries:
    """UCF-QNRF: `Train|Test/{img_0001.jpg, img_0001_ann.mat}`."""
    return {
        split: _paired(folder, _files(folder, r"(.+)_ann\.mat"), _ann_points)
        for split, folder in the_only(split_folders(root)).items()
    }


def is_ucf50(root: Path) -> bool:
    """Whether `root` is UCF_CC_50."""
    return bool(_files(root, r"(\d+)_ann\.mat"))


def ucf50(root: Path, fold: int) -> Entries:
    """UCF_CC_50: flat `1.jpg` to `50.jpg` with `1_ann.mat` to `50_ann.mat`.

    Fold 1 tests on images 1 to 10 and trains on the others, fold 2 tests on images 11 to 20, and so on to fold 5.
    """
    size = _UCF50_IMAGES // UCF50_FOLDS
    annotations = _files(root, r"(\d+)_ann\.mat")
    images = {image.stem: image for image in images_in(root)}
    splits: Entries = {"train": [], "test": []}
    for number in range(1, _UCF50_IMAGES + 1):
        name = str(number)
        annotation = annotations.get(name)
        split: SplitName = "test" if (number - 1) // size == fold - 1 else "train"
        read = partial(_ann_points, annotation) if annotation else None
        splits[split].append(Entry(images.get(name, root / f"{name}.jpg"), read, official=True))
    numbered = {entry.image for entries in splits.values() for entry in entries}
    others = [image for image in images_in(root) if image not in numbered]
    splits["train"] += [Entry(image, None, unused=True) for image in (*others, *sort_folder(root).passed_over)]
    return splits


def _ann_points(path: Path) -> Annotation:
    return Annotation(table(read_mat(path, "annPoints"), "x y", f"'{path}' annPoints"))


def is_nwpu(root: Path) -> bool:
    """Whether `root` is NWPU-Crowd."""
    return bool(split_lists(root)) and (root / "jsons").is_dir() and bool(_nwpu_image_folders(root))


def nwpu(root: Path) -> Entries:
    """NWPU-Crowd: `images/0001.jpg` (or `images_part1`...`5`), `jsons/0001.json`, and a list for each split.

    Attributes: luminance 0 to 2 and level 0 to 4. The annotations of the test split are not public: there, `hidden`.
    """
    images = {image.stem: image for folder in _nwpu_image_folders(root) for image in images_in(folder)}
    annotations = _files(root / "jsons", r"(.+)\.json")
    splits: Entries = {}
    for split, file in the_only(split_lists(root)).items():
        splits[split] = []
        for number, line in numbered_lines(file):
            name, attributes = _nwpu_line(line, f"'{file}' line {number}")
            image = images.get(name, root / "images" / f"{name}.jpg")
            annotation = partial(_nwpu_annotation, annotations[name]) if name in annotations else None
            splits[split].append(Entry(image, annotation, attributes, hidden=split == "test", official=True))
    return splits


def _nwpu_image_folders(root: Path) -> list[Path]:
    return [folder for folder in (root / "images", *sorted(root.glob("images_part*"))) if folder.is_dir()]


def _nwpu_line(line: str, where: str) -> tuple[str, _Attributes]:
    name, *labels = line.split()
    if len(labels) == 0:
        return name, {}
    if len(labels) != 2 or not all(_is_small_number(label) for label in labels):
        raise UsageError(f"{where}: expected 'id luminance level' or 'id'; received {line!r:.80}.")
    return name, {"luminance": int(labels[0]), "level": int(labels[1])}


def _nwpu_annotation(path: Path) -> Annotation:
    content = read_json(path)
    if not isinstance(content, dict) or "points" not in content:
        raise UsageError(f"'{path}': expected an object with 'points' and 'boxes', as NWPU-Crowd has.")
    boxes, stated = content.get("boxes"), content.get("human_num")
    return Annotation(
        table(content["points"], "x y", f"'{path}' points"),
        None if boxes is None else table(boxes, "x1 y1 x2 y2", f"'{path}' boxes"),
        stated=stated if isinstance(stated, int) else None,
    )


def is_jhu(root: Path) -> bool:
    """Whether `root` is JHU-Crowd++."""
    folders = (folder for some in split_folders(root).values() for folder in some)
    return any((folder / "images").is_dir() and (folder / "gt").is_dir() for folder in folders)


def jhu(root: Path) -> Entries:
    """JHU-Crowd++: `train|val|test/{images/0001.jpg, gt/0001.txt, image_labels.txt}`.

    Boxes are width and height around the head's centre. Attributes: scene, weather (0 none, 1 fog, 2 rain, 3 snow) and
    distractor (1: a scene without people that looks like a crowd).
    """
    splits: Entries = {}
    for split, folder in the_only(split_folders(root)).items():
        labels, stated = _jhu_labels(folder / "image_labels.txt")
        read = partial(_jhu_heads, stated=stated)
        splits[split] = _paired(folder / "images", _files(folder / "gt", r"(.+)\.txt"), read, labels)
    return splits


def _jhu_heads(path: Path, stated: Mapping[str, int]) -> Annotation:
    rows = number_rows(path, "x y w h occlusion blur")
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.hstack([centre - half, centre + half])
    return Annotation(centre, boxes, stated=stated.get(path.stem))


def _jhu_labels(path: Path) -> tuple[dict[str, _Attributes], dict[str, int]]:
    """Return attributes and stated number of heads by image."""
    labels: dict[str, _Attributes] = {}
    stated: dict[str, int] = {}
    if not path.is_file():
        return labels, stated
    for number, line in numbered_lines(path):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 5 or not (_is_small_number(cells[3]) and _is_small_number(cells[4])):
            raise UsageError(
                f"'{path}' line {number}: expected 'id,count,scene,weather,distractor'; received {line!r:.80}."
            )
        labels[cells[0]] = {"scene": cells[2], "weather": int(cells[3]), "distractor": int(cells[4])}
        if _is_small_number(cells[1]):
            stated[cells[0]] = int(cells[1])
    return labels, stated


def _is_small_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _files(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files of a folder whose whole name matches, by the name of the image that the pattern captures."""
    if not folder.is_dir():
        return {}
    matches = ((re.fullmatch(pattern, file.name), file) for file in folder.iterdir())
    return {match[1]: file for match, file in matches if match and not file.name.startswith(".")}


def _paired(
    folder: Path,
    annotations: Mapping[str, Path],
    read: Callable[[Path], Annotation],
    attributes: Mapping[str, _Attributes] | None = None,
) -> list[Entry]:
    """Match images and annotations by name; where one of the two is missing the entry says so."""
    listed, passed_over = sort_folder(folder)
    images = {image.stem: image for image in reversed(listed)}  # of two of one name the first; the other is unused
    entries = []
    for name in images.keys() | annotations.keys():
        annotation = partial(read, annotations[name]) if name in annotations else None
        image = images.get(name, folder / f"{name}.jpg")
        entries.append(Entry(image, annotation, (attributes or {}).get(name, {}), official=True))
    unused = [image for image in listed if images[image.stem] != image] + passed_over
    entries.sort(key=lambda entry: natural_order(entry.image))
    return entries + [Entry(image, None, unused=True) for image in unused]
