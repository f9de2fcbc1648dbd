import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from videos import ScriptedCapture, greys_of

from sam_mprompt.counting.video import capture
from sam_mprompt.counting.video.capture import OpenCVCapture
from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.live import Live
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.data.bounds import Reading
from sam_mprompt.errors import RunError, UsageError

SOON = 0.001
PAUSE = partial(time.sleep, 0.002)


class Camera:
    """Opens captures one after the other, as a camera that is lost and comes back; None is an attempt that fails."""

    def __init__(self, *scripts):
        self.scripts, self.opened = list(scripts), []

    def __call__(self):
        script = self.scripts.pop(0) if self.scripts else None
        if script is None:
            raise UsageError("no answer")
        self.opened.append(ScriptedCapture(script, PAUSE))
        return self.opened[-1]


def live(camera, **options):
    return Live(camera, "rtsp://u:***@cam", first_delay=SOON, **options)


def taken(video, number=1000, every="1f"):
    """Return as many frames as were asked for and came, and what ended them."""
    frames = []
    try:
        for frame in video.frames(Every.of(every)):
            frames.append(frame)
            if len(frames) == number:
                break
    except RunError as error:
        return frames, error
    finally:
        video.close()
    return frames, None


def test_a_stream_that_does_not_come_back_ends_with_what_came_before_and_says_when_it_was_lost():
    told = []
    camera = Camera([1, 2, 3])
    frames, error = taken(live(camera, reconnect=0.05, notice=told.append))
    assert greys_of(frames)[-1] == 3
    assert "it did not come back within 0.05 s" in str(error)
    assert told == ["Lost 'rtsp://u:***@cam' at 0:00:00: trying again for 0.05 s."]
    assert camera.opened[0].released.is_set()


def test_a_lost_stream_is_tried_again_until_it_is_back_and_the_gap_is_marked():
    told = []
    video = live(Camera([1] * 5, None, None, [5] * 50), reconnect=5, notice=told.append)
    frames, error = taken(video, 12)
    assert error is None
    behind = [frame for frame in frames if frame.gap]
    assert [round(float(frame.pixels.mean())) for frame in behind] == [5]
    assert behind[0].gap == pytest.approx(video.health.gap_seconds)
    assert video.health.gaps == 1
    assert [line.split(" at ")[0].split(" after ")[0] for line in told] == [
        "Lost 'rtsp://u:***@cam'", "'rtsp://u:***@cam' is back"
    ]  # fmt: skip
    times = [frame.seconds for frame in frames]
    assert times == sorted(times)


def test_pauses_between_attempts_grow_up_to_half_a_minute():
    pauses = []
    video = Live(Camera([1], *[None] * 7, [1] * 9), "cam", reconnect=500, pause=pauses.append)
    taken(video, 3)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_frame_that_is_broken_is_no_lost_stream():
    told = []
    video = live(Camera([1, None, None, 2, 3, 4, 5, 6]), reconnect=0, notice=told.append)
    frames, _ = taken(video, 3)
    assert greys_of(frames)[0] == 1
    assert video.health.broken == 2
    assert told == []


def test_the_newest_frame_is_given_and_what_was_due_meanwhile_is_told_as_dropped():
    video = live(Camera(range(1, 200)), reconnect=0)
    frames = video.frames(Every(frames=1))
    first = next(frames)
    time.sleep(0.1)  # counting the first takes that long
    second = next(frames)
    frames.close()
    assert second.seconds - first.seconds >= 0.1
    assert first.index == 0
    assert 3 < second.index - 1 <= video.health.dropped  # which goes on until it is closed


def test_frames_that_are_not_due_are_not_dropped():
    video = live(Camera(range(1, 100)), reconnect=0)
    frames, _ = taken(video, 3, "10f")
    assert [frame.index for frame in frames] == [0, 10, 20]
    assert video.health.dropped == 0


def test_the_time_of_day_of_each_frame_is_known():
    frame = taken(live(Camera([1, 2]), reconnect=0), 1)[0][0]
    assert frame.clock.tzinfo is not None
    assert frame.seconds == 0


def test_closing_ends_the_thread_and_lets_go_of_the_source():
    camera = Camera([1] * 10_000)
    video = live(camera)
    frames = video.frames(Every(frames=1))
    next(frames)
    frames.close()
    assert camera.opened[0].released.wait(2)
    assert not any(thread.name == "sam-mprompt-grab" and thread.is_alive() for thread in threading.enumerate())


def test_a_source_that_gives_nothing_is_refused():
    with pytest.raises(UsageError, match="no frame came from it"):
        list(live(Camera([]), reconnect=1).frames(Every(frames=1)))


def test_a_fault_in_the_thread_is_heard():
    capture = ScriptedCapture([1, 2])
    capture.retrieve = lambda: 1 / 0
    with pytest.raises(RunError, match="cannot be read any more: division by zero"):
        list(Live(lambda: capture, "cam", reconnect=0).frames(Every(frames=1)))


class _Mjpeg(BaseHTTPRequestHandler):
    """A camera on the web that breaks off after some pictures, every time it is asked."""

    asked = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        _, picture = cv2.imencode(".jpg", np.full((48, 64, 3), 40 * self.asked, np.uint8))
        for _ in range(12):
            try:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture.tobytes() + b"\r\n")
            except OSError:
                return
            time.sleep(0.005)


def test_a_camera_on_the_web_that_breaks_off_is_asked_again(capfd):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Mjpeg,), {"asked": 0}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://user:hunter2@127.0.0.1:{server.server_port}/cam.mjpg"
        opened = open_video(address)
        opened.close()
        assert (opened.live, opened.name) == (True, address.replace("hunter2", "***"))
        video = Live(partial(OpenCVCapture, address, opened.name, Reading()), opened.name, first_delay=SOON)
        found = set()
        for frame in video.frames(Every(frames=1)):
            found.add(round(float(frame.pixels.mean()) / 40))
            if video.health.gaps == 2:
                break
        video.close()
    finally:
        server.shutdown()
        server.server_close()
    assert len(found) > 1
    assert "hunter2" not in capfd.readouterr().err


def test_a_camera_that_falls_silent_is_lost_after_a_while_and_nothing_but_us_says_so(capfd, monkeypatch):
    silence = threading.Event()

    class Silent(_Mjpeg):
        def do_GET(self):
            super().do_GET()
            silence.wait(30)

    monkeypatch.setattr(capture, "_READ_MS", 300)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = []
    try:
        connect = partial(OpenCVCapture, f"http://127.0.0.1:{server.server_port}/cam.mjpg", "cam", Reading())
        video = Live(connect, "cam", first_delay=SOON, notice=told.append)
        for _ in video.frames(Every(frames=1)):
            if video.health.gaps == 1:
                break
        video.close()
    finally:
        silence.set()
        server.shutdown()
        server.server_close()
    assert [line.split(":")[0][:4] for line in told[:2]] == ["Lost", "'cam"]
    assert capfd.readouterr().err == ""
