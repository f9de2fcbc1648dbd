"""Videos for tests: small files of grey pictures, and a source of frames that does what a test says."""

import threading

import cv2
import numpy as np
from pooling_backend import AS_IS, PoolingBackend

from sam_mprompt.counting.predict import count_many
from sam_mprompt.counting.video.capture import quiet
from sam_mprompt.geometry import Geometry

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
GEOMETRY = Geometry(tile=64, overlap=0, **AS_IS)


def write_video(path, greys, *, fps=10.0, size=(48, 64), noisy=False):
    """Write a frame of each grey; with noise frames are large enough to be damaged one by one."""
    rng = np.random.default_rng(0)
    height, width = size
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    with quiet():  # also from now on: ffmpeg asks only once how loud it may be
        film = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, (width, height))
    assert film.isOpened()
    for grey in greys:
        picture = np.full((height, width, 3), grey, np.uint8)
        film.write(rng.integers(0, 255, picture.shape, np.uint8) if noisy else picture)
    film.release()
    return path


def break_frames(path, numbers):
    """Overwrite frames of an AVI file of MJPG."""
    content = bytearray(path.read_bytes())
    at = content.index(b"movi") + 4
    for number in range(max(numbers) + 1):
        assert content[at : at + 4] == b"00dc"
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if number in numbers:
            content[at + 8 : at + 8 + size] = bytes(size)
        at += 8 + size + size % 2
    path.write_bytes(content)
    return path


def count_by_pooling(images):
    """Count images with a network whose counts are known: the brighter, the more people."""
    return count_many(PoolingBackend(), images, GEOMETRY)


def greys_of(frames):
    return [round(float(frame.pixels.mean())) for frame in frames]


class ScriptedCapture:
    """A capture whose grabs are listed: a number is a frame of that grey, None is a failure, behind the list all fail.

    `pace` is waited for before each grab, so that a test decides when a frame comes.
    """

    fps, frame_count = 10.0, None

    def __init__(self, script, pace=None):
        self.script, self.pace = list(script), pace
        self.released = threading.Event()
        self.grey = 0

    @property
    def seconds(self):
        return 0.0

    def grab(self):
        if self.pace is not None:
            self.pace()
        if not self.script:
            return False
        grey = self.script.pop(0)
        self.grey = grey
        return grey is not None

    def retrieve(self):
        return np.full((48, 64, 3), self.grey, np.uint8)

    def jump(self, seconds):
        pass

    def release(self):
        self.released.set()
