"""Error bars: by what images were counted as that nobody trained on, how far from the truth a new count may be.

Split conformal prediction (Papadopoulos et al. 2002, "Inductive confidence machines for regression"; Lei et al. 2018,
arXiv:1604.04173; an introduction is arXiv:2107.07511). Free of torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError

LEVEL = 0.9
"""The level of an interval where none is given."""

Growth = Literal["absolute", "sqrt", "proportional"]
"""How errors grow with the count: not at all, with its square root, with itself."""

_POWERS: dict[Growth, float] = {"absolute": 0.0, "sqrt": 0.5, "proportional": 1.0}
_NOTHING: NDArray[np.float64] = np.empty(0)
_MISSING = "no images are known that were counted without being trained on"


@dataclass(frozen=True)
class Interval:
    """Where the true number of heads lies.

    Attributes:
        low, high: heads, both ends included; never below 0.
        level: the share of images, in (0, 1), whose truth lies in such an interval, at least.
    """

    low: float
    high: float
    level: float

    def __contains__(self, heads: float) -> bool:
        return self.low <= heads <= self.high

    def __str__(self) -> str:
        return f"{shown_level(self.level)}: {self.low:,.0f} to {self.high:,.0f}"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What held-out images had and were counted as, and the intervals that follow.

    **Guarantee**: if a new image is exchangeable with the held-out ones (the same camera, times and crowds, and the
    same weights that count), its truth lies in the interval with a probability of at least the level, over the draws of
    all these images, whatever the counter is like. Nothing is said of one image, nor of another camera.

    **Scores** are signed errors, (heads - counted) / scale. Counters often err to one side, so the two ends are
    quantiles of their own, each with half of what the level leaves: the ceil((n + 1)(1 + level) / 2)-th smallest score
    and its mirror image. That takes n + 1 >= 2 / (1 - level) images, 19 for 90 %. With fewer, from n + 1 >=
    1 / (1 - level) on, 9 for 90 %, the interval is symmetrical: the ceil((n + 1) level)-th smallest absolute score.
    Which of both decides n alone, no error.

    **Scale** is 1, the square root of the count, or the count (at least 1), whichever makes the errors the most likely
    if they are Laplace-distributed with that scale: the one of least log(mean(|error| / scale)) + mean(log(scale)).
    A scale that is chosen by looking at the same errors would void the guarantee, were it not for this: the image in
    question is among those that choose. For every truth that it may have the scale is chosen from all n + 1, which is
    a rule symmetrical in them, and a truth belongs to the interval where its score is within the quantiles of that
    scale (Vovk et al. 2005, full conformal prediction). What is returned is the hull of these truths.

    Attributes:
        heads: (n,), annotated.
        counted: (n,), heads that were counted.
        missing: why there are none.
        for_good: whether calibrating the adapter would not change that.
    """

    heads: NDArray[np.float64] = field(default_factory=_NOTHING.copy, repr=False)
    counted: NDArray[np.float64] = field(default_factory=_NOTHING.copy, repr=False)
    missing: str = _MISSING
    for_good: bool = False
    _scales: "tuple[_Scale, ...]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_scales", tuple(_Scale.of(power, self) for power in _POWERS.values()))

    @classmethod
    def fit(cls, heads: ArrayLike, counted: ArrayLike) -> "Calibration":
        """Return the calibration of held-out images.

        Args:
            heads: (n,), annotated heads of each.
            counted: (n,), what each was counted as by weights that were not trained on it.

        Raises:
            UsageError: different lengths, or values that are not finite.
        """
        truth, found = np.asarray(heads, np.float64), np.asarray(counted, np.float64)
        if truth.shape != found.shape or truth.ndim != 1:
            raise UsageError(f"Expected a count for each number of heads, got {truth.shape} and {found.shape}.")
        if not (np.isfinite(truth).all() and np.isfinite(found).all()):
            raise UsageError("Expected finite heads and counts to calibrate with, got NaN or infinity.")
        return cls(truth, found)

    @property
    def images(self) -> int:
        """Number of held-out images."""
        return len(self.heads)

    @property
    def highest_level(self) -> float:
        """The highest level that there is an interval for: n / (n + 1)."""
        return self.images / (self.images + 1)

    @property
    def growth(self) -> Growth:
        """How the errors of the held-out images grow with the count."""
        return list(_POWERS)[int(np.argmin([scale.cost for scale in self._scales]))]

    def why_not(self, level: float = LEVEL) -> str | None:
        """Say why there is no interval of a level, None where there is one. Raises UsageError for no level."""
        share = checked_level(level)
        if not self.images:
            return self.missing
        if share <= Fraction(self.images, self.images + 1):
            return None
        needed, most = ceil(1 / (1 - share)) - 1, int(1000 * self.highest_level) / 10
        return (
            f"{shown_level(level)} needs {needed} images that were not trained on, and {self.images} are known: the "
            f"highest level is {most:g} %"
        )

    def interval(self, count: float, level: float = LEVEL) -> Interval | None:
        """Return where the truth of an image lies that is counted as `count`, None where `why_not` says why.

        The count itself may lie outside: where a counter always errs to one side, the truth lies on the other.

        Raises:
            UsageError: the level is not between 0 and 1.
        """
        if self.why_not(level) is not None:
            return None
        share, ends = checked_level(level), []
        lines = [scale.line(count) for scale in self._scales]
        for number, scale in enumerate(self._scales):
            lowest, highest = (bound * scale.size(count) for bound in scale.bounds(share))
            nearest, farthest = _winning(lines, number)
            for side in (1, -1):  # a truth above the count, and one below it
                first, last = sorted((side * lowest, side * highest))
                first, last = max(first, nearest), min(last, farthest)
                if first <= last:
                    ends += [count + side * first, count + side * last]
        if not ends:  # nothing agrees: then any interval does, so take that of the scale without the image
            chosen = self._scales[list(_POWERS).index(self.growth)]
            ends = [count + bound * chosen.size(count) for bound in chosen.bounds(share)]
        return Interval(max(0.0, min(ends)), max(0.0, *ends), float(level))


