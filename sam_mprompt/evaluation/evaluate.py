"""How far predicted counts are from annotated ones: metrics, tables, submissions, pictures of the worst cases."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..arrays import FloatArray
from ..counting.result import CountResult
from ..data.image import read_image
from ..data.sample import Sample
from ..errors import RunError, UsageError
from ..files import write_text
from ..render import draw_points, fit_within, overlay, save_image, side_by_side
from ..targets import box_mask
from .localisation import Localisation, combined, localise

Predict = Callable[[Path], CountResult]

_log = logging.getLogger(__name__)

LEVELS = {"S0": (0, 0), "S1": (1, 100), "S2": (101, 500), "S3": (501, 5000), "S4": (5001, None)}
"""NWPU-Crowd's crowd levels by the number of heads, both ends included."""

_LUMINANCE = "luminance"
_MOST_CATEGORIES = 30
_WORST_SIDE = 1280


@dataclass(frozen=True)
class Metrics:
    """Errors over a set of images.

    Attributes:
        images: number of images.
        mae: mean absolute error in heads.
        rmse: root of the mean squared error in heads (NWPU-Crowd calls it MSE).
        nae: mean of |error| / actual over the images with at least one head, or None when there is no such image.
    """

    images: int
    mae: float
    rmse: float
    nae: float | None


def metrics(predicted: Sequence[float], actual: Sequence[float]) -> Metrics:
    """Compare counts image by image. Raises UsageError for no image or different lengths."""
    if len(predicted) != len(actual) or len(actual) == 0:
        raise UsageError(f"Expected as many predicted as actual counts, got {len(predicted)} and {len(actual)}.")
    truth = np.asarray(actual, np.float64)
    error = np.abs(np.asarray(predicted, np.float64) - truth)
    crowded = truth > 0
    nae = float(np.mean(error[crowded] / truth[crowded])) if crowded.any() else None
    return Metrics(len(truth), float(error.mean()), float(np.sqrt(np.mean(error**2))), nae)


def crowd_level(count: int) -> str:
    """Return NWPU-Crowd's level of an image with that many heads: "S0" (nobody) to "S4" (more than 5000)."""
    return next(name for name, (_, most) in LEVELS.items() if most is None or count <= most)


def mask_iou(mask_logits: FloatArray, boxes: FloatArray, cell: tuple[float, float]) -> float:
    """Return the intersection over union, in [0, 1], of the mask (logits above 0) and the head boxes, cell by cell.

    1.0 when both are empty. Source: paper, mask IoU with NWPU-Crowd's head boxes.

    Args:
        mask_logits: (h, w).
        boxes: (N, 4) as (x1, y1, x2, y2) pixels of the original image.
        cell: (x, y) size of a cell in pixels of the original image.
    """
    cells = (boxes / np.array([*cell, *cell])).astype(np.float32)
    target = box_mask(cells, (mask_logits.shape[0], mask_logits.shape[1]))
    mask = mask_logits > 0
    union = np.count_nonzero(mask | target)
    return np.count_nonzero(mask & target) / union if union else 1.0


