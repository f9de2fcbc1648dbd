"""How far counts of parts of images are from annotations, with what is ignored left out of both."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..arrays import Mask, Reals
from ..counting.polygons import contains
from ..counting.region import Region
from ..counting.regions import RegionCounts, Regions
from ..counting.result import CountResult
from ..data.sample import Sample
from ..errors import UsageError
from .metrics import Metrics, metrics

ELSEWHERE = "elsewhere"
"""What lies in no region, among the regions' names."""


class EvaluatedRegions:
    """Regions of the images of a split.

    Args:
        regions: ignore zones among them hold for counts and annotations.
    """

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        self._counts: dict[Path, RegionCounts] = {}

    def kept(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples without the heads, and boxes by their middles, that are ignored.

        Where regions do not fit an image its sample stays as it is: counting it says so (`counted`).
        """
        return [self._kept(sample) if self.regions.ignores else sample for sample in samples]

    def counted(self, predict: Callable[[Path], CountResult]) -> Callable[[Path], CountResult]:
        """Return what counts an image without what is ignored, and remembers the counts of its regions for `metrics`.

        It raises UsageError where a region does not fit the image.
        """

        if not len(self.regions):
            return predict

        def without_ignored(image: Path) -> CountResult:
            result = predict(image)
            self._counts[image] = result.regions(self.regions)
            return result.without_ignored(self.regions)

        return without_ignored

    def metrics(self, samples: Sequence[Sample]) -> dict[str, Metrics]:
        """Return the errors in each region, and elsewhere, over the annotated samples that were counted and have it."""
        pairs: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for sample in samples:
            if sample.points is None or sample.image not in self._counts:
                continue
            counts, placed = self._counts[sample.image], self._placed(sample)
            zones = [region for region in placed if region.ignore]
            points = sample.points[~_inside(zones, sample.points)]
            polygons = {region.name: [region] for region in placed if not region.ignore}
            for region in counts.regions:
                pairs[region.name].append((region.count, int(_inside(polygons[region.name], points).sum())))
            pairs[ELSEWHERE].append((counts.elsewhere, int((~_inside(placed, points)).sum())))
        order = [name for name in (*self.regions.names, ELSEWHERE) if name in pairs]
        return {name: metrics(*zip(*pairs[name], strict=True)) for name in order}

    def _placed(self, sample: Sample) -> tuple[Region, ...]:
        return self.regions.in_pixels(sample.size, sample.image)

    def _kept(self, sample: Sample) -> Sample:
        try:
            zones = [region for region in self._placed(sample) if region.ignore]
        except UsageError:
            return sample
        points, boxes = sample.points, sample.boxes
        if points is not None:
            if boxes is not None and len(boxes) == len(points):  # of the same heads
                boxes = boxes[~_inside(zones, points)]
            elif boxes is not None:
                boxes = boxes[~_inside(zones, (boxes[:, :2] + boxes[:, 2:]) / 2)]
            points = points[~_inside(zones, points)]
        return replace(sample, points=points, boxes=boxes)


def _inside(regions: Sequence[Region], points: Reals) -> Mask:
    return contains([polygon for region in regions for polygon in region.polygons], points.astype(np.float64))
