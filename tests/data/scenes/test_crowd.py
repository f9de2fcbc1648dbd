import hashlib
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.image import read_image
from sam_mprompt.data.scenes import crowd as synthetic
from sam_mprompt.data.scenes.crowd import Scene, crowd_scene, write_dataset
from sam_mprompt.errors import UsageError
from sam_mprompt.recipe.limits import MIN_SIDE

SMALL = (120, 160)
SEEDS = st.integers(0, 2**40)
SIZES = st.tuples(st.integers(MIN_SIDE, 200), st.integers(MIN_SIDE, 200))


def digest(scene: Scene) -> str:
    parts = (scene.image, scene.points, scene.boxes, scene.mask)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def same(one: Scene, other: Scene) -> bool:
    return digest(one) == digest(other)


def fill(boxes, size):
    covered = np.zeros(size, bool)
    for x1, y1, x2, y2 in boxes.astype(int):
        covered[y1:y2, x1:x2] = True
    return covered


@pytest.fixture(scope="module")
def scenes():
    return [crowd_scene(11, index) for index in range(40)]


def test_a_scene_does_not_depend_on_what_was_painted_before():
    forwards = [digest(crowd_scene(3, index, SMALL)) for index in range(6)]
    backwards = [digest(crowd_scene(3, index, SMALL)) for index in reversed(range(6))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 6
    assert digest(crowd_scene(4, 0, SMALL)) not in forwards


def test_a_scene_is_the_same_in_another_process():
    code = (
        "import hashlib, numpy as np\n"
        "from sam_mprompt.data.scenes.crowd import crowd_scene\n"
        "for index in (4, 3, 2):\n"
        f"    scene = crowd_scene(3, index, {SMALL})\n"
        "    parts = (scene.image, scene.points, scene.boxes, scene.mask)\n"
        "    print(hashlib.sha256(b''.join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = [crowd_scene(3, index, SMALL) for index in (4, 3, 2)]
    assert sum(len(scene.points) for scene in here) > 10
    assert out.split() == [digest(scene) for scene in here]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, index=SEEDS, size=SIZES)
def test_every_head_has_a_point_inside_the_frame_and_inside_its_box(seed, index, size):
    scene = crowd_scene(seed, index, size)
    assert scene.image.shape == (*size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.mask.shape == size
    assert scene.mask.dtype == bool
    assert scene.points.dtype == scene.boxes.dtype == np.float32
    assert len(scene.points) == len(scene.boxes)
    assert ((scene.points >= 0) & (scene.points < size[::-1])).all()
    assert ((scene.boxes[:, :2] >= 0) & (scene.boxes[:, 2:] <= size[::-1])).all()
    assert ((scene.boxes[:, :2] <= scene.points) & (scene.points <= scene.boxes[:, 2:])).all()
    assert not (scene.mask & ~fill(scene.boxes, size)).any()


def test_points_are_the_centres_of_heads_that_the_border_does_not_cut(scenes):
    for scene in scenes:
        whole = ((scene.boxes[:, :2] > 0) & (scene.boxes[:, 2:] < 448)).all(1)
        centres = (scene.boxes[whole, :2] + scene.boxes[whole, 2:]) / 2
        np.testing.assert_array_equal(scene.points[whole], centres)


def test_heads_whose_centre_is_outside_are_not_annotated(scenes):
    for scene in scenes:  # centres of whole pixels; a point that was moved into the frame would be none
        np.testing.assert_array_equal(scene.points * 2, np.round(scene.points * 2))


def test_every_annotated_head_can_be_seen_in_its_box(scenes):
    for scene in scenes:
        for x1, y1, x2, y2 in scene.boxes.astype(int):
            assert scene.mask[y1:y2, x1:x2].mean() > 0.1


def test_heads_hidden_behind_others_are_not_annotated(monkeypatch, scenes):
    crowded = int(np.argmax([len(scene.points) for scene in scenes]))
    monkeypatch.setattr(synthetic, "MIN_VISIBLE", 1e-6)
    everyone = crowd_scene(11, crowded)
    annotated = {tuple(point) for point in scenes[crowded].points}
    seen = {tuple(point) for point in everyone.points}
    assert annotated < seen
    np.testing.assert_array_equal(everyone.image, scenes[crowded].image)


def test_scenes_range_from_empty_to_hundreds_of_heads(scenes):
    counts = np.array([len(scene.points) for scene in scenes])
    assert counts.min() == 0
    assert counts.max() > 250
    assert counts.max() <= 600
    assert 20 < np.median(counts) < 200
    assert not scenes[int(counts.argmin())].mask.any()


def test_heads_are_as_large_as_in_photographs_and_grow_towards_the_camera(scenes):
    heights = np.concatenate([scene.boxes[:, 3] - scene.boxes[:, 1] for scene in scenes])
    assert np.percentile(heights, 1) >= 5
    assert np.percentile(heights, 10) < 14
    assert 35 < np.percentile(heights, 99.5) < 100
    crowds = [scene for scene in scenes if len(scene.points) > 20]
    rising = [np.corrcoef(scene.points[:, 1], np.ptp(scene.boxes[:, 1::2], axis=1))[0, 1] for scene in crowds]
    assert np.median(rising) > 0.5


def test_max_heads_is_the_most_that_are_annotated():
    for most in (0, 1, 25):
        assert max(len(crowd_scene(5, index, max_heads=most).points) for index in range(4)) <= most
    assert max(len(crowd_scene(5, index, (64, 96)).points) for index in range(30)) <= round(600 * 64 * 96 / 448**2)


def test_no_threshold_on_brightness_or_on_a_colour_channel_finds_the_heads(scenes):
    histograms = np.zeros((4, 2, 256))
    for scene in scenes:
        for channel, values in enumerate(
            [cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY), *np.moveaxis(scene.image, 2, 0)]
        ):
            for inside in (False, True):
                histograms[channel, int(inside)] += np.bincount(values[scene.mask == inside], minlength=256)
    best = 0.0
    for other, head in histograms:
        for order in (slice(None), slice(None, None, -1)):
            found, wrong = np.cumsum(head[order]), np.cumsum(other[order])
            best = max(best, float((found / (head.sum() + wrong)).max()))
    assert best < 0.25


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, noise=st.floats(0, 0.3))
def test_noise_moves_annotation_no_farther_than_it_says(seed, noise):
    clean, noisy = crowd_scene(seed, 0, SMALL), crowd_scene(seed, 0, SMALL, annotation_noise=noise)
    np.testing.assert_array_equal(noisy.image, clean.image)
    np.testing.assert_array_equal(noisy.mask, clean.mask)
    tolerance = 1e-3
    low, high = clean.boxes[:, :2], clean.boxes[:, 2:]
    moved = noisy.points - clean.points
    assert (moved >= noise * (low - clean.points) - tolerance).all()
    assert (moved <= noise * (high - clean.points) + tolerance).all()
    assert ((noisy.points >= 0) & (noisy.points < SMALL[::-1])).all()
    height = (high - low)[:, 1:]
    assert (np.abs(noisy.boxes - clean.boxes) <= np.maximum(noise * height, 1) + tolerance).all()


