"""MATLAB files of version 7.3, which are HDF5 (https://support.hdfgroup.org/documentation/), by the package h5py."""

from pathlib import Path
from typing import Any

import numpy as np

from ..packages import needed

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PLACES = (0, 512, 1024, 2048)  # where the format allows it; MATLAB writes 512 bytes of its own in front
_MAX_VALUES = 1 << 23  # of all that is read of a variable
_MAX_PARTS = 10_000
_DEEPEST = 4
_OF_HDF5 = "#"  # begins the names of what belongs to no variable


def is_mat73(path: Path) -> bool:
    """Whether a file is HDF5; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_PLACES[-1] + len(_SIGNATURE))
    except OSError:
        return False
    return any(beginning[place:].startswith(_SIGNATURE) for place in _PLACES)


def shapes_in_mat73(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable, as MATLAB has it; an empty one of a structure.

    Raises:
        UsageError: the package h5py is missing.
        Exception: h5py answers broken files with many types.
    """
    h5py = needed("h5py", "mat73", f"'{path}', of MATLAB 7.3,")
    with h5py.File(path, "r") as file:
        return {
            name: tuple(reversed(part.shape)) if isinstance(part, h5py.Dataset) else ()
            for name, part in _members(file, h5py)
        }


def read_mat73(path: Path, field: str) -> Any:
    """Return one variable as scipy's `loadmat` gives those of older versions, None where there is no such.

    A table is an array, a cell array one of objects, and a structure an array (1, 1) with its fields.

    Raises:
        UsageError: the package h5py is missing.
        ValueError: more than 8 million values, nested deeper than cells of structures of tables, or parts that lie in
            other files.
        Exception: h5py answers broken files with many types.
    """
    h5py = needed("h5py", "mat73", f"'{path}', of MATLAB 7.3,")
    with h5py.File(path, "r") as file:
        found = dict(_members(file, h5py))
        return _Reader(file, h5py).value(found[field]) if field in found else None


def _members(group: Any, h5py: Any) -> list[tuple[str, Any]]:
    """Return the parts of a group that are stored in it: a link may lead to any other file."""
    if len(group) > _MAX_PARTS:
        raise ValueError(f"more than {_MAX_PARTS} parts")
    own = [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    return [(name, group[name]) for name in own if not name.startswith(_OF_HDF5)]


class _Reader:
    """Reads one variable within a budget of values and parts."""

    def __init__(self, file: Any, h5py: Any) -> None:
        self.file, self.h5py = file, h5py
        self.values, self.parts = _MAX_VALUES, _MAX_PARTS

    def value(self, part: Any, depth: int = 0) -> Any:
        self.parts -= 1
        if depth > _DEEPEST or self.parts < 0:
            raise ValueError("nested too deeply, or in too many parts")
        if isinstance(part, self.h5py.Group):
            members = _members(part, self.h5py)
            structure = np.empty((1, 1), dtype=[(name, object) for name, _ in members])
            structure[0, 0] = tuple(self.value(inner, depth + 1) for _, inner in members)
            return structure
        if part.is_virtual or part.external:
            raise ValueError("a table that lies in another file")
        if part.attrs.get("MATLAB_empty"):
            return np.empty((0, 0))
        if part.dtype.kind not in "iufO" or part.dtype.itemsize > 8:
            return np.array(None)
        self.values -= int(np.prod(part.shape, dtype=object))
        if self.values < 0:
            raise ValueError("more than 8 million values")
        array = np.asarray(part[()]).T
        if array.dtype.kind != "O":
            return array
        if array.size > self.parts:
            raise ValueError("in too many parts")
        cells = np.empty(array.shape, dtype=object)
        for place, reference in np.ndenumerate(array):
            if not isinstance(reference, self.h5py.Reference) or not reference:
                raise ValueError("a cell that refers to nothing")
            cells[place] = self.value(self.file[reference], depth + 1)
        return cells
