"""The tools that people annotate with, by name: to add one, write its module and name it here."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .cell_counter import CELL_COUNTER
from .coco import COCO
from .csv_heads import read_csv, read_csv_of_one_image, table_kind
from .cvat import CVAT
from .dotdotgoose import DOTDOTGOOSE
from .family import Family, Kind
from .geojson import GEOJSON
from .imagej_results import IMAGEJ
from .imagej_rois import IMAGEJ_ROIS
from .label_studio import LABEL_STUDIO
from .labelme import LABELME
from .matlab import MATLAB
from .own_files import CSV, JSON, TXT
from .roboflow import ROBOFLOW
from .supervisely import SUPERVISELY
from .via import VIA, VIA_CSV
from .via3 import VIA3
from .voc import VOC
from .yolo import YOLO

_OTHERS = (GEOJSON, SUPERVISELY, CELL_COUNTER, DOTDOTGOOSE, IMAGEJ_ROIS, MATLAB, IMAGEJ)
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (LABELME, CVAT, LABEL_STUDIO, VIA, VIA3, VIA_CSV, ROBOFLOW, COCO, YOLO, VOC, *_OTHERS, CSV, JSON, TXT)
}
"""The families by name, in the order in which a file is asked for: what is told by less comes later."""


def with_columns(families: Iterable[Family], columns: Mapping[str, str]) -> list[Family]:
    """Return the families with tables read as the user says; see `recipe.columns`."""
    told = replace(
        CSV,
        kind=partial(table_kind, columns=columns),
        read_one=partial(read_csv_of_one_image, columns=columns),
        read_many=partial(read_csv, columns=columns),
    )
    chosen = [told if family is CSV else family for family in families if family is not IMAGEJ]
    return sorted(chosen, key=lambda family: family is not told)


class Told(NamedTuple):
    """A file of annotation, and what it is."""

    family: Family
    kind: Kind


def told(file: Path, families: Iterable[Family] = FAMILIES.values()) -> Told | None:
    """Return the first family that a file is of, None for a file of none."""
    found = ((family, family.kind_of(file)) for family in families)
    return next((Told(family, kind) for family, kind in found if kind is not None), None)
