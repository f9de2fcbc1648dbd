"""What the counting of a video comes to, in lines and as JSON."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..counting.video.frame import Video
    from ..counting.video.series import Summary

OCCUPANCY = (
    "These are people in the picture at each time (occupancy), not how many passed by (flow): somebody who stays is in "
    "every count, and how many different people came takes tracking."
)


@dataclass(frozen=True)
class Report:
    """A summary.

    Attributes:
        video: what was counted.
        every: how often.
        summary, smoothed: of the counts, and of the smoothed ones; without frames where none were smoothed.
        outside: frames that lie outside what training saw.
    """

    video: "Video"
    every: str
    summary: "Summary"
    smoothed: "Summary"
    outside: int

    def lines(self) -> list[str]:
        """Return what is printed: a value a line, and what it means."""
        from ..counting.video.times import clock

        summary, health = self.summary, self.video.health
        rows = [
            ("frames counted", f"{summary.frames}, every {self.every}, {clock(summary.first)} to {clock(summary.last)}")
        ]
        for name, found in (("", summary), ("smoothed ", self.smoothed)):
            if found.frames:
                rows.append((f"{name}mean", f"{found.mean:,.1f}"))
                rows.append((f"{name}peak", f"{found.peak.people:,.1f} at {clock(found.peak.seconds)}"))
                rows.append((f"{name}minimum", f"{found.minimum.people:,.1f} at {clock(found.minimum.seconds)}"))
        rows.append(("broken frames", str(health.broken)))
        rows.append(("gaps", f"{health.gaps}, {health.gap_seconds:.1f} s together" if health.gaps else "0"))
        if self.outside:
            rows.append(("unlike training", f"{self.outside} frames: expect wrong counts"))
        if self.video.live:
            rows.append(("dropped frames", str(health.dropped)))
        return [*(f"{name:<18}{value}" for name, value in rows), OCCUPANCY]

    def record(self) -> dict[str, object]:
        """Return everything as JSON-ready values."""
        summary, health = self.summary, self.video.health
        return {
            "video": self.video.name,
            "every": self.every,
            "frames": summary.frames,
            "first": summary.first,
            "last": summary.last,
            "mean": summary.mean,
            "peak": {"count": summary.peak.people, "seconds": summary.peak.seconds},
            "minimum": {"count": summary.minimum.people, "seconds": summary.minimum.seconds},
            "broken": health.broken,
            "dropped": health.dropped,
            "gaps": health.gaps,
            "gap_seconds": round(health.gap_seconds, 3),
            "ended_early": health.ended_early,
            "unlike_training": self.outside,
            "measures": "occupancy: people in the picture at each time, not how many passed by",
        }
