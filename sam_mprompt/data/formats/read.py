"""A dataset's folder -> samples: which format it is, and what is in a split."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import UsageError, did_you_mean
from ...files import is_file, is_folder
from ...recipe.columns import parse_columns
from ..bounds import Reading
from ..image import HEIC_SUFFIXES, sort_folder
from . import own_points, public
from .entries import SPLIT_NAMES, Entries, Problems, Split, SplitName, carve, collect
from .image_folders import files_in
from .splits import split_lists, unread
from .tools.families import FAMILIES, with_columns
from .tools.family import Family
from .tools.labelme import LABELME, embedded_image

__all__ = ["FORMATS", "Format", "Problems", "Split", "list_splits", "read_split", "recognise"]

_USUAL = Reading()


_TABLES = ("points", "csv")


@dataclass(frozen=True)
class Format:
    """One way in which datasets lie on disk.

    Attributes:
        looks_like: the files that it is recognised by, for messages.
        recognises: whether a folder is of this format.
        splits: lists the entries of each split that the dataset defines, without opening images.
        folds: number of folds that `splits` takes as a second argument; 1 when it takes none.
        lists: whether lists in the folder name the images of each split.
        labels: whether marks may have labels, of which `splits` takes the one that counts as a second argument; such a
            format tells itself which files nothing reads.
    """

    looks_like: str
    recognises: Callable[[Path], bool]
    splits: Callable[..., Entries]
    folds: int = 1
    lists: bool = False
    labels: bool = False


def _holds_its_image(file: Path) -> bool:
    try:
        return LABELME.kind_of(file) is not None and embedded_image(file) is not None
    except UsageError:
        return False


def _of_tool(family: Family) -> Format:
    """The user's own images, of whose files only those of one tool are read."""
    return Format(
        family.looks_like,
        partial(own_points.is_own_points, families=[family]),
        partial(own_points.own_points, families=[family]),
        labels=True,
    )


FORMATS: dict[str, Format] = {
    "shanghaitech": Format("train_data/images/", public.is_shanghaitech, public.shanghaitech),
    "qnrf": Format("Train/*_ann.mat", public.is_qnrf, public.qnrf),
    "nwpu": Format("images/, jsons/ and train.txt", public.is_nwpu, public.nwpu, lists=True),
    "jhu": Format("train/images/ and train/gt/", public.is_jhu, public.jhu),
    "ucf50": Format("1_ann.mat", public.is_ucf50, public.ucf50, public.UCF50_FOLDS),
    "points": Format(
        f"images with .txt or .json beside them, annotations.csv, or the files of {', '.join(FAMILIES)}",
        own_points.is_own_points,
        own_points.own_points,
        labels=True,
    ),
    **{name: _of_tool(family) for name, family in FAMILIES.items()},
}
"""The formats by name, in the order in which they are tried: `points` are the user's own images whatever they were
annotated with; behind it are the tools one by one, to choose one where the files of several lie together."""


def recognise(root: Path) -> str:
    """Return the name of the format of a dataset's folder.

    Raises:
        UsageError: no such folder, or no format fits; the message lists what was looked for, and names the right
            folder when it is up to two levels above or below.
    """
    _check_folder(root)
    if name := _format_of(root):
        return name
    looked_for = "; ".join(f"{name} ({form.looks_like})" for name, form in FORMATS.items() if name not in FAMILIES)
    message = f"Cannot tell the format of '{root}'.{_nearby(root)} Looked for {looked_for}."
    places = (root, root / "images")
    if any(file.suffix.lower() in HEIC_SUFFIXES for place in places for file in sort_folder(place).passed_over):
        raise UsageError(f"{message} Its HEIC photographs need the package 'pillow-heif'.", about="extra", extra="heic")
    if any(_holds_its_image(file) for place in places for file in files_in(place)):
        raise UsageError(f"{message} Its .json files of labelme hold their images.", about="embedded images", root=root)
    raise UsageError(message)


def list_splits(
    root: Path,
    *,
    format: str | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    fold: int = 1,
    label: str | None = None,
    columns: str = "",
) -> tuple[str, Entries, bool]:
    """Return (format, the entries of each split, whether val is carved from train), without opening images.

    Arguments and errors are those of `read_split`. The splits share no image.
    """
    if not 0 <= val_fraction < 1:
        raise UsageError(f"Expected a val_fraction of at least 0 and below 1; received {val_fraction}.")
    if format is None and columns:
        format = "points"
    if format is None:
        format = recognise(root)
    elif format not in FORMATS:
        raise UsageError(f"Unknown format '{format}'; expected {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}")
    else:
        _check_folder(root)
        if not columns and not FORMATS[format].recognises(root):
            other = f" It looks like format '{name}'." if (name := _format_of(root)) else _nearby(root)
            raise UsageError(f"'{root}' is not of format '{format}': expected {FORMATS[format].looks_like}.{other}")
    form = FORMATS[format]
    if not 1 <= fold <= form.folds:
        expected = f"a fold of 1 to {form.folds}" if form.folds > 1 else "no fold but 1"
        raise UsageError(f"Expected {expected} for format '{format}'; received {fold}.")
    if label is not None and not form.labels:
        raise UsageError(
            f"Expected no label for format '{format}', whose heads have none; received '{label}'.", about="no labels"
        )
    splits = _with_columns(format, root, label, columns) if columns else _splits(form, root, fold, label)
    _check_disjoint(splits, root)
    carved = "val" not in splits and "train" in splits
    if carved:
        splits["train"], splits["val"] = carve(splits["train"], fraction=val_fraction, seed=seed)
    return format, {name: splits[name] for name in SPLIT_NAMES if name in splits}, carved


