import os

import numpy as np
import pytest
from videos import greys_of, write_video

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.image_sequence import ImageSequence
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.data.bounds import Reading
from sam_mprompt.errors import UsageError


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.mp4", r"No video at 'nowhere.mp4'"),
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "it is none, it is damaged, or OpenCV's ffmpeg lacks its codec"),
        ("cut.mp4", r"its index \(moov\) is missing"),
        ("sound.avi", "it is none, it is damaged"),
        ("webcam:97", "Cannot open webcam 97"),
        ("rtsp://user:hunter2@127.0.0.1:9/live", r"Cannot open 'rtsp://user:\*\*\*@127.0.0.1:9/live'"),
        ("ftp://user:hunter2@host/a.mp4", r"'ftp://user:\*\*\*@host/a.mp4' is no address of a video"),
        ("frames/%04d.jpg", "No image of a sequence"),
        ("a" * 300 + "%04d.jpg", "No image of a sequence"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_a_line_without_a_password_and_in_silence(
    tmp_path, monkeypatch, capfd, name, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video " * 100)
    (tmp_path / "sound.avi").write_bytes(b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(4000))
    whole = write_video(tmp_path / "cut.mp4", [9] * 30, noisy=True).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=said) as refused:
        open_video(name)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert capfd.readouterr().err == ""


def test_a_misspelt_file_gets_a_suggestion(tmp_path):
    write_video(tmp_path / "station.mp4", [9])
    with pytest.raises(UsageError, match=r"Did you mean 'station.mp4'\?"):
        open_video(tmp_path / "statoin.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_as_such(tmp_path):
    path = write_video(tmp_path / "v.mp4", [9])
    path.chmod(0)
    with pytest.raises(UsageError, match="permission denied"):
        open_video(path)


def test_frames_of_more_pixels_than_accepted_are_refused_before_they_are_decoded(tmp_path):
    path = write_video(tmp_path / "v.mp4", [9] * 3)
    with pytest.raises(UsageError, match="frames of 64x48 pixels, more than the 3000 accepted"):
        open_video(path, reading=Reading(max_pixels=3000))
    assert open_video(path, reading=Reading(max_pixels=3072)).length == pytest.approx(0.3)


def test_a_file_whose_name_looks_like_an_address_or_a_pattern_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "at 10%d.mp4"):
        write_video(tmp_path / "v.mp4", [9] * 3).rename(name)
        assert len(list(open_video(name).frames(Every(frames=1)))) == 3


def test_a_video_that_was_filmed_upright_is_turned(tmp_path):
    path = write_video(tmp_path / "v.mp4", [9] * 3)
    content = bytearray(path.read_bytes())
    header = content.find(b"tkhd")
    matrix = header + 4 + 40  # behind version, times, track and layer: ISO 14496-12
    ninety = (0, 0x10000, 0, -0x10000 & 0xFFFFFFFF, 0, 0, 48 << 16, 0, 0x40000000)
    content[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big") for number in ninety)
    path.write_bytes(content)
    frame = next(iter(open_video(path).frames(Every(frames=1))))
    assert frame.pixels.shape == (64, 48, 3)


def test_colours_are_red_green_blue(tmp_path):
    path = write_video(tmp_path / "v.avi", [np.array([20, 90, 200], np.uint8)] * 2)  # OpenCV writes blue first
    frame = next(iter(open_video(path).frames(Every(frames=1))))
    assert frame.pixels.mean((0, 1)) == pytest.approx([200, 90, 20], abs=6)


def test_fps_is_for_images_alone(tmp_path):
    with pytest.raises(UsageError, match="has its own times"):
        open_video(write_video(tmp_path / "v.mp4", [9]), fps=5)
    with pytest.raises(UsageError, match="got none"):
        open_video([], fps=5)


def test_a_list_of_paths_is_a_sequence_in_that_order(tmp_path):
    from PIL import Image

    paths = []
    for grey in (30, 10, 20):
        paths.append(tmp_path / f"{grey}.png")
        Image.new("RGB", (8, 8), (grey,) * 3).save(paths[-1])
    video = open_video(paths, fps=2)
    assert isinstance(video, ImageSequence)
    assert greys_of(video.frames(Every(frames=1))) == [30, 10, 20]
