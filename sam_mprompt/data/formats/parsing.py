"""Annotation files -> arrays, with messages that name the file and the place in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .mat73 import is_mat73, read_mat73, shapes_in_mat73
from .mat_elements import check_elements
from .text import check_regular, numbered_lines

_MAX_MAT_BYTES = 1 << 26  # of a file, and of what its compressed parts unpack to; the largest official one has 0.4 MB
_MAX_MAT_VALUES = 1 << 23


def read_mat(path: Path, field: str) -> Any:
    """Read one variable of a MATLAB file, in the form of scipy's `loadmat`.

    Raises:
        UsageError: no such file or variable, damaged, unpacked larger than 64 MB, or of version 7.3 without the package
            that reads it.
    """
    with _explained(path):
        value = read_mat73(path, field) if is_mat73(path) else _read_mat5(path, field)
    if value is None:
        raise UsageError(f"'{path}' has no variable '{field}', which holds the annotation of this format.")
    return value


def mat_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable of a MATLAB file. Raises UsageError as `read_mat`."""
    with _explained(path):
        return shapes_in_mat73(path) if is_mat73(path) else _shapes_in_mat5(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Refuse what is no file or too large; turn what goes wrong into one line."""
    check_regular(path, _MAX_MAT_BYTES)
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # scipy and h5py answer broken files with nearly every type of exception.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"Cannot read '{path}': truncated or not a MATLAB file ({reason:.200}).") from error


def _read_mat5(path: Path, field: str) -> Any:
    shapes = _shapes_in_mat5(path)
    if any(abs(int(np.prod(shape, dtype=object))) > _MAX_MAT_VALUES for shape in shapes.values()):
        raise ValueError("a variable of more than 8 million values")
    from scipy.io import loadmat  # here: few formats take scipy

    return loadmat(path, variable_names=[field]).get(field)


def _shapes_in_mat5(path: Path) -> dict[str, tuple[int, ...]]:
    check_elements(path.read_bytes(), _MAX_MAT_BYTES)
    from scipy.io import whosmat

    return {name: shape for name, shape, _ in whosmat(path)}


def table(values: Any, columns: str, where: str) -> NDArray[np.float64]:
    """Return `values`, rows of numbers with the named columns (such as "x y"), as float64 (N, columns); N may be 0.

    Raises:
        UsageError: not numbers, or rows of another length; `where` (file and field) leads the message.
    """
    width = len(columns.split())
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError):  # rows of different lengths, endless integers
        array = np.array(None)
    if array.size == 0:
        return np.empty((0, width))
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != width:
        raise UsageError(f"{where}: expected rows of {width} numbers ({columns}); received {_culprit(values, width)}.")
    return array.astype(np.float64)


def row(values: Any, columns: str, where: str) -> NDArray[np.float64]:
    """Return one row of numbers with the named columns, as float64 (columns,). Raises UsageError as `table`."""
    rows = table([values], columns, where)
    if len(rows) != 1:  # an empty one
        raise UsageError(f"{where}: expected numbers ({columns}); received {values!a:.60}.")
    numbers: NDArray[np.float64] = rows[0]
    return numbers


def _culprit(values: Any, width: int) -> str:
    if isinstance(values, np.ndarray):
        return f"{values.dtype} of shape {values.shape}"
    for index, row in enumerate(values if isinstance(values, list) else []):
        if not isinstance(row, list) or [type(cell) in {int, float} for cell in row] != [True] * width:
            return f"{row!a:.60} as row {index}"
    return f"{values!a:.60}"


def number_rows(path: Path, columns: str) -> NDArray[np.float64]:
    """Read a text file of one row a line, separated by blanks or commas, as float64 (N, columns); N may be 0.

    A first line that holds just the column names is skipped. Raises UsageError naming the malformed line.
    """
    names = columns.split()
    rows: list[list[float]] = []
    for number, line in numbered_lines(path):
        cells = line.replace(",", " ").split()
        if not rows and [cell.lower() for cell in cells] == names:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            cells = []
        if len(cells) != len(names):
            raise UsageError(
                f"'{path}' line {number}: expected {len(names)} numbers '{columns}'; received {line!r:.80}."
            )
    return table(rows, columns, f"'{path}'")


def centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre (x, y) of each box (x1, y1, x2, y2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2