def test_full_noise_puts_points_anywhere_in_the_box_and_keeps_boxes_valid():
    places = []
    for index in range(30):
        clean, noisy = crowd_scene(8, index, SMALL), crowd_scene(8, index, SMALL, annotation_noise=1.0)
        low, high = clean.boxes[:, :2], clean.boxes[:, 2:]
        assert ((noisy.points >= low) & (noisy.points <= high)).all()
        assert ((noisy.boxes[:, :2] >= 0) & (noisy.boxes[:, 2:] <= SMALL[::-1])).all()
        assert (noisy.boxes[:, 2:] - noisy.boxes[:, :2] >= 1 - 1e-4).all()
        places.append((noisy.points - low) / (high - low))
    spread = np.concatenate(places)
    assert abs(spread.mean() - 0.5) < 0.05
    assert (np.percentile(spread, 5, axis=0) < 0.1).all()
    assert (np.percentile(spread, 95, axis=0) > 0.9).all()


def test_no_noise_is_the_clean_truth():
    assert same(crowd_scene(2, 7, SMALL), crowd_scene(2, 7, SMALL, annotation_noise=0.0))


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((-1, 0), {}, "-1"),
        ((0, -2), {}, "-2"),
        ((0, 0, (16, 448)), {}, "16x448"),
        ((0, 0), {"max_heads": -1}, "max_heads"),
        ((0, 0), {"max_heads": 10**6}, "1000000"),
        ((0, 0), {"annotation_noise": 1.5}, "1.5"),
        ((0, 0), {"annotation_noise": float("nan")}, "nan"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, options, named):
    with pytest.raises(UsageError, match=named):
        crowd_scene(*arguments, **options)


