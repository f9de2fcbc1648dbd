"""How often error bars hold the truth, and how wide they are for it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..counting.intervals import Interval


@dataclass(frozen=True)
class Coverage:
    """What error bars are worth on annotated images.

    Attributes:
        level: what they promise.
        images: number of images that have error bars and a truth.
        inside: share of them, in [0, 1], whose truth lies in its interval.
        width: mean width of the intervals in heads.
    """

    level: float
    images: int
    inside: float
    width: float


def coverage(pairs: Iterable[tuple[Interval, float]]) -> Coverage | None:
    """Compare intervals of one level with the true numbers of heads; None for no pair."""
    known = list(pairs)
    if not known:
        return None
    return Coverage(
        level=known[0][0].level,
        images=len(known),
        inside=float(np.mean([heads in interval for interval, heads in known])),
        width=float(np.mean([interval.high - interval.low for interval, _ in known])),
    )
