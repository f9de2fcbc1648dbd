"""How far a counter's predictions are from annotations, image by image and over a split."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import FloatArray
from ..counting.intervals import LEVEL, Interval
from ..counting.result import CountResult
from ..data.sample import Sample
from ..errors import RunError, UsageError
from .coverage import Coverage, coverage
from .localisation import Localisation, combined, localise
from .metrics import Metrics, box_iou, crowd_level, metrics

Predict = Callable[[Path], CountResult]

_log = logging.getLogger(__name__)

_LUMINANCE = "luminance"
_MOST_CATEGORIES = 30


@dataclass(frozen=True)
class ImageResult:
    """One image that was counted.

    Attributes:
        sample: the image and its annotation.
        predicted: heads.
        iou: of its mask with the head boxes, where there are both.
        points: predicted head locations (N, 2) as (x, y) pixels, where they were asked for.
        localisation: how they agree with the annotated heads, by rule; empty without both.
        interval: the error bars of the count, where the counter has a calibration.
    """

    sample: Sample
    predicted: float
    iou: float | None = None
    points: FloatArray | None = None
    localisation: Mapping[str, Localisation] = field(default_factory=dict)
    interval: Interval | None = None

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
        bars = {} if self.interval is None else {"low": self.interval.low, "high": self.interval.high}
        row = {"image": str(self.image), "actual": self.actual, "predicted": self.predicted, "error": self.error}
        return row | bars


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
        coverage: how often the error bars hold the truth, over the annotated rows; None without error bars.
    """

    rows: tuple[ImageResult, ...]
    failed: tuple[tuple[Path, str], ...] = ()
    metrics: Metrics | None = field(init=False)
    groups: Mapping[str, Mapping[str, Metrics]] = field(init=False)
    mask_iou: float | None = field(init=False)
    localisation: Mapping[str, Localisation] = field(init=False)
    coverage: Coverage | None = field(init=False)

    def __post_init__(self) -> None:
        annotated = [row for row in self.rows if row.actual is not None]
        ious = [row.iou for row in self.rows if row.iou is not None]
        object.__setattr__(self, "metrics", _metrics(annotated) if annotated else None)
        object.__setattr__(self, "groups", _groups(annotated))
        object.__setattr__(self, "mask_iou", float(np.mean(ious)) if ious else None)
        object.__setattr__(self, "localisation", combined(row.localisation for row in self.rows))
        bars = [(row.interval, row.sample.count) for row in annotated if row.interval is not None]
        object.__setattr__(self, "coverage", coverage(bars))

    def worst(self, n: int) -> list[ImageResult]:
        """Return the n annotated rows with the largest absolute errors, largest first."""
        return sorted((row for row in self.rows if row.error is not None), key=lambda row: -abs(row.error or 0.0))[:n]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "metrics": None if self.metrics is None else asdict(self.metrics),
            "coverage": None if self.coverage is None else asdict(self.coverage),
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
    level: float = LEVEL,
) -> Evaluation:
    """Count every sample's image and compare with its annotation.

    An image that cannot be read is warned of, left out of the metrics and listed in `Evaluation.failed`. Samples
    without annotation are counted too (for a submission) and are in no metric.

    Args:
        predict: counts the image at a path.
        samples: annotated or not.
        progress: called after each image with the number done and the number of all.
        locate: also find head locations, and compare them with the annotated heads.
        level: of the error bars, where the counter has a calibration.

    Raises:
        UsageError: there is no sample.
        RunError: not one image can be read, or counting itself fails.
    """
    if not samples:
        raise UsageError("Expected at least one image to evaluate, got none.", about="empty split")
    rows: list[ImageResult] = []
    failed: list[tuple[Path, str]] = []
    for done, sample in enumerate(samples, start=1):
        try:
            rows.append(_row(sample, predict(sample.image), locate=locate, level=level))
        except UsageError as error:
            _log.warning("Left out of the evaluation: %s", error)
            failed.append((sample.image, str(error)))
        if progress is not None:
            progress(done, len(samples))
    if not rows:
        raise RunError(f"None of the {len(failed)} images could be counted. The first: {failed[0][1]}")
    return Evaluation(tuple(rows), tuple(failed))


def _row(sample: Sample, result: CountResult, *, locate: bool, level: float) -> ImageResult:
    iou, bars = None, result.interval(level)
    if result.mask_logits is not None and sample.boxes is not None and len(sample.boxes) > 0:
        iou = box_iou(result.mask_logits > 0, sample.boxes, result.cell)
    if not locate:
        return ImageResult(sample, result.count, iou, interval=bars)
    points = result.points()
    found = {} if sample.points is None else localise(sample, points)
    return ImageResult(sample, result.count, iou, points, found, bars)


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