def test_a_written_dataset_reads_back_as_the_scenes_it_was_made_of(tmp_path):
    folder = write_dataset(tmp_path / "crowd", seed=6, splits={"train": 3, "val": 2, "test": 1}, size=SMALL)
    numbers = iter(range(6))
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        read = read_split(folder, split)
        assert read.format == "points"
        assert not read.problems
        assert len(read.samples) == count
        for sample in read.samples:
            scene = crowd_scene(6, next(numbers), SMALL)
            np.testing.assert_array_equal(read_image(sample.image), scene.image)
            np.testing.assert_allclose(sample.points, scene.points, atol=0.006)
            np.testing.assert_allclose(sample.boxes, scene.boxes, atol=0.006)


def test_a_head_at_the_far_border_is_still_inside_when_it_is_written(tmp_path, monkeypatch):
    image, mask = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.bool_)
    corner = np.array([[95.997, 63.997]], np.float32)
    boxes = np.array([[90, 60, 96, 64]], np.float32)
    monkeypatch.setattr(synthetic, "crowd_scene", lambda *_, **__: Scene(image, corner, boxes, mask))
    folder = write_dataset(tmp_path / "crowd", seed=0, splits={"train": 1}, size=(64, 96))
    split = read_split(folder, "train", val_fraction=0)
    assert not split.problems
    np.testing.assert_allclose(split.samples[0].points, corner, atol=0.011)


def test_writing_twice_gives_the_same_bytes(tmp_path):
    options = {"seed": 1, "splits": {"train": 2, "test": 1}, "size": (64, 96), "annotation_noise": 0.3}
    one, two = (write_dataset(tmp_path / name, **options) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 3 * 2 + 2
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_only_training_scenes_get_annotation_noise(tmp_path):
    clean = write_dataset(tmp_path / "clean", seed=0, splits={"train": 6, "val": 6}, size=SMALL)
    noisy = write_dataset(tmp_path / "noisy", seed=0, splits={"train": 6, "val": 6}, size=SMALL, annotation_noise=0.5)
    changed = []
    for file in sorted((clean / "images").glob("*.json")):
        before, after = file.read_text(), (noisy / "images" / file.name).read_text()
        if json.loads(before)["points"]:
            changed.append((int(file.stem) < 6, before != after))
    assert {split for split, _ in changed} == {True, False}
    assert all(train == different for train, different in changed)


def test_a_folder_with_files_is_never_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="holds files"):
        write_dataset(tmp_path, seed=0, splits={"train": 1}, size=(64, 64))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_dataset_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    painted = []

    def fail(*arguments, **options):
        painted.append(arguments)
        if len(painted) == 2:
            raise KeyboardInterrupt
        return crowd_scene(*arguments, **options)

    monkeypatch.setattr(synthetic, "crowd_scene", fail)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "crowd", seed=0, splits={"train": 3}, size=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_split_is_corrected(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        write_dataset(tmp_path / "crowd", seed=0, splits={"trian": 1})
    with pytest.raises(UsageError, match="'train', got 0"):
        write_dataset(tmp_path / "crowd", seed=0, splits={"train": 0})