@dataclass(frozen=True)
class ImageResult:
    """One image that was counted.

    Attributes:
        sample: the image and its annotation.
        predicted: heads.
        iou: of its mask with the head boxes, where there are both.
        points: predicted head locations (N, 2) as (x, y) pixels, where they were asked for.
        localisation: how they agree with the annotated heads, by rule; empty without both.
    """

    sample: Sample
    predicted: float
    iou: float | None = None
    points: FloatArray | None = None
    localisation: Mapping[str, Localisation] = field(default_factory=dict)

    @property
    def image(self) -> Path:
        """The image's path."""
        return self.sample.image

    @property
    def actual(self) -> int | None:
        """Number of annotated heads, or None for an unannotated image."""
        return None if self.sample.points is None else self.sample.count

    @property
    def error(self) -> float | None:
        """Predicted minus actual heads, or None for an unannotated image."""
        return None if self.actual is None else self.predicted - self.actual

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready values."""
        return {"image": str(self.image), "actual": self.actual, "predicted": self.predicted, "error": self.error}


@dataclass(frozen=True)
class Evaluation:
    """What came out for a list of samples.

    Attributes:
        rows: the images that were counted, in the order of the samples.
        failed: (path, reason) of the images that could not be read; they are in no metric.
        metrics: over all annotated rows, or None when no row is annotated.
        groups: metrics by attribute and value, such as groups["level"]["S3"] or groups["luminance"]["L0"].
        mask_iou: mean over the rows that have a mask and boxes, or None when no row has.
        localisation: over all heads of the rows whose heads were located, by rule.
    """

    rows: tuple[ImageResult, ...]
    failed: tuple[tuple[Path, str], ...] = ()
    metrics: Metrics | None = field(init=False)
    groups: Mapping[str, Mapping[str, Metrics]] = field(init=False)
    mask_iou: float | None = field(init=False)
    localisation: Mapping[str, Localisation] = field(init=False)

    def __post_init__(self) -> None:
        annotated = [row for row in self.rows if row.actual is not None]
        ious = [row.iou for row in self.rows if row.iou is not None]
        object.__setattr__(self, "metrics", _metrics(annotated) if annotated else None)
        object.__setattr__(self, "groups", _groups(annotated))
        object.__setattr__(self, "mask_iou", float(np.mean(ious)) if ious else None)
        object.__setattr__(self, "localisation", combined(row.localisation for row in self.rows))

    def worst(self, n: int) -> list[ImageResult]:
        """Return the n annotated rows with the largest absolute errors, largest first."""
        return sorted((row for row in self.rows if row.error is not None), key=lambda row: -abs(row.error or 0.0))[:n]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "metrics": None if self.metrics is None else asdict(self.metrics),
            "mask_iou": self.mask_iou,
            "localisation": {name: found.as_dict() for name, found in self.localisation.items()},
            "groups": {
                name: {value: asdict(part) for value, part in values.items()} for name, values in self.groups.items()
            },
            "failed": [{"image": str(image), "reason": reason} for image, reason in self.failed],
            "rows": [row.as_dict() for row in self.rows],
        }


def evaluate(
    predict: Predict,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] | None = None,
    *,
    locate: bool = False,
) -> Evaluation:
    """Count every sample's image and compare with its annotation.

    An image that cannot be read is warned of, left out of the metrics and listed in `Evaluation.failed`. Samples
    without annotation are counted too (for a submission) and are in no metric.

    Args:
        predict: counts the image at a path.
        samples: annotated or not.
        progress: called after each image with the number done and the number of all.
        locate: also find head locations, and compare them with the annotated heads.

    Raises:
        UsageError: there is no sample.
        RunError: not one image can be read, or counting itself fails.
    """
    if not samples:
        raise UsageError("Expected at least one image to evaluate, got none. Check the split with 'data check'.")
    rows: list[ImageResult] = []
    failed: list[tuple[Path, str]] = []
    for done, sample in enumerate(samples, start=1):
        try:
            rows.append(_row(sample, predict(sample.image), locate=locate))
        except UsageError as error:
            _log.warning("Left out of the evaluation: %s", error)
            failed.append((sample.image, str(error)))
        if progress is not None:
            progress(done, len(samples))
    if not rows:
        raise RunError(f"None of the {len(failed)} images could be counted. The first: {failed[0][1]}")
    return Evaluation(tuple(rows), tuple(failed))


def write_submission(path: Path, evaluation: Evaluation) -> None:
    """Write NWPU-Crowd's submission: a line `id count` per image, id the file's stem, the count to 4 decimals.

    Raises:
        RunError: an image could not be read (a submission must name every image), or the disk is full.
    """
    _refuse_incomplete(evaluation)
    write_text(path, "".join(f"{row.image.stem} {row.predicted:.4f}\n" for row in evaluation.rows))


def write_locations(path: Path, evaluation: Evaluation) -> None:
    """Write NWPU-Crowd's localisation submission: a line `id N x1 y1 x2 y2 ...` per image, whole pixels.

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


def print_evaluation(evaluation: Evaluation, console: Console, *, worst: int = 5) -> None:
    """Print metrics by group, the worst images and every image that could not be read."""
    if evaluation.metrics is None:
        console.print(f"{len(evaluation.rows)} images counted; none is annotated, so there are no metrics.")
    else:
        console.print(_metrics_table(evaluation, evaluation.metrics))
        if worst > 0:
            console.print(_worst_table(evaluation.worst(worst)))
    if evaluation.mask_iou is not None:
        console.print(f"Mask IoU with head boxes: {evaluation.mask_iou:.3f}")
    if evaluation.localisation:
        console.print(_localisation_table(evaluation.localisation))
    if evaluation.failed:
        console.print(f"{len(evaluation.failed)} images could not be read and are in no figure above:")
        for _, reason in evaluation.failed:
            console.print(f"  {reason}", markup=False)


