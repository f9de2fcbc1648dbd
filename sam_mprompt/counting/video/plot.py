"""The count over time as a picture: a line, its smoothed course, the band of the intervals, and where nothing came."""

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...arrays import ByteImage
from .times import clock

_WIDTH, _HEIGHT = 1200, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 52, 62
_SUPER = 3  # drawn larger and shrunk: smooth lines of any width
_PAPER, _INK, _GRID, _GAP = (255, 255, 255), (45, 45, 45), (228, 228, 228), (240, 236, 228)
_RAW, _SMOOTH, _BAND = (150, 170, 200), (24, 84, 160), (214, 226, 242)
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds between two marks of the time; beyond them days."""

_MOST_MARKS = 9

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Course:
    """What a plot shows: some numbers for each frame, packed, so that days of a stream fit into megabytes."""

    def __init__(self) -> None:
        self._columns = tuple(array("d") for _ in range(6))

    def add(
        self,
        seconds: float,
        count: float,
        smoothed: float | None = None,
        interval: tuple[float, float] | None = None,
        gap: float = 0.0,
    ) -> None:
        """Add a frame's count; times must not go back."""
        low, high = interval if interval is not None else (math.nan, math.nan)
        values = (seconds, count, math.nan if smoothed is None else smoothed, low, high, gap)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def arrays(self) -> NDArray[np.float64]:
        """Return (6, n): seconds, count, smoothed, low, high, and the gap before each; NaN for what there is not."""
        return np.array([np.frombuffer(column, np.float64) for column in self._columns])


def plot(course: Course, title: str) -> ByteImage:
    """Return uint8 RGB (480, 1200, 3): the count over time.

    The smoothed course is dark where there is one, with the counts themselves light behind it; the band is that of the
    intervals. A gap interrupts all of them and is shaded.

    Args:
        course: at least one count.
        title: stands above.
    """
    seconds, count, smoothed, low, high, gap = course.arrays()
    axes = _Axes.of(seconds, np.concatenate([count, smoothed, high]))
    canvas = np.full((_HEIGHT * _SUPER, _WIDTH * _SUPER, 3), 255, np.uint8)
    for at in np.flatnonzero(gap > 0):
        start = seconds[at - 1] if at else seconds[at] - gap[at]
        cv2.rectangle(canvas, axes.at(max(start, axes.first), axes.top), axes.at(seconds[at], 0), _GAP, -1)
    for value in axes.values:
        cv2.line(canvas, axes.at(axes.first, value), axes.at(axes.last, value), _GRID, _SUPER)
    breaks = [0, *np.flatnonzero(gap > 0), len(seconds)]
    pieces = [slice(first, last) for first, last in pairwise(breaks) if first < last]
    for piece in pieces:
        _band(canvas, axes, seconds[piece], low[piece], high[piece])
    smooth = bool(np.isfinite(smoothed).any())
    for piece in pieces:
        _line(canvas, axes, seconds[piece], count[piece], _RAW if smooth else _SMOOTH, 1.2 if smooth else 2.0)
        if smooth:
            _line(canvas, axes, seconds[piece], smoothed[piece], _SMOOTH, 2.2)
    cv2.line(canvas, axes.at(axes.first, 0), axes.at(axes.last, 0), _INK, _SUPER)
    shrunk = Image.fromarray(cv2.resize(canvas, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA))
    _write(ImageDraw.Draw(shrunk), axes, title, _legend(smooth, bool(np.isfinite(low).any()), bool((gap > 0).any())))
    return np.asarray(shrunk)


