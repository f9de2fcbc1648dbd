import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from videos import greys_of

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.film import Film, stamped
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.errors import RunError


def grey(value, size=(48, 64)):
    return np.full((*size, 3), value, np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_film_plays_in_the_time_of_what_it_shows(tmp_path, suffix):
    film = Film(tmp_path / f"f{suffix}", 0.5)
    for seconds, value in ((10, 0), (10.5, 60), (13, 120), (13.5, 240)):
        film.add(seconds, grey(value))
    film.close()
    video = open_video(film.path)
    frames = list(video.frames(Every(seconds=0.5)))
    assert video.length == pytest.approx(4, abs=0.21)
    assert greys_of(frames) == pytest.approx([0, 60, 60, 60, 60, 60, 120, 240], abs=6)


def test_frames_of_other_sizes_odd_ones_and_large_ones_fit(tmp_path):
    film = Film(tmp_path / "f.mp4", 1)
    film.add(0, grey(80, (2161, 3841)))
    film.add(1, grey(160, (31, 33)))
    film.close()
    frames = list(open_video(film.path).frames(Every(seconds=1)))
    assert {frame.pixels.shape for frame in frames} == {(1080, 1920, 3)}


def test_a_film_without_a_picture_leaves_no_file(tmp_path):
    Film(tmp_path / "f.mp4", 1).close()
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(RunError, match="Cannot write"):
        Film(tmp_path / "taken.mp4", 1).add(0, grey(1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
def test_a_film_on_a_full_disk_is_told_when_it_is_finished(tmp_path):
    (tmp_path / "f.avi").symlink_to("/dev/full")
    film = Film(tmp_path / "f.avi", 1)
    with pytest.raises(RunError, match="Cannot write"):  # noqa: PT012 - now or in the end
        film.add(0, grey(1))
        film.close()


_KILLED = """
import os, sys
import numpy as np
from pathlib import Path
from sam_mprompt.counting.video.film import Film
film = Film(Path(sys.argv[1]), 0.2)
noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
for number in range(300):
    film.add(number / 5, noise)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_what_is_said_to_stay_playable_where_the_process_is_killed_does(tmp_path, suffix):
    path = tmp_path / f"f{suffix}"
    subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    assert sum(1 for _ in open_video(path).frames(Every(frames=1))) > 100


def test_the_stamp_is_at_the_bottom_and_changes_nothing_else():
    picture = grey(200, (240, 320))
    marked = stamped(picture, "0:00:05")
    changed = np.flatnonzero((marked != picture).any((1, 2)))
    assert 200 < changed.min() < changed.max() == 239
    assert (marked[220] != picture[220]).any()
    assert (picture == 200).all()


def test_a_picture_too_small_for_a_stamp_goes_without():
    assert (stamped(grey(7, (12, 12)), "0:00:05") == 7).all()
    assert cv2.countNonZero(stamped(grey(0, (12, 12)), "0:00:05")[..., 0]) == 0
