import pytest
from PIL import Image
from videos import greys_of

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.errors import UsageError


@pytest.fixture
def frames(tmp_path):
    """Twelve numbered images from 5 on, of which the fourth is missing."""
    for number in range(5, 17):
        if number != 8:
            Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / f"f_{number:04d}.png")
    (tmp_path / "f_note.txt").touch()
    return tmp_path


def test_numbers_and_frame_rate_give_the_times_and_a_missing_number_is_time_too(frames):
    video = open_video(frames / "f_%04d.png", fps=4)
    found = list(video.frames(Every(seconds=0.5)))
    assert [frame.seconds for frame in found] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert greys_of(found) == [5, 7, 9, 11, 13, 15]
    assert video.length == 3


def test_a_folder_is_counted_in_natural_order(frames):
    assert greys_of(open_video(frames, fps=4).frames(Every(frames=5))) == [5, 11, 16]


def test_a_broken_image_costs_itself_and_the_next_one_stands_in(frames):
    told = []
    (frames / "f_0007.png").write_bytes(b"broken")
    video = open_video(frames / "f_%04d.png", fps=1, notice=told.append)
    assert greys_of(video.frames(Every(frames=2))) == [5, 9, 11, 13, 15]
    assert video.health.broken == 1
    assert len(told) == 1
    assert "f_0007.png" in told[0]


def test_where_all_images_are_broken_the_first_says_why(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"broken")
    with pytest.raises(UsageError, match=r"no frame that can be decoded: .*0\.jpg"):
        list(open_video(tmp_path / "%d.jpg", fps=1).frames(Every(frames=1)))


def test_a_long_hole_is_a_gap(tmp_path):
    for number in (0, 1, 2, 9, 10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    video = open_video(tmp_path / "%d.png", fps=1)
    assert [frame.gap for frame in video.frames(Every(frames=1))] == [0, 0, 0, 7, 0]
    assert video.health.gaps == 1


@pytest.mark.parametrize("fps", [0, -1, 1e9, True, float("nan")])
def test_a_frame_rate_that_is_none_is_refused(frames, fps):
    with pytest.raises(UsageError, match="fps: expected frames per second"):
        open_video(frames, fps=fps)


def test_without_a_frame_rate_times_are_not_guessed(frames):
    with pytest.raises(UsageError, match="times follow from a frame rate"):
        open_video(frames / "f_%04d.png")
