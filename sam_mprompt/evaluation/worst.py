"""Pictures of the images that were counted worst."""

from pathlib import Path

import numpy as np

from ..data.bounds import Reading, any_size
from ..data.image import read_image
from ..files import name_of
from ..render import draw_points, fit_within, overlay, save_image, side_by_side
from .evaluate import Evaluation, Predict

_SIDE = 1280
_READING = Reading(reduced=True)


def write_worst(
    directory: Path, evaluation: Evaluation, predict: Predict, n: int = 10, *, reading: Reading = _READING
) -> list[Path]:
    """Write pictures of the n worst images, annotated heads | predicted density and heads; return their paths.

    The files are named by rank, so that a folder sorts by error: `01_IMG_7_actual-120_predicted-87.jpg`.

    Args:
        directory: made where it is not there.
        evaluation: what was counted.
        predict: counts the image at a path.
        n: most pictures.
        reading: how images are decoded.
    """
    paths = []
    for rank, row in enumerate(evaluation.worst(n), start=1):
        result = predict(row.image)
        image = fit_within(read_image(row.image, reading, enough=any_size), _SIDE)
        height, width = row.sample.size
        ratio = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        actual = np.zeros((0, 2), np.float32) if row.sample.points is None else row.sample.points
        panels = [
            draw_points(image, actual * ratio),
            overlay(image, result.density, None, points=result.points() * ratio),
        ]
        titles = [f"Actual {row.actual}", f"Predicted {row.predicted:.1f} ({row.error:+.1f})"]
        figures = f"_actual-{row.actual}_predicted-{row.predicted:.0f}.jpg"
        path = directory / name_of(row.image.stem, before=f"{rank:02d}_", after=figures)
        save_image(path, side_by_side(panels, titles))
        paths.append(path)
    return paths
