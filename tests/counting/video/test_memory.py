from pathlib import Path

import pytest
from videos import count_by_pooling, write_video

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.plot import Course
from sam_mprompt.counting.video.series import Summary, TrailingMedian, count_frames
from sam_mprompt.counting.video.source import open_video


def memory():
    """Megabytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells what a process holds")
def test_an_hour_of_video_takes_no_more_memory_than_ten_minutes(tmp_path):
    path = write_video(tmp_path / "hour.mp4", [number % 250 for number in range(3600)], fps=1, size=(96, 128))
    summary, course, held = Summary(), Course(), {}
    frames = count_frames(
        open_video(path), count_by_pooling, every=Every(seconds=1), notice=print, batch_size=4,
        smooth=TrailingMedian(30), results=True,
    )  # fmt: skip
    for number, frame in enumerate(frames, start=1):
        summary.add(frame.seconds, frame.count)
        course.add(frame.seconds, frame.count, frame.smoothed)
        if number % 600 == 0:
            held[number] = memory()
    assert summary.frames == 3600
    assert held[3600] - held[600] < 8, held  # three thousand pictures would be 110
