import math
import threading

import numpy as np
import pytest
from videos import ScriptedCapture, count_by_pooling, write_video

from sam_mprompt.counting.region import Region
from sam_mprompt.counting.regions import Regions
from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.live import Live
from sam_mprompt.counting.video.recording import Recording
from sam_mprompt.counting.video.series import Summary, TrailingMedian, count_frames
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.errors import RunError, UsageError


def series(video, count=count_by_pooling, *, every="1f", told=None, **options):
    notice = [].append if told is None else told.append
    return list(count_frames(video, count, every=Every.of(every), notice=notice, **options))


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_each_frame_that_is_due_is_counted_as_the_picture_that_it_is(tmp_path, batch_size):
    path = write_video(tmp_path / "v.avi", range(0, 200, 10))
    pictures = [frame.pixels for frame in open_video(path).frames(Every(seconds=0.5))]
    expected = [result.count for result in count_by_pooling(pictures)]
    found = series(open_video(path), every="500ms", batch_size=batch_size)
    assert [frame.count for frame in found] == pytest.approx(expected)
    assert [frame.seconds for frame in found] == pytest.approx([0, 0.5, 1, 1.5])
    assert [frame.index for frame in found] == [0, 5, 10, 15]
    assert all(frame.result is None for frame in found)


def test_results_are_kept_only_where_they_are_asked_for(tmp_path):
    found = series(open_video(write_video(tmp_path / "v.mp4", [50] * 3)), results=True)
    assert [frame.result.count for frame in found] == [frame.count for frame in found]
    assert found[0].result.overlay().shape == (48, 64, 3)


def test_frames_are_decoded_no_farther_ahead_than_two_batches():
    taken = []

    def counting(images):
        taken.append(3000 - len(capture.script))
        return count_by_pooling(images)

    capture = ScriptedCapture(range(3000))
    frames = count_frames(Recording(capture, "v"), counting, every=Every(frames=1), notice=print, batch_size=4)
    for _ in range(40):
        next(frames)
    frames.close()
    assert all(ahead <= 4 * (number + 2) for number, ahead in enumerate(taken))
    assert capture.released.is_set()


def test_what_is_left_half_way_leaves_no_thread_behind(tmp_path):
    frames = count_frames(
        open_video(write_video(tmp_path / "v.mp4", [9] * 50)), count_by_pooling, every=Every(frames=1), notice=print
    )
    next(frames)
    frames.close()
    assert not any(thread.name.startswith("sam-mprompt-frames") for thread in threading.enumerate())


def failing_at(greys):
    """Count, but fail on every batch that holds a frame of these greys."""

    def count(images):
        if any(round(float(np.mean(image))) in greys for image in images):
            raise RunError("The density holds NaN.")
        return count_by_pooling(images)

    return count


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_frame_that_cannot_be_counted_costs_itself_and_a_line(batch_size):
    told = []
    found = series(Recording(ScriptedCapture(range(10)), "v"), failing_at({3, 4}), told=told, batch_size=batch_size)
    assert [frame.index for frame in found] == [0, 1, 2, 5, 6, 7, 8, 9]
    assert len(told) == 2
    assert "was left out: The density holds NaN." in told[0]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_where_the_first_frame_cannot_be_counted_none_can(batch_size):
    with pytest.raises(RunError, match="NaN"):
        series(Recording(ScriptedCapture(range(10)), "v"), failing_at({0}), batch_size=batch_size)


def test_a_stream_that_was_lost_for_good_raises_behind_what_it_gave():
    video = Live(lambda: ScriptedCapture([1, 2, 3]), "cam", reconnect=0)
    frames = count_frames(video, count_by_pooling, every=Every(frames=1), notice=print)
    assert next(frames).clock is not None
    with pytest.raises(RunError, match="did not come back"):
        list(frames)


def test_regions_are_counted_and_ignore_zones_left_out(tmp_path):
    left = Region.around("left", [(0, 0), (32, 0), (32, 48), (0, 48)])
    zone = Region.around("", [(32, 0), (64, 0), (64, 24), (32, 24)], ignore=True)
    path = write_video(tmp_path / "v.mp4", [90] * 3)
    whole = series(open_video(path))[0]
    found = series(open_video(path), regions=Regions([left, zone]), smooth=TrailingMedian(1))[0]
    assert found.count == pytest.approx(0.75 * whole.count, rel=0.02)
    assert found.regions["left"].count == pytest.approx(0.5 * whole.count, rel=0.02)
    assert found.smoothed == found.count
    assert found.interval is None


def test_a_region_outside_the_frame_is_refused(tmp_path):
    far = Region.around("far", [(500, 0), (600, 0), (600, 48)])
    with pytest.raises(UsageError, match="far"):
        series(open_video(write_video(tmp_path / "v.mp4", [90] * 3)), regions=Regions([far]))


def test_the_median_is_that_of_the_span_and_one_wrong_frame_does_not_move_it():
    median = TrailingMedian("3s")
    found = [median.add(time, count) for time, count in enumerate([10, 12, 900, 12, 14, 16])]
    assert found == [10, 11, 12, 12, 14, 14]


def test_what_lies_before_a_gap_has_no_part_in_the_median():
    median = TrailingMedian(5)
    median.add(0, 100)
    assert median.add(60, 7) == 7


def test_the_median_of_a_long_stream_keeps_the_span_alone():
    median = TrailingMedian(10)
    for second in range(5000):
        median.add(second, second)
    assert median.add(5000, 5000) == 4995.5


def test_without_a_span_nothing_is_smoothed(tmp_path):
    found = series(open_video(write_video(tmp_path / "v.mp4", [9] * 3)), smooth=TrailingMedian(0))
    assert [frame.smoothed for frame in found] == [None] * 3


def test_a_summary_is_of_all_counts_and_knows_when_the_extremes_were():
    summary = Summary()
    for seconds, count in ((1, 4.0), (2, 9.0), (3, 2.0), (4, 9.0)):
        summary.add(seconds, count)
    assert (summary.frames, summary.mean, summary.first, summary.last) == (4, 6, 1, 4)
    assert (summary.peak.people, summary.peak.seconds) == (9, 2)
    assert (summary.minimum.people, summary.minimum.seconds) == (2, 3)
    assert math.isnan(Summary().mean)
