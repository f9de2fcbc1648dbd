"""How well head locations agree with annotated heads: precision, recall and F1 under NWPU-Crowd's rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray
from ..data.sample import Sample

_PIXELS = (4, 8)  # tolerances where no head has a size, as other work on points-only datasets has them


@dataclass(frozen=True)
class Localisation:
    """Heads found and missed over a set of images.

    Attributes:
        matched: annotated heads that have a predicted location of their own.
        predicted, actual: number of predicted locations and of annotated heads.
    """

    matched: int
    predicted: int
    actual: int

    @property
    def precision(self) -> float:
        """Share of the predicted locations that are heads; 1 without any."""
        return self.matched / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the heads that were found; 1 without any."""
        return self.matched / self.actual if self.actual else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 when there is nobody and nobody was predicted."""
        both = self.predicted + self.actual
        return 2 * self.matched / both if both else 1.0

    def as_dict(self) -> dict[str, float]:
        """Return JSON-ready values."""
        return vars(self) | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def tolerances(sample: Sample) -> dict[str, NDArray[np.float64]]:
    """Return how far (N,) from each of a sample's heads, in pixels, a location may lie, by the rule's name.

    With a box for each head, NWPU-Crowd's: `sigma_s` is half the box's shorter side, `sigma_l` half its diagonal
    (https://www.crowdbenchmark.com, crowd localisation). Without: 4 and 8 pixels.
    """
    count = sample.count
    if sample.boxes is None or len(sample.boxes) != count:
        return {f"{pixels} px": np.full(count, float(pixels)) for pixels in _PIXELS}
    sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).astype(np.float64)
    return {"sigma_s": sides.min(axis=1) / 2, "sigma_l": np.hypot(sides[:, 0], sides[:, 1]) / 2}


def matches(predicted: FloatArray, actual: FloatArray, tolerance: NDArray[np.float64]) -> int:
    """Return the size of the largest one-to-one matching of locations and heads within each head's tolerance.

    Args:
        predicted: (M, 2) as (x, y).
        actual: (N, 2).
        tolerance: (N,), in the same unit; a distance equal to it still counts.
    """
    if len(predicted) == 0 or len(actual) == 0:
        return 0
    from scipy.sparse import coo_array  # here: evaluating counts takes no scipy
    from scipy.sparse.csgraph import maximum_bipartite_matching
    from scipy.spatial import cKDTree

    near = cKDTree(predicted).query_ball_point(actual, tolerance)
    heads = np.repeat(np.arange(len(actual)), [len(found) for found in near])
    places = np.fromiter((place for found in near for place in found), np.intp, len(heads))
    graph = coo_array((np.ones(len(heads), bool), (heads, places)), shape=(len(actual), len(predicted))).tocsr()
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def localise(sample: Sample, predicted: FloatArray) -> dict[str, Localisation]:
    """Compare locations (M, 2) in pixels with the heads of an annotated sample, under each of its `tolerances`."""
    actual = np.zeros((0, 2), np.float32) if sample.points is None else sample.points
    return {
        name: Localisation(matches(predicted, actual, tolerance), len(predicted), len(actual))
        for name, tolerance in tolerances(sample).items()
    }


def combined(images: Iterable[Mapping[str, Localisation]]) -> dict[str, Localisation]:
    """Add up images rule by rule: the benchmark's figures are over all heads, not a mean over images."""
    total: dict[str, Localisation] = {}
    for image in images:
        for name, found in image.items():
            before = total.get(name, Localisation(0, 0, 0))
            total[name] = Localisation(
                before.matched + found.matched, before.predicted + found.predicted, before.actual + found.actual
            )
    return total
