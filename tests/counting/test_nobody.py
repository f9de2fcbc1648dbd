"""Pictures without people, counted by the bundled adapter."""

import cv2
import numpy as np
import pytest

from benchmarks.accuracy.nobody import crowd_free
from sam_mprompt.counting.counter import Counter, load
from sam_mprompt.data.scenes.crowd import crowd_scene

SIDE = 320


@pytest.fixture(scope="module")
def demo() -> Counter:
    return load("adapters/demo", device="cpu")


def bricks() -> np.ndarray:
    wall = np.full((SIDE, SIDE, 3), (170, 90, 70), np.uint8)
    for row, top in enumerate(range(0, SIDE, 24)):
        wall[top : top + 3] = 200
        for left in range(row % 2 * 24, SIDE, 48):
            wall[top : top + 24, left : left + 3] = 200
    return wall


def blurred() -> np.ndarray:
    """A street of procedural people, so far out of focus that none can be seen."""
    scene = crowd_scene(3, 0, (SIDE, SIDE), max_heads=40)
    return cv2.GaussianBlur(scene.image, (0, 0), 30)


EMPTY = {
    "black": lambda: np.zeros((SIDE, SIDE, 3), np.uint8),
    "white": lambda: np.full((SIDE, SIDE, 3), 255, np.uint8),
    "a gradient": lambda: np.repeat(np.linspace(0, 255, SIDE).astype(np.uint8)[None, :, None], 3, 2).repeat(SIDE, 0),
    "a brick wall": bricks,
    "out of focus": blurred,
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_picture_with_nothing_to_see_counts_about_nobody(demo, name):
    assert demo.count(EMPTY[name]()).count < 2


def test_procedural_clutter_without_people_counts_about_nobody(demo):
    """Lamps, parasols, shrubs, bicycles; a panel of head-sized dots does deceive the demo, so the middle is taken."""
    empty = [scene.image for scene in (crowd_scene(11, index, (SIDE, SIDE)) for index in (32, 40, 44, 48, 67))]
    assert np.median([demo.count(image).count for image in empty]) < 2


@pytest.mark.slow
def test_crowd_free_photographs_count_about_nobody(demo, real_data):
    """By a counter that saw painted scenes only; leaves deceive it now and then, so the middle is taken."""
    counts = [demo.count(crop).count for crop in crowd_free(real_data / "shanghaitech" / "part_B")]
    assert len(counts) == 40
    assert np.median(counts) < 5
