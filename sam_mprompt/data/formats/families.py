"""The tools that people annotate with, by name: to add one, write its module and name it here."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .coco import COCO
from .family import Family, Kind
from .labelme import LABELME
from .own_files import CSV, JSON, TXT

FAMILIES: dict[str, Family] = {family.name: family for family in (LABELME, COCO, CSV, JSON, TXT)}
"""The families by name, in the order in which a file is asked for: what is told by less comes later."""


class Told(NamedTuple):
    """A file of annotation, and what it is."""

    family: Family
    kind: Kind


def told(file: Path, families: Iterable[Family] = FAMILIES.values()) -> Told | None:
    """Return the first family that a file is of, None for a file of none."""
    found = ((family, family.kind_of(file)) for family in families)
    return next((Told(family, kind) for family, kind in found if kind is not None), None)
