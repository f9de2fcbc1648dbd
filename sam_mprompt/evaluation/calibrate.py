"""An adapter's error bars from annotated images that it was not trained on."""

from pathlib import Path

from ..adapter.calibration_file import CalibrationFile
from ..adapter.folder import AdapterFolder
from ..errors import UsageError
from .evaluate import Evaluation


def calibrate(folder: AdapterFolder, evaluation: Evaluation, to: Path | None = None) -> AdapterFolder:
    """Write what annotated images were counted as into the adapter that counted them, or into a copy of it.

    Args:
        folder: the adapter.
        evaluation: of annotated images that it was not trained on.
        to: a new folder for the copy; None to replace the adapter's own calibration.

    Returns:
        The folder as read back.

    Raises:
        UsageError: no image of the evaluation is annotated, or `to` holds something.
        RunError: a full disk, or a folder that cannot be written; the older calibration is kept then.
    """
    known = [(row.actual, row.predicted) for row in evaluation.rows if row.actual is not None]
    if not known:
        raise UsageError("Expected annotated images to calibrate with, got none.", about="empty split")
    heads, counted = zip(*known, strict=True)
    return folder.recalibrate(CalibrationFile(origin="images", heads=heads, counted=counted), to)
