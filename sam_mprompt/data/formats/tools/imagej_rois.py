"""ImageJ and Fiji: points as regions of interest, one .roi or a RoiSet.zip of them, by the package roifile."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import UsageError
from ...packages import needed
from ..annotation import Annotation
from ..labels import Label, Marks
from ..text import check_regular
from .family import HEAD, Collection, Family, Kind, Picture, file_each
from .gathered import Gathered, in_box
from .imagej_results import BY_ORDER
from .neighbours import beside_its_image
from .outline import beginning

_MAX_ZIP_BYTES = 1 << 24
_MAX_BYTES = 1 << 26  # of all regions when unpacked: a point takes 16 bytes at most, a region of its own about 250
_MAX_KINDS = 1000
_POINT, _RECT, _OVAL = 10, 1, 2
_SUB_PIXEL = 128
_SIGNATURE = b"Iout"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OF_MANY = "roiset"
_ADDED = re.compile(r"^roiset[ _-]+|[ _-]+roiset$", re.IGNORECASE)


def _image_of(stem: str) -> str:
    """Return `a` of `a_RoiSet.zip` and `RoiSet_a.zip`, as people call the set of one image."""
    return _ADDED.sub("", stem)


def _kind(file: Path) -> Kind | None:
    if file.suffix.lower() == ".roi":
        return "one" if beginning(file, len(_SIGNATURE)) == _SIGNATURE.decode() or beside_its_image(file) else None
    try:
        check_regular(file, _MAX_ZIP_BYTES)
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (UsageError, OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    if any(not name.lower().endswith(".roi") for name in names):
        return None
    return "many" if _OF_MANY in file.stem.casefold() else "one"


def read_rois(path: Path) -> Marks:
    """Read the regions of one image, a `.roi` or a `.zip`.

    Each point is a head, and so is the middle of a rectangle or an oval. A region's group, or the counter of a point,
    is its label.

    Raises:
        UsageError: the package roifile is missing; damaged, or too large; several slices.
    """
    slices = _slices(path)
    if len(slices) > 1:
        raise UsageError(f"'{path}': expected the regions of one image; found those of {len(slices)} slices.")
    return next(iter(slices.values()), Marks({}))


def read_rois_of_many(path: Path) -> Collection:
    """Read a `RoiSet.zip`, whose regions know the number of their slice at most, as `read_rois`.

    Raises:
        UsageError: as `read_rois`, but for several slices.
    """
    return Collection({}, slices=_slices(path))


def _slices(path: Path) -> dict[int, Marks]:
    """Return the marks by number of the slice, 0 where a region has none."""
    roifile = needed("roifile", "imagej", f"'{path}', regions of ImageJ,")
    gathered: dict[int, Gathered] = {}
    for name, content in _regions(path):
        where = f"'{path}'" + (f" {name!a:.60}" if name else "")
        for number, label, mark in _marks(content, where, roifile):
            gathered.setdefault(number, Gathered()).add(label, mark)
    return {number: replace(found.marks(), reading=BY_ORDER if number else "") for number, found in gathered.items()}


def _regions(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each region of a file; sizes are checked before contents."""
    if path.suffix.lower() == ".roi":
        check_regular(path, _MAX_ZIP_BYTES)
        try:
            yield "", path.read_bytes()
        except OSError as error:
            raise UsageError(f"Cannot read '{path}': {error.strerror}.") from error
        return
    check_regular(path, _MAX_ZIP_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if (size := sum(entry.file_size for entry in entries)) > _MAX_BYTES:
                raise UsageError(f"Cannot read '{path}': it unpacks to {size} bytes; expected at most {_MAX_BYTES}.")
            for entry in entries:
                yield entry.filename, archive.read(entry)  # no more than its stated size
    except UsageError:
        raise
    except Exception as error:  # damaged archives are answered with nearly every type of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"Cannot read '{path}': not an intact RoiSet.zip ({reason:.100}).") from error


def _marks(content: bytes, where: str, roifile: Any) -> Iterator[tuple[int, Label, Callable[[], Annotation]]]:
    """Yield slice, label and marks of a region, one by one where its points have counters or slices of their own."""
    if content[:4] != _SIGNATURE:
        raise UsageError(f"{where}: not a region of ImageJ.")
    try:
        roi = roifile.ImagejRoi.frombytes(content)
        kind, called, places = (
            int(roi.roitype),
            roi.roitype.name.lower(),
            np.asarray(roi.coordinates(), np.float64).reshape(-1, 2),
        )
    except Exception as error:  # so are damaged regions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{where}: not an intact region of ImageJ ({reason:.100}).") from error
    own = max(0, roi.position or roi.z_position or roi.t_position)
    group = f"group {roi.group}" if roi.group else None
    if kind in (_RECT, _OVAL) and roi.multi_coordinates is None and int(roi.subtype) == 0:
        yield own, group, partial(in_box, roi.left, roi.top, roi.right, roi.bottom)
        return
    if kind != _POINT:
        yield own, group, partial(_no_head, f"{where}: expected points, a rectangle or an oval; received a {called}.")
        return
    counters = roi.counters if roi.counters is not None else np.zeros(len(places), int)
    positions = roi.counter_positions if roi.counter_positions is not None else np.zeros(len(places), int)
    pairs = np.stack([np.where(positions > 0, positions, own), counters], axis=1)
    kinds, of_kind = np.unique(pairs, axis=0, return_inverse=True)
    if len(kinds) > _MAX_KINDS:
        raise UsageError(f"{where}: its points are of {len(kinds)} slices and counters; expected at most {_MAX_KINDS}.")
    for index, (number, counter) in enumerate(kinds.tolist()):
        label = f"counter {counter}" if counters.any() else group
        yield number, label, partial(Annotation, places[of_kind.ravel() == index])


def _no_head(message: str) -> Annotation:
    raise UsageError(message)


def _written(picture: Picture) -> bytes:
    """Return a RoiSet.zip of one multi-point region; an empty one for an image with nobody."""
    roifile = needed("roifile", "imagej", "Writing regions of ImageJ")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if len(picture.points):
            roi = roifile.ImagejRoi.frompoints(picture.points, name=HEAD)
            roi.roitype = roifile.ROI_TYPE.POINT
            roi.options = roifile.ROI_OPTIONS(_SUB_PIXEL)
            archive.writestr(zipfile.ZipInfo(f"{HEAD}.roi", _EPOCH), roi.tobytes())
    return packed.getvalue()


IMAGEJ_ROIS = Family(
    "imagej-roi",
    "a .roi or .zip of ImageJ's points for each image, or RoiSet.zip",
    (".roi", ".zip"),
    _kind,
    read_one=read_rois,
    read_many=read_rois_of_many,
    write=file_each(".zip", _written),
    image_of=_image_of,
)
