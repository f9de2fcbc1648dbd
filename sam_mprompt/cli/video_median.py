"""The smoothed count of a video as its rows can tell it again."""

from ..counting.video.series import TrailingMedian


class MedianOfRows(TrailingMedian):
    """The median of counts and times as a csv file holds them.

    So a series that goes on from its rows is smoothed to the same digits as one that nobody stopped.
    """

    def add(self, seconds: float, count: float) -> float:
        """Note a count as a row of it is read back, and return the median with it."""
        return super().add(round(seconds, 3), round(count, 4))
