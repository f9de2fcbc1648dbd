import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.data.scenes import camera, objects
from sam_mprompt.data.scenes.objects import LARGEST, object_scene
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.limits import MIN_SIDE

SMALL = (120, 160)
SEEDS = st.integers(0, 2**40)


def digest(scene):
    return hashlib.sha256(scene.image.tobytes() + scene.instances.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def scenes():
    return [object_scene(21, index) for index in range(24)]


def test_a_scene_does_not_depend_on_what_was_painted_before():
    forwards = [digest(object_scene(3, index, SMALL)) for index in range(5)]
    assert forwards == [digest(object_scene(3, index, SMALL)) for index in reversed(range(5))][::-1]
    assert len(set(forwards)) == 5


def test_a_scene_is_the_same_in_another_process():
    code = (
        "import hashlib\n"
        "from sam_mprompt.data.scenes.objects import object_scene\n"
        f"scene = object_scene(3, 2, {SMALL})\n"
        "print(hashlib.sha256(scene.image.tobytes() + scene.instances.tobytes()).hexdigest())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == digest(object_scene(3, 2, SMALL))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=st.tuples(st.integers(MIN_SIDE, 200), st.integers(MIN_SIDE, 200)))
def test_instances_are_numbered_without_gaps_at_any_size(seed, size):
    scene = object_scene(seed, 0, size)
    assert scene.image.shape == (*size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.instances.shape == size
    assert scene.instances.dtype == np.int32
    assert set(np.unique(scene.instances)) | {0} == set(range(scene.instances.max() + 1))


def test_scenes_hold_few_large_to_hundreds_of_small_objects(scenes):
    counts = np.array([scene.instances.max() for scene in scenes])
    extents = []
    for scene in scenes:
        for number in range(1, scene.instances.max() + 1):
            _, _, width, height = cv2.boundingRect((scene.instances == number).astype(np.uint8))
            extents.append(max(width, height))
    assert counts.min() >= 1
    assert counts.min() < 40
    assert counts.max() > 200
    assert np.percentile(extents, 5) <= 10
    assert 150 < max(extents) <= LARGEST + 4
    background = np.mean([(scene.instances == 0).mean() for scene in scenes])
    assert 0.2 < background < 0.85


def test_instances_are_the_pixels_that_the_object_covers_by_half():
    table = objects._Table(np.random.default_rng(0), np.zeros((60, 80, 3), np.uint8), np.zeros(3, np.float32))
    table._depth = 0.0
    ramp = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (20, 1))
    table.paste(40, 30, objects._Cutout(np.full((20, 40, 3), 255, np.uint8), ramp))
    assert (table.instances == 1).sum() == (ramp >= 128).sum()
    np.testing.assert_array_equal(table.instances == 1, table.image[..., 0] >= 128)


def test_whatever_is_pasted_later_hides_what_is_below():
    table = objects._Table(np.random.default_rng(0), np.zeros((60, 60, 3), np.uint8), np.zeros(3, np.float32))
    square = objects._Cutout(np.full((20, 20, 3), 200, np.uint8), np.full((20, 20), 255, np.uint8))
    table.paste(30, 30, square)
    table.paste(40, 30, square)
    assert (table.instances == 1).sum() == 20 * 10
    assert (table.instances == 2).sum() == 20 * 20


def test_objects_differ_from_their_surroundings_along_their_outline(scenes):
    inner, outer = [], []
    for scene in scenes:
        smooth = cv2.GaussianBlur(scene.image, (0, 0), 0.8).astype(np.float32)
        slope = np.abs(cv2.Sobel(smooth, -1, 1, 0)).sum(2) + np.abs(cv2.Sobel(smooth, -1, 0, 1)).sum(2)
        labels = scene.instances.astype(np.float32)
        edge = cv2.dilate(labels, np.ones((3, 3))) != cv2.erode(labels, np.ones((3, 3)))
        outer.append(slope[edge].mean())
        inner.append(slope[~edge].mean())
    assert np.mean(np.array(outer) > 1.2 * np.array(inner)) > 0.8


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS)
def test_the_lens_blurs_but_moves_nothing(seed):
    scene = np.zeros((97, 128, 3), np.uint8)
    cv2.circle(scene, (70, 40), 22, (250, 250, 250), -1)
    seen = camera._lens(np.random.default_rng(seed), scene).astype(np.float64)[..., 0]
    rows, columns = np.mgrid[:97, :128]
    assert (seen * columns).sum() / seen.sum() == pytest.approx(70, abs=0.3)
    assert (seen * rows).sum() / seen.sum() == pytest.approx(40, abs=0.3)
    assert np.mean((seen > 125) == (scene[..., 0] > 125)) > 0.98


@pytest.mark.parametrize(("arguments", "named"), [((-1, 0), "-1"), ((0, -3), "-3"), ((0, 0, (448, 8)), "448x8")])
def test_arguments_out_of_range_are_refused_by_name(arguments, named):
    with pytest.raises(UsageError, match=named):
        object_scene(*arguments)
