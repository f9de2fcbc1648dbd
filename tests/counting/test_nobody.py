"""Pictures without people, counted by the bundled adapter."""

from collections.abc import Iterator

import numpy as np
import pytest

from sam_mprompt.counting.counter import Counter, load
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.image import read_image
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
    import cv2

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


def crowd_free(folder, *, most: int, margin: int = 40) -> Iterator[np.ndarray]:
    """Crops of photographs, each as far from every head as its photograph allows, at least so many pixels."""
    found = 0
    for sample in read_split(folder, "train", val_fraction=0.0).samples:
        height, width = sample.size
        corners = np.array([(x, y) for y in range(0, height - 256, 64) for x in range(0, width - 256, 64)])
        beyond = np.maximum(corners[:, None] - sample.points, sample.points - corners[:, None] - 256).max(2).min(1)
        if beyond.max() >= margin and found < most:
            found += 1
            x, y = corners[beyond.argmax()]
            yield read_image(sample.image)[y : y + 256, x : x + 256]


@pytest.mark.slow
def test_crowd_free_photographs_count_about_nobody_or_are_warned_of(demo, real_data):
    """The demo never saw a photograph: where it takes leaves for heads, the warning has to come."""
    results = [demo.count(crop) for crop in crowd_free(real_data / "shanghaitech" / "part_B", most=40)]
    assert len(results) == 40
    assert np.median([result.count for result in results]) < 5
    deceived = [result for result in results if result.count > 10]
    assert np.mean([bool(result.warnings) for result in deceived]) > 0.5
