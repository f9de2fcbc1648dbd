"""MATLAB: a .mat beside each image, with the variable `points` (or `annPoints`, as UCF has it), rows of x and y."""

import io
from pathlib import Path

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Marks
from ..parsing import mat_shapes, read_mat, table
from ..public import shanghaitech_points
from .family import Family, Kind, Picture, file_each
from .neighbours import beside_its_image

_TABLES = ("points", "annPoints", "heads", "location", "locations")
_SHANGHAITECH = "image_info"


def _kind(file: Path) -> Kind | None:
    try:
        known = bool(mat_shapes(file).keys() & {*_TABLES, _SHANGHAITECH})
    except UsageError:
        known = False  # beside an image, reading it says why
    return "one" if known or beside_its_image(file) else None


def read_points(path: Path) -> Marks:
    """Read a table of points, of MATLAB 5 to 7.3, or the structure that ShanghaiTech has.

    Raises:
        UsageError: damaged, too large, or none or several of the variables that hold points: the message names those
            found; of version 7.3 without the package h5py.
    """
    shapes = mat_shapes(path)
    known = [name for name in (*_TABLES, _SHANGHAITECH) if name in shapes]
    if len(known) != 1:
        found = ", ".join(f"{name} ({'x'.join(map(str, shape)) or 'a structure'})" for name, shape in shapes.items())
        raise UsageError(f"'{path}': expected one variable 'points', rows of x and y; found {found or 'none'!s:.200}.")
    if known[0] == _SHANGHAITECH:
        return Marks({None: shanghaitech_points(path)})
    return Marks({None: Annotation(table(read_mat(path, known[0]), "x y", f"'{path}' {known[0]}"))})


def _written(picture: Picture) -> bytes:
    packed = io.BytesIO()
    from scipy.io import savemat

    savemat(
        packed,  # type: ignore[arg-type] # scipy takes any file, its stubs a name alone
        {"points": picture.points},
        do_compression=True,
    )
    return packed.getvalue()


MATLAB = Family(
    "matlab",
    "a .mat with the variable 'points' for each image",
    (".mat",),
    _kind,
    read_one=read_points,
    write=file_each(".mat", _written),
)
