"""Everything about a split that is not as it should be, and the lines that tell a user."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

_NOTES = frozenset({"turned", "more_pages", "official_repeats", "other_labels", "readings"})
_HARMLESS = _NOTES | {"unused", "heic", "rescaled", "miscounted", "groups", "copies"}


@dataclass
class Problems:
    """Everything about a split that is not as it should be; true when something was left out, dropped or changed.

    Attributes:
        missing_annotations: images without an annotation.
        missing_images: images that a list or an annotation names, but that are not there.
        embedded: images that are no files, but are held by the file of their annotation (labelme's `imageData`).
        unreadable: image -> why it cannot be read.
        malformed: image -> what is wrong in the file of its annotation.
        misframed: image -> in which other frame its annotation was made; left out.
        shares: images whose points seem to be shares of the image (0 to 1) instead of pixels; left out.
        swapped: image -> why its points seem to be (y, x) instead of (x, y); left out, unless a published benchmark's.
        rescaled: images whose annotation was made on the same picture at another size; scaled.
        points_outside: image -> number of points outside its frame (or NaN), which are dropped.
        boxes_degenerate: image -> number of boxes without area inside the frame, which are dropped.
        repeats: image -> number of heads annotated again at the same place, counted once.
        groups: image -> number of annotated groups of people or regions to ignore, which contribute no head.
        miscounted: image -> how many heads its file states, and how many it holds, which are taken.
        duplicates: images listed more than once in the split, read once.
        shared: image -> the picture of another split that it is, byte for byte (`note_copies`).
        copies: image -> the picture of its own split that it is a copy of, byte for byte.
        dim: 16-bit images that use 14 bits or fewer and are dark for it (found by decoding).
        unused: files of the dataset's folder that nothing reads: lists and annotations under other names, pictures of
            other kinds, pipes and devices.
        heic: photographs in HEIC that are passed over, as the optional package that reads them is not installed.
        turned: images stored with an EXIF orientation; their points are taken as pixels of the displayed image, which
            is worth a look at a preview.
        more_pages: images of several pages or frames, of which the first is read.
        official_repeats: image -> number of heads that a published benchmark repeats, which stay as published.
        other_labels: image -> labels of marks that are no heads.
        readings: image -> how the file of its annotation was understood, where another way was possible.
    """

    missing_annotations: list[Path] = field(default_factory=list)
    missing_images: list[Path] = field(default_factory=list)
    embedded: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)
    malformed: dict[Path, str] = field(default_factory=dict)
    misframed: dict[Path, str] = field(default_factory=dict)
    shares: list[Path] = field(default_factory=list)
    swapped: dict[Path, str] = field(default_factory=dict)
    rescaled: list[Path] = field(default_factory=list)
    points_outside: dict[Path, int] = field(default_factory=dict)
    boxes_degenerate: dict[Path, int] = field(default_factory=dict)
    repeats: dict[Path, int] = field(default_factory=dict)
    groups: dict[Path, int] = field(default_factory=dict)
    miscounted: dict[Path, str] = field(default_factory=dict)
    duplicates: list[Path] = field(default_factory=list)
    shared: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, str] = field(default_factory=dict)
    dim: list[Path] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    heic: list[Path] = field(default_factory=list)
    turned: list[Path] = field(default_factory=list)
    more_pages: list[Path] = field(default_factory=list)
    official_repeats: dict[Path, int] = field(default_factory=dict)
    other_labels: dict[Path, str] = field(default_factory=dict)
    readings: dict[Path, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self) if item.name not in _NOTES)

    @property
    def serious(self) -> bool:
        """Whether a training on this split would learn from less, or from other, than its files seem to hold."""
        return any(getattr(self, item.name) for item in fields(self) if item.name not in _HARMLESS)

    def lines(self, examples: int = 3) -> list[str]:
        """Return one line per kind: what it is and what was done, how many, the first few names, the first reason."""
        return [
            f"{_MEANINGS[item.name]}: {_number(found)} ({_first_names(list(found), examples)}){_first_reason(found)}"
            for item in fields(self)
            if (found := getattr(self, item.name))
        ]

    def as_dict(self) -> dict[str, list[str] | dict[str, str] | dict[str, int]]:
        """Return plain data for JSON: every kind, with every file."""
        plain = {}
        for item in fields(self):
            value = getattr(self, item.name)
            keyed = isinstance(value, dict)
            plain[item.name] = {str(k): v for k, v in value.items()} if keyed else [str(path) for path in value]
        return plain


_MEANINGS = {
    "missing_annotations": "images without annotation, left out",
    "missing_images": "images listed or annotated, but missing",
    "embedded": "images that are no files, but held by the files of their annotation, left out",
    "unreadable": "unreadable images, left out",
    "malformed": "images with a malformed annotation, left out",
    "misframed": "images annotated in another frame, left out",
    "shares": "images whose points lie in 0..1, shares instead of pixels, left out",
    "swapped": "images whose points fit better as (y, x) than as (x, y)",
    "rescaled": "images annotated at another size, points scaled to them",
    "points_outside": "points outside their image, dropped",
    "boxes_degenerate": "boxes without area in their image, dropped",
    "repeats": "heads annotated again at the same place, counted once",
    "groups": "annotated groups of people or regions to ignore, not counted",
    "miscounted": "images whose annotation states another number of heads than it holds",
    "duplicates": "images listed more than once, read once",
    "shared": "pictures that another split holds too, byte for byte",
    "copies": "copies of another picture of the split, byte for byte",
    "dim": "16-bit images that use 14 bits or fewer and are dark for it",
    "unused": "files that nothing reads",
    "heic": "photographs in HEIC, which needs the package 'pillow-heif' (the extra 'heic'), passed over",
    "turned": "images turned by EXIF, whose points a preview should confirm",
    "more_pages": "images with further pages or frames, of which the first is read",
    "official_repeats": "heads that the published annotation repeats, kept",
    "other_labels": "images with marks of other labels, which are not counted",
    "readings": "images whose annotation was read in a way that a preview should confirm",
}


def _number(found: Sequence[Path] | dict[Path, int] | dict[Path, str]) -> int:
    numbers = [value for value in found.values() if isinstance(value, int)] if isinstance(found, dict) else []
    return sum(numbers) if numbers else len(found)


def _first_reason(found: Sequence[Path] | dict[Path, int] | dict[Path, str]) -> str:
    reason = next(iter(found.values())) if isinstance(found, dict) else None
    return f": {reason.rstrip('.')}" if isinstance(reason, str) else ""


def _first_names(paths: Sequence[Path], examples: int) -> str:
    more = f" and {len(paths) - examples} more" if len(paths) > examples else ""
    return ", ".join(path.name for path in paths[:examples]) + more
