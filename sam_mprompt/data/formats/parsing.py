"""Annotation files -> arrays, with messages that name the file and the place in it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from ...errors import UsageError


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark. Raises UsageError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"Cannot read '{path}': {reason}.") from error


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Return (line number, text) of each line that is neither empty nor a `#` comment."""
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UsageError with the line at which it is malformed."""
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        place = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise UsageError(f"'{path}' is not valid JSON: {place}.") from error


def read_mat(path: Path, field: str) -> Any:
    """Read one variable of a MATLAB file (version 7 or older). Raises UsageError naming the file and the variable."""
    try:
        content = loadmat(path, variable_names=[field])
    except Exception as error:  # scipy answers broken files with nearly every type of exception.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"Cannot read '{path}': truncated or not a MATLAB file of version 7 ({reason}).") from error
    if field not in content:
        raise UsageError(f"'{path}' has no variable '{field}', which holds the annotation of this format.")
    return content[field]


def table(values: Any, columns: str, where: str) -> NDArray[np.float64]:
    """Return `values`, rows of numbers with the named columns (such as "x y"), as float64 (N, columns); N may be 0.

    Raises:
        UsageError: not numbers, or rows of another length; `where` (file and field) leads the message.
    """
    width = len(columns.split())
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.size == 0:
        return np.empty((0, width))
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != width:
        raise UsageError(f"{where}: expected rows of {width} numbers ({columns}); received {_culprit(values, width)}.")
    return array.astype(np.float64)


def _culprit(values: Any, width: int) -> str:
    if isinstance(values, np.ndarray):
        return f"{values.dtype} of shape {values.shape}"
    for index, row in enumerate(values if isinstance(values, list) else []):
        if not isinstance(row, list) or [type(cell) in {int, float} for cell in row] != [True] * width:
            return f"{row!r:.60} as row {index}"
    return f"{values!r:.60}"


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
