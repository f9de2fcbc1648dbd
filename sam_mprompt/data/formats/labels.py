"""Which marks are heads: one rule for the labels of every format."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...errors import UsageError, did_you_mean, listed
from .annotation import Annotation

Label = str | None
"""What a mark is called; None for one without a label."""

_HEADS = ("head", "heads")
_PERSONS = ("person", "persons", "people", "pedestrian", "pedestrians")
_TO_IGNORE = {"__ignore__", "ignore", "ignored", "ignored region", "ignored regions", "_background_"}


@dataclass(frozen=True)
class Marks:
    """What an annotation says of one image, before it is known which labels are heads.

    Attributes:
        by_label: the marks of each label, or why they cannot be heads (a polygon), which matters only if they should.
        frame: (height, width) of the image as the file states it; None where it does not.
        error: why the image's marks cannot be taken at all.
        reading: how the file was understood, where that is worth telling.
        shares: they are shares (0..1) of the image by their format, not pixels.
        split: the split that the file states for the image, as it says it; empty where it states none.
        embedded: the file holds the image, too.
    """

    by_label: Mapping[Label, Annotation | UsageError]
    frame: tuple[int, int] | None = None
    error: UsageError | None = None
    reading: str = ""
    shares: bool = False
    split: str = ""
    embedded: bool = False

    @property
    def labels(self) -> frozenset[Label]:
        """The labels of the image's marks; nothing where none of them has one, as in a table of points."""
        used = {name for name, found in self.by_label.items() if isinstance(found, UsageError) or _any(found)}
        return frozenset(used) if used - {None} else frozenset()

    def heads(self, counts: "Counts | None" = None) -> Annotation:
        """Return the marks that count (None: all); raises the UsageError of those that cannot be heads."""
        if self.error is not None:
            raise self.error
        parts, others, groups = [], [], 0
        for label, marks in self.by_label.items():
            if _plain(label) in _TO_IGNORE and not (counts is not None and counts.given):
                groups += 1 if isinstance(marks, UsageError) else max(1, len(marks.points))
            elif self.labels and counts is not None and not counts.counts(label):
                others.append(_shown(label))
            elif isinstance(marks, UsageError):
                raise marks
            else:
                parts.append(marks)
        whole = joined(parts)
        return whole._replace(
            groups=whole.groups + groups,
            others=tuple(sorted(others)),
            frame=self.frame,
            shares=self.shares,
            reading=self.reading,
        )


class Counts(NamedTuple):
    """The decision which labels count, and whether the user gave the label."""

    counts: Callable[[Label], bool]
    given: bool


def decide(used: Iterable[Label], where: str, *, listed_only: Iterable[str] = (), label: str | None = None) -> Counts:
    """Decide which labels of a dataset are heads.

    Heads count where something is called so, else persons, else the only label there is (cells, or no label at all).

    Args:
        used: the labels of all marks of the dataset.
        where: what is annotated, for messages.
        listed_only: labels that the dataset defines although no mark has them.
        label: the one that counts, as the user says.

    Raises:
        UsageError: it takes the user to decide, or no mark is called `label`; the message lists the labels.
    """
    labels = {name for name in used if _plain(name) not in _TO_IGNORE}
    names = listed(_shown(name) for name in labels)
    if label is not None:
        wanted = {_plain(label)}
        if not wanted & {_plain(name) for name in {*used, *listed_only}}:
            raise UsageError(
                f"{where}: nothing is called '{label}'; the labels are {names or 'none'}."
                f"{did_you_mean(label, [_shown(name) for name in labels])}",
                about="labels",
            )
        return Counts(partial(_is_one_of, wanted), given=True)
    for called in (_HEADS, _PERSONS):
        wanted = {_plain(name) for name in labels} & set(called)
        if wanted:
            return Counts(partial(_is_one_of, wanted), given=False)
    heads = sorted({_plain(name) for name in listed_only} & {*_HEADS, *_PERSONS})
    if len(labels) > 1 or (heads and labels - {None}):
        defined = f", beside '{heads[0]}' that nothing is called" if heads else ""
        raise UsageError(
            f"{where}: annotates {'several labels' if len(labels) > 1 else 'another label'} ({names}){defined}; "
            "expected one, or one that is named 'head' or 'person'. Name the label that counts.",
            about="labels",
        )
    return Counts(lambda name: _plain(name) not in _TO_IGNORE, given=False)


def joined(parts: list[Annotation]) -> Annotation:
    """Join the marks of one image."""
    boxes = [part.boxes for part in parts if part.boxes is not None]
    return Annotation(
        np.concatenate([np.empty((0, 2)), *(part.points for part in parts)]),
        np.concatenate(boxes) if boxes else None,
        sum(part.groups for part in parts),
    )


def _any(marks: Annotation) -> bool:
    return bool(len(marks.points) or marks.groups)


def label_text(label: Any) -> Label:
    """Return a label as text; numbers of classes are labels, too."""
    if isinstance(label, str):
        return label.strip() or None
    return None if label is None or isinstance(label, dict | list) else f"{label}"


def is_head_label(label: Label) -> bool:
    """Whether a label by its name means a head or a person."""
    return _plain(label) in {*_HEADS, *_PERSONS}


def _is_one_of(wanted: Container[str], label: Label) -> bool:
    return _plain(label) in wanted


def _plain(label: Label) -> str:
    return "" if label is None else label.strip().casefold()


def _shown(label: Label) -> str:
    return "without a label" if label is None else label.strip()
