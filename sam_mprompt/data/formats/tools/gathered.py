"""The marks of one image, gathered one by one: by label, with those that cannot be heads."""

from collections.abc import Callable

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, Marks, joined


class Gathered:
    """Marks by label; of a label of which one mark cannot be a head it is remembered why."""

    def __init__(self) -> None:
        self._parts: dict[Label, list[Annotation]] = {}
        self._wrong: dict[Label, UsageError] = {}

    def add(self, label: Label, mark: Callable[[], Annotation]) -> None:
        """Add a mark; the UsageError that making it raises matters only if its label counts."""
        self._parts.setdefault(label, [])
        try:
            self._parts[label].append(mark())
        except UsageError as error:  # a polygon around a car is no fault
            self._wrong.setdefault(label, error)

    def marks(self, frame: tuple[int, int] | None = None, *, shares: bool = False, split: str = "") -> Marks:
        """Return all marks of the image; see `Marks`."""
        by_label = {label: self._wrong.get(label) or joined(parts) for label, parts in self._parts.items()}
        return Marks(by_label, frame, shares=shares, split=split)


def at_point(x: float, y: float) -> Annotation:
    """Return a head at a point."""
    return Annotation(np.array([[x, y]], np.float64))


def in_box(x1: float, y1: float, x2: float, y2: float) -> Annotation:
    """Return a head in the middle of a box whose corners come in any order."""
    box = np.array([[min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]], np.float64)
    return Annotation(np.array([[(x1 + x2) / 2, (y1 + y2) / 2]], np.float64), box)