class _Line(NamedTuple):
    """What the image in question adds to a scale's cost, by the size of its error: start + slope * error."""

    start: float
    slope: float


@dataclass(frozen=True, eq=False)
class _Scale:
    """One way in which errors may grow: the sorted scores of the held-out images, and what makes it likely."""

    power: float
    scores: NDArray[np.float64]
    absolute: NDArray[np.float64]
    logs: float

    @classmethod
    def of(cls, power: float, known: Calibration) -> "_Scale":
        size = np.maximum(known.counted, 1.0) ** power
        scores = np.sort((known.heads - known.counted) / size)
        return cls(power, scores, np.sort(np.abs(scores)), float(np.log(size).sum()))

    def size(self, count: float) -> float:
        return float(max(count, 1.0) ** self.power)

    @property
    def cost(self) -> float:
        """The sum of absolute scores times the geometric mean of the scales; the least is the likeliest."""
        return float(self.absolute.sum() * np.exp(self.logs / max(len(self.absolute), 1)))

    def line(self, count: float) -> _Line:
        """Return the cost with a further image that is counted as `count`, by its error."""
        size = self.size(count)
        weight = float(np.exp((self.logs + np.log(size)) / (len(self.absolute) + 1)))
        return _Line(weight * float(self.absolute.sum()), weight / size)

    def bounds(self, level: Fraction) -> tuple[float, float]:
        """Return the scores between which that of an exchangeable image lies with the level's probability."""
        n = len(self.scores)
        upper = ceil((n + 1) * (1 + level) / 2)
        if upper <= n:
            return float(self.scores[n - upper]), float(self.scores[upper - 1])
        most = float(self.absolute[ceil((n + 1) * level) - 1])
        return -most, most


UNCALIBRATED = Calibration(missing="it was not counted by an adapter with a calibration")


def _winning(lines: Sequence[_Line], number: int) -> tuple[float, float]:
    """Return the sizes of error, from and to, for which a scale costs the least of all; from > to for none."""
    own, first, last = lines[number], 0.0, np.inf
    for other in lines:
        start, slope = other.start - own.start, other.slope - own.slope
        if slope > 0:
            first = max(first, -start / slope)
        elif slope < 0:
            last = min(last, start / -slope)
        elif start < 0:
            return np.inf, -np.inf
    return first, last


def checked_level(level: float) -> Fraction:
    """Return a level as the fraction that its digits say. Raises UsageError where it is not between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        percent = isinstance(level, int | float) and 1 < level < 100
        hint = f" Did you mean {level / 100:g}?" if percent else ""
        raise UsageError(f"level: expected a number between 0 and 1, such as 0.9, got {level!r}.{hint}")
    return Fraction(str(float(level)))


def shown_level(level: float) -> str:
    """Return a level in percent: 0.9 as "90 %"."""
    return f"{100 * level:g} %"