def write_worst(directory: Path, evaluation: Evaluation, predict: Predict, n: int = 10) -> list[Path]:
    """Write pictures of the n worst images, annotated heads | predicted density and heads; return their paths.

    The files are named by rank, so that a folder sorts by error: `01_IMG_7_actual-120_predicted-87.jpg`.
    """
    paths = []
    for rank, row in enumerate(evaluation.worst(n), start=1):
        result = predict(row.image)
        image = fit_within(read_image(row.image), _WORST_SIDE)
        height, width = row.sample.size
        ratio = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        actual = np.zeros((0, 2), np.float32) if row.sample.points is None else row.sample.points
        panels = [
            draw_points(image, actual * ratio),
            overlay(image, result.density, None, points=result.points() * ratio),
        ]
        titles = [f"Actual {row.actual}", f"Predicted {row.predicted:.1f} ({row.error:+.1f})"]
        path = directory / f"{rank:02d}_{row.image.stem}_actual-{row.actual}_predicted-{row.predicted:.0f}.jpg"
        save_image(path, side_by_side(panels, titles))
        paths.append(path)
    return paths


def _row(sample: Sample, result: CountResult, *, locate: bool) -> ImageResult:
    iou = None
    if result.mask_logits is not None and sample.boxes is not None and len(sample.boxes) > 0:
        iou = mask_iou(result.mask_logits, sample.boxes, result.cell)
    if not locate:
        return ImageResult(sample, result.count, iou)
    points = result.points()
    return ImageResult(sample, result.count, iou, points, {} if sample.points is None else localise(sample, points))


def _metrics(rows: Iterable[ImageResult]) -> Metrics:
    pairs = [(row.predicted, row.sample.count) for row in rows]
    return metrics([predicted for predicted, _ in pairs], [actual for _, actual in pairs])


def _groups(rows: Sequence[ImageResult]) -> dict[str, dict[str, Metrics]]:
    """Group by crowd level and by every categorical attribute: text or whole numbers of few values."""
    members: dict[str, dict[str, list[ImageResult]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        members["level"][crowd_level(row.sample.count)].append(row)
        for name, value in row.sample.attributes.items():
            if name != "level" and isinstance(value, str | int):
                members[name][f"L{value}" if name == _LUMINANCE else str(value)].append(row)
    return {
        name: {value: _metrics(values[value]) for value in sorted(values)}
        for name, values in members.items()
        if len(values) <= _MOST_CATEGORIES
    }


def _metrics_table(evaluation: Evaluation, total: Metrics) -> Table:
    table = Table("group", "images", "MAE", "RMSE", "NAE", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("all", *_cells(total), style="bold")
    for name, values in evaluation.groups.items():
        if len(values) > 1:  # one value only would repeat the total
            for value, part in values.items():
                table.add_row(f"{name} {value}{_range(value) if name == 'level' else ''}", *_cells(part))
    return table


def _localisation_table(localisation: Mapping[str, Localisation]) -> Table:
    table = Table("within", "precision", "recall", "F1", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, found in localisation.items():
        table.add_row(name, *(f"{value:.3f}" for value in (found.precision, found.recall, found.f1)))
    return table


def _worst_table(rows: Sequence[ImageResult]) -> Table:
    table = Table("worst images", "actual", "predicted", "error", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.image.name, str(row.actual), f"{row.predicted:.1f}", f"{row.error:+.1f}")
    return table


def _cells(part: Metrics) -> tuple[str, str, str, str]:
    return str(part.images), f"{part.mae:.2f}", f"{part.rmse:.2f}", "-" if part.nae is None else f"{part.nae:.3f}"


def _range(level: str) -> str:
    least, most = LEVELS[level]
    if most is None:
        return f" (over {least - 1} heads)"
    return f" ({least} heads)" if least == most else f" ({least}-{most} heads)"
