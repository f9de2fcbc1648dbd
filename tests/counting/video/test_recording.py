import pytest
from videos import ScriptedCapture, break_frames, greys_of, write_video

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.recording import Recording
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.errors import UsageError


def frames_of(video, every):
    return list(video.frames(Every.of(every)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_frames_come_at_the_times_of_the_container(tmp_path, suffix):
    path = write_video(tmp_path / f"v{suffix}", range(0, 240, 12), fps=8)
    video = open_video(path)
    frames = frames_of(video, "1s")
    assert [frame.seconds for frame in frames] == pytest.approx([0, 1, 2], abs=1e-3)
    assert [frame.index for frame in frames] == [0, 8, 16]
    assert greys_of(frames) == pytest.approx([0, 96, 192], abs=6)
    assert (video.length, video.fps, video.live) == (2.5, 8, False)
    assert (video.health.frames, video.health.broken, video.health.gaps) == (20, 0, 0)


def test_every_tenth_frame_is_by_number(tmp_path):
    frames = frames_of(open_video(write_video(tmp_path / "v.mp4", [9] * 25)), "10f")
    assert [frame.index for frame in frames] == [0, 10, 20]


def test_broken_frames_are_passed_over_counted_and_told_and_times_stay_right(tmp_path):
    told = []
    path = break_frames(write_video(tmp_path / "v.avi", [0] * 20, noisy=True), [5, 6, 10])
    video = open_video(path, notice=told.append)
    frames = frames_of(video, "5f")
    assert [(frame.index, round(frame.seconds, 3)) for frame in frames] == [(0, 0.0), (7, 0.7), (11, 1.1), (15, 1.5)]
    assert (video.health.frames, video.health.broken) == (17, 3)
    assert len(told) == 1
    assert "has broken frames" in told[0]


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_file_that_was_cut_gives_what_it_holds_and_says_where_it_ends(tmp_path, suffix):
    told = []
    path = write_video(tmp_path / f"v{suffix}", [0] * 40, noisy=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = open_video(path, notice=told.append)
    frames = frames_of(video, "1f")
    assert 5 < len(frames) < 30
    assert video.health.ended_early
    assert "of 0:00:04" in told[-1]


def test_a_whole_file_ends_in_silence(tmp_path):
    told = []
    frames_of(open_video(write_video(tmp_path / "v.mp4", [9] * 20), notice=told.append), "1s")
    assert told == []


def test_a_gap_in_the_times_is_marked_on_the_frame_behind_it(tmp_path):
    path = break_frames(write_video(tmp_path / "v.avi", [0] * 40, noisy=True), range(10, 30))
    video = open_video(path)
    frames = frames_of(video, "500ms")
    assert [round(frame.seconds, 1) for frame in frames] == [0.0, 0.5, 3.0, 3.5]
    assert [round(frame.gap, 1) for frame in frames] == [0, 0, 2.1, 0]
    assert (video.health.gaps, round(video.health.gap_seconds, 1)) == (1, 2.1)


def test_frames_that_come_rarely_are_no_gap(tmp_path):
    video = open_video(write_video(tmp_path / "v.mp4", [9] * 20, fps=1))
    frames_of(video, "100ms")
    assert video.health.gaps == 0


def test_pixels_that_cannot_be_decoded_are_a_broken_frame_and_the_next_one_takes_its_place():
    capture = ScriptedCapture(range(6))
    whole = capture.retrieve
    capture.retrieve = lambda: None if capture.grey == 2 else whole()
    video = Recording(capture, "v")
    assert greys_of(video.frames(Every(frames=2))) == [0, 3, 4]
    assert (video.health.frames, video.health.broken) == (5, 1)
    assert capture.released.is_set()


def test_a_video_without_a_frame_is_refused():
    with pytest.raises(UsageError, match="holds no frame that can be decoded"):
        list(Recording(ScriptedCapture([]), "v").frames(Every(seconds=1)))


def test_going_on_gives_the_frames_that_were_left(tmp_path):
    path = write_video(tmp_path / "v.mp4", [9] * 50)
    whole = [frame.seconds for frame in frames_of(open_video(path), "700ms")]
    rest = [frame.seconds for frame in open_video(path).frames(Every(seconds=0.7), after=whole[2])]
    assert rest == whole[3:]