class _Axes:
    """Where a time and a count lie in the picture, and which of them are marked."""

    def __init__(self, first: float, last: float, times: Sequence[float], values: Sequence[float]) -> None:
        self.first, self.last, self.times, self.values = first, last, times, values
        self.top = values[-1]

    @classmethod
    def of(cls, seconds: NDArray[np.float64], counts: NDArray[np.float64]) -> "_Axes":
        first, last = float(seconds[0]), float(seconds[-1])
        if last - first < 1e-3:
            first, last = first - 0.5, first + 0.5
        step = _time_step(last - first)
        times = np.arange(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1) * step
        most = max(1.0, float(np.nanmax(counts)))
        rise = _round_step(most / 5)
        values = np.arange(math.ceil(most / rise - 1e-9) + 1) * rise
        return cls(first, last, [float(t) for t in times], [float(v) for v in values])

    def place(self, seconds: float, value: float) -> tuple[float, float]:
        """Return x and y in pixels of the picture."""
        x = _LEFT + (seconds - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)
        y = _HEIGHT - _BOTTOM - value / self.top * (_HEIGHT - _TOP - _BOTTOM)
        return x, y

    def points(self, seconds: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return int32 (n, 2): where each value lies on the canvas, (x, y)."""
        x = _LEFT + (seconds - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)
        y = _HEIGHT - _BOTTOM - values / self.top * (_HEIGHT - _TOP - _BOTTOM)
        return np.asarray(np.rint(np.stack([x, y], 1) * _SUPER), np.int32)

    def at(self, seconds: float, value: float) -> tuple[int, int]:
        """Return x and y in pixels of the canvas."""
        x, y = self.place(float(seconds), float(value))
        return round(x * _SUPER), round(y * _SUPER)


def _time_step(span: float) -> float:
    for step in _STEPS:
        if span / step <= _MOST_MARKS:
            return _round_step(span / _MOST_MARKS) if span < _MOST_MARKS / 2 else step
    return 86400 * _round_step(span / 86400 / _MOST_MARKS)


def _round_step(least: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is no less than this."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _line(
    canvas: ByteImage,
    axes: _Axes,
    seconds: NDArray[np.float64],
    values: NDArray[np.float64],
    colour: tuple[int, int, int],
    width: float,
) -> None:
    there = np.isfinite(values)
    points = axes.points(seconds[there], values[there])
    if len(points) == 1:
        cv2.circle(canvas, (int(points[0, 0]), int(points[0, 1])), round(2 * _SUPER), colour, -1, cv2.LINE_AA)
    elif len(points):
        cv2.polylines(canvas, [points], False, colour, round(width * _SUPER), cv2.LINE_AA)


def _band(
    canvas: ByteImage,
    axes: _Axes,
    seconds: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> None:
    there = np.isfinite(low) & np.isfinite(high)
    if there.sum() < 2:
        return
    above = axes.points(seconds[there], high[there])
    below = axes.points(seconds[there], np.maximum(low[there], 0))
    cv2.fillPoly(canvas, [np.concatenate([above, below[::-1]])], _BAND, cv2.LINE_AA)


def _legend(smooth: bool, band: bool, gaps: bool) -> list[tuple[str, tuple[int, int, int]]]:
    entries = [("counted", _RAW if smooth else _SMOOTH)]
    entries += [("smoothed", _SMOOTH)] if smooth else []
    entries += [("interval", _BAND)] if band else []
    return entries + ([("nothing came", _GAP)] if gaps else [])


def _write(draw: ImageDraw.ImageDraw, axes: _Axes, title: str, legend: list[tuple[str, tuple[int, int, int]]]) -> None:
    """Write title, legend and the marks of both axes."""
    small, large = ImageFont.load_default(14), ImageFont.load_default(18)
    x = float(_WIDTH - _RIGHT)
    for name, colour in reversed(legend):
        x -= draw.textlength(name, font=small)
        draw.text((x, 19), name, fill=_INK, font=small)
        x -= 20
        draw.rectangle((x, 21, x + 13, 32), fill=colour)
        x -= 18
    draw.text((_LEFT, 15), _fitted(draw, title, large, x - _LEFT), fill=_INK, font=large)
    draw.text((10, 24), "people", fill=_INK, font=small)
    for value in axes.values:
        text = f"{value:,g}" if value < 1e6 else f"{value:,.0f}"
        y = axes.place(axes.first, value)[1]
        draw.text((_LEFT - 10 - draw.textlength(text, font=small), y - 8), text, fill=_INK, font=small)
    digits = 0 if len(axes.times) < 2 or axes.times[1] - axes.times[0] >= 1 else 1
    base = _HEIGHT - _BOTTOM
    for seconds in axes.times:
        text, x = clock(seconds, digits), axes.place(seconds, 0)[0]
        draw.line((x, base, x, base + 5), fill=_INK)
        half = draw.textlength(text, font=small) / 2
        draw.text((min(x - half, _WIDTH - 2 * half - 4), base + 9), text, fill=_INK, font=small)
    note = "people in the picture at each time, not how many passed by"
    draw.text((_LEFT, _HEIGHT - 26), note, fill=(120, 120, 120), font=small)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    end = next((n for n in range(len(text), 0, -1) if draw.textlength(f"{text[:n]}...", font=font) <= width), 0)
    return f"{text[:end]}..."