def read_split(
    root: Path,
    split: SplitName,
    *,
    format: str | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    fold: int = 1,
    label: str | None = None,
    columns: str = "",
    reading: Reading = _USUAL,
) -> Split:
    """Read one split of a dataset: image headers and annotations, no pixels.

    Images without annotation, missing and unreadable ones are left out and stand in the problems, as do points outside
    their image. Samples of NWPU-Crowd's test split, whose annotations are not public, have `points` None.

    Args:
        root: the dataset's folder (for ShanghaiTech that of one part).
        split: "train", "val" or "test".
        format: a name of `FORMATS`; recognised from the folder when None.
        val_fraction: share of train that becomes val where the dataset has no val split (shanghaitech, qnrf, ucf50,
            points without one); train then excludes it. 0 leaves val empty.
        seed: chooses which images are carved; the same seed always chooses the same ones, in any order of listing.
        fold: of ucf50, 1 to 5: fold 1 tests on images 1 to 10, fold 2 on 11 to 20, and so on.
        label: of points, the label whose marks are heads; None for those called head or person, or the only one.
        columns: of points, which columns of a table are which, such as `x=cx,y=cy,image=photo` (`recipe.columns`);
            empty where they have the usual names.
        reading: which images are too large to be decoded.

    Raises:
        UsageError: the folder, the format or the split does not exist, two splits share an image, an annotation file
            is malformed, or no image of a split that should have some is usable.
    """
    root = Path(root)
    if split not in SPLIT_NAMES:
        raise UsageError(
            f"Expected a split of train, val or test; received '{split}'.{did_you_mean(split, SPLIT_NAMES)}"
        )
    format, splits, carved = list_splits(
        root, format=format, val_fraction=val_fraction, seed=seed, fold=fold, label=label, columns=columns
    )
    if split not in splits:
        own = " Name its images in 'test.txt', one a line, to make one." if format == "points" else ""
        raise UsageError(f"'{root}' has no {split} split, only {' and '.join(splits)}.{own}")
    samples, problems = collect(splits[split], reading)
    if problems.malformed:
        first, more = next(iter(problems.malformed.values())), len(problems.malformed) - 1
        raise UsageError(f"{first} {more} more are like it." if more else first, about="data", root=root)
    if not samples and (splits[split] or not (carved and split == "val")):
        raise UsageError(
            f"No usable image in the {split} split of '{root}': {'; '.join(problems.lines()) or 'it is empty'}.",
            about="data",
            root=root,
        )
    return Split(samples, problems, format, carved and split != "test")


def _with_columns(format: str, root: Path, label: str | None, columns: str) -> Entries:
    """List the user's own images of which a table has columns that the user names."""
    if format not in _TABLES:
        raise UsageError(
            f"Expected no names of columns for format '{format}', which has no table; received '{columns}'."
        )
    try:
        chosen = parse_columns(columns)
    except ValueError as error:
        raise UsageError(f"data.columns: {error}") from error
    families = with_columns(FAMILIES.values() if format == "points" else [FAMILIES[format]], chosen)
    if "csv" not in own_points.tools_of(root, families):
        raise UsageError(f"data.columns = '{columns}' names columns of a table; '{root}' has no .csv with them.")
    return own_points.own_points(root, label, families)


def tools_of(root: Path, format: str) -> tuple[str, ...]:
    """Return the names of the families that a folder of own images is annotated with; none of a benchmark."""
    if not FORMATS[format].labels:
        return ()
    return tuple(own_points.tools_of(root, [FAMILIES[format]] if format in FAMILIES else tuple(FAMILIES.values())))


def _splits(form: Format, root: Path, fold: int, label: str | None) -> Entries:
    if form.labels:
        return form.splits(root, label)
    splits = form.splits(root, fold) if form.folds > 1 else form.splits(root)
    lists = [file for files in split_lists(root).values() for file in files] if form.lists else []
    if splits:
        splits[next(iter(splits))] += unread([root], lists)
    return splits


def _check_folder(root: Path) -> None:
    if not is_folder(root):
        what = "a file" if is_file(root) else "nothing"
        siblings = [path.name for path in _folders(root.parent)]
        raise UsageError(f"Expected a dataset's folder at '{root}'; found {what}.{did_you_mean(root.name, siblings)}")


def _check_disjoint(splits: Entries, root: Path) -> None:
    owner: dict[Path, SplitName] = {}
    for split, entries in splits.items():
        for entry in entries:
            if owner.setdefault(entry.image, split) != split:
                raise UsageError(
                    f"Image '{entry.image.name}' is in the {owner[entry.image]} and the {split} split of '{root}'. "
                    "Remove it from one of them: figures on seen images mean nothing."
                )


def _format_of(root: Path) -> str | None:
    return next((name for name, form in FORMATS.items() if name not in FAMILIES and form.recognises(root)), None)


def _nearby(root: Path) -> str:
    """Return a hint with the folders of a known format one or two levels below, else above."""
    children = _folders(root)
    below = [path for path in children if _format_of(path)]
    below = below or [path for child in children for path in _folders(child) if _format_of(path)]
    above = [path for path in list(root.resolve().parents)[:2] if _format_of(path)]
    found = below or above[:1]
    if not found:
        return ""
    named = [f"'{path}' ({_format_of(path)})" for path in found[:3]]
    return f" Did you mean {' or '.join(named)}?"


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
