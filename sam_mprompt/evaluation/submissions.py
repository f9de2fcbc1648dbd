"""The files that NWPU-Crowd's benchmark takes (https://www.crowdbenchmark.com): counts, and head locations."""

from pathlib import Path

import numpy as np

from ..errors import RunError, UsageError
from ..files import write_text
from .evaluate import Evaluation


def write_submission(path: Path, evaluation: Evaluation) -> None:
    """Write the counting submission: a line `id count` per image, id the file's stem, the count to 4 decimals.

    Raises:
        RunError: an image could not be read (a submission must name every image), or the disk is full.
    """
    _refuse_incomplete(evaluation)
    write_text(path, "".join(f"{row.image.stem} {row.predicted:.4f}\n" for row in evaluation.rows))


def write_locations(path: Path, evaluation: Evaluation) -> None:
    """Write the localisation submission: a line `id N x1 y1 x2 y2 ...` per image, whole pixels.

    Raises:
        RunError: an image could not be read, or the disk is full.
        UsageError: heads were not located.
    """
    _refuse_incomplete(evaluation)
    lines = []
    for row in evaluation.rows:
        if row.points is None:
            raise UsageError(f"No head locations of '{row.image}': evaluate with locate=True.")
        numbers = [len(row.points), *np.floor(row.points).astype(int).ravel().tolist()]
        lines.append(" ".join([row.image.stem, *map(str, numbers)]) + "\n")
    write_text(path, "".join(lines))


def _refuse_incomplete(evaluation: Evaluation) -> None:
    if evaluation.failed:
        raise RunError(
            f"A submission needs every image, but {len(evaluation.failed)} could not be read. "
            f"Repair them and evaluate again. The first: {evaluation.failed[0][1]}"
        )
