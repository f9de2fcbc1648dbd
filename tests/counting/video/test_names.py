import pytest

from sam_mprompt.counting.video.names import is_video, numbered, redacted


@pytest.mark.parametrize(
    "name", ["a.mp4", "A.MOV", "x/y.webm", "rtsp://cam/1", "http://a/b", "webcam:0", "frames/%06d.jpg", "f_%d.png"]
)
def test_videos_are_known_by_their_names(name):
    assert is_video(name)


@pytest.mark.parametrize("name", ["a.jpg", "photos", "*.png", "webcam:", "webcam:x", "mp4", "100%.jpg", "C:/a.jpg"])
def test_other_names_are_no_videos(name):
    assert not is_video(name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.5:554/live?x=1", "rtsp://admin:***@10.0.0.5:554/live?x=1"),
        ("rtsp://hunter2@cam/live", "rtsp://***@cam/live"),
        ("rtsp://admin:hun@ter2@cam/live", "rtsp://admin:***@cam/live"),
        ("http://cam/v.cgi?user=admin&pwd=hunter2&res=hd", "http://cam/v.cgi?user=admin&pwd=***&res=hd"),
        ("https://cam/v?access_token=hunter2", "https://cam/v?access_token=***"),
        ("rtsp://[hunter2", "rtsp://***"),
        ("http://cam/a%20b.mjpg", "http://cam/a%20b.mjpg"),
        ("odd:name@hunter.mp4", "odd:name@hunter.mp4"),
    ],
)
def test_passwords_are_hidden_and_the_rest_stays(address, shown):
    assert redacted(address) == shown


def test_a_numbered_name_matches_its_digits_and_no_other():
    pattern = numbered("frame+%04d.jpg")
    assert [bool(pattern.fullmatch(f"frame+{digits}.jpg")) for digits in ("0001", "12345", "001", "x")] == [
        True, True, False, False
    ]  # fmt: skip
    assert numbered("%d.png").fullmatch("7.png")[1] == "7"
    assert numbered("plain.png") is None
    assert numbered("%020d.png").fullmatch("00000000000000000007.png")[1] == "00000000000000000007"
