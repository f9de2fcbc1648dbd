"""What images counted that no weight was trained on, as a run folder keeps it: the errors to expect."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..adapter.calibration_file import CalibrationFile
from ..errors import UsageError
from ..files import parse_json, write_text


@dataclass(frozen=True)
class HeldOut:
    """One held-out image.

    Attributes:
        image: path of the image file.
        fold: 1-based, of the training that did not see it; 0 for an image of the dataset's val split.
        heads: annotated heads.
        counted: heads that were counted.
    """

    image: str
    fold: int
    heads: int
    counted: float


def write_held_out(path: Path, rows: Sequence[HeldOut]) -> None:
    """Write JSON lines in place of what stood there. Raises RunError on a full disk."""
    write_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


def read_held_out(path: Path) -> list[HeldOut]:
    """Return what `write_held_out` wrote, none where there is no file. Raises UsageError for a damaged one."""
    if not path.is_file():
        return []
    try:
        return [HeldOut(**parse_json(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        raise UsageError(f"'{path}' does not hold held-out counts, one a line ({error}).") from error


def calibration_of(rows: Sequence[HeldOut]) -> CalibrationFile:
    """Return what an adapter keeps of held-out images, so that whoever counts with it knows the errors to expect."""
    return CalibrationFile(
        origin="folds" if any(row.fold for row in rows) else "val",
        heads=tuple(row.heads for row in rows),
        counted=tuple(row.counted for row in rows),
    )


def mean_mae(rows: Sequence[HeldOut]) -> float:
    """Return the MAE, in heads, of predicting for the images of each fold the mean heads of all other folds' images."""
    heads, folds = np.array([row.heads for row in rows]), np.array([row.fold for row in rows])
    return float(np.mean([abs(row.heads - heads[folds != row.fold].mean()) for row in rows]))
