import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.data.noise import disturbed_boxes, disturbed_points, heads_of
from sam_mprompt.data.sources import open_split
from sam_mprompt.recipe.schema import parse_recipe

SIZE = (120, 160)


def heads(seed, n=20):
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, 0), (159, 119), (n, 2)).astype(np.float32)
    reach = rng.uniform(1, 15, (n, 2)).astype(np.float32)
    boxes = np.clip(np.concatenate([points - reach, points + reach], axis=1), 0, (160, 120, 160, 120))
    return points, boxes.astype(np.float32)


@given(seed=st.integers(0, 1000), noise=st.floats(0, 1))
def test_a_disturbed_point_stays_in_its_box_and_in_the_image(seed, noise):
    points, boxes = heads(seed)
    moved = disturbed_points(points, boxes, SIZE, noise, np.random.default_rng(seed))
    assert (moved >= boxes[:, :2] - 1e-3).all()
    assert (moved <= boxes[:, 2:] + 1e-3).all()
    assert (moved >= 0).all()
    assert (moved < (SIZE[1], SIZE[0])).all()


@given(seed=st.integers(0, 1000), noise=st.floats(0, 0.5))
def test_box_sides_move_by_at_most_that_share_of_the_height(seed, noise):
    points, _ = heads(seed)
    boxes = np.concatenate([points - 6, points + 6], axis=1)  # square: up to half of the height no sides cross
    moved = disturbed_boxes(boxes, SIZE, noise, np.random.default_rng(seed))
    within = np.clip(boxes, 0, (160, 120, 160, 120))
    assert (np.abs(moved - within) <= noise * 12 + 1).all()  # in the image a box is kept a pixel wide
    assert (moved[:, 2:] - moved[:, :2] >= 1 - 1e-3).all()


def test_twice_the_noise_moves_a_point_twice_as_far():
    points, boxes = heads(1)
    little, much = (
        disturbed_points(points, boxes, SIZE, noise, np.random.default_rng(0)) - points for noise in (0.2, 0.4)
    )
    assert np.allclose(2 * little, much, atol=1e-3)


def test_a_head_without_a_box_around_it_gets_a_square():
    points = np.array([[10, 10], [50, 50]], np.float32)
    boxes = np.array([[5, 5, 12, 12], [0, 0, 3, 3]], np.float32)
    assert heads_of(points, boxes, radius=4).tolist() == [[5, 5, 12, 12], [46, 46, 54, 54]]
    assert heads_of(points, None, radius=4).tolist() == [[6, 6, 14, 14], [46, 46, 54, 54]]
    assert heads_of(points, boxes[:0], radius=4).tolist() == [[6, 6, 14, 14], [46, 46, 54, 54]]


def test_a_box_that_is_missing_costs_no_other_head_its_own():
    points, boxes = heads(3)
    apart = np.array([[10, 10], [50, 50], [90, 90]], np.float32)
    around = np.concatenate([apart - 5, apart + 6], axis=1)
    assert heads_of(apart, around[1:], radius=2).tolist() == [[8, 8, 12, 12], [45, 45, 56, 56], [85, 85, 96, 96]]
    assert heads_of(points[:0], boxes, radius=2).shape == (0, 4)
    large, small = [0, 0, 100, 200], [62, 2, 78, 18]
    beside = np.array([[50, 10], [70, 10], [300, 300]], np.float32)
    assert heads_of(beside, np.array([large, small], np.float32), radius=4)[:2].tolist() == [large, small]


def test_a_head_without_a_box_is_as_large_as_in_the_mask_from_points(tmp_path):
    rng = np.random.default_rng(0)
    for split, name in (("train", "a"), ("val", "b")):
        Image.fromarray(rng.integers(0, 255, (400, 600, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        points = "\n".join(f"{x} {y}" for x in range(60, 560, 50) for y in (100, 200, 300))
        (tmp_path / f"{name}.txt").write_text(points)
        (tmp_path / f"{split}.txt").write_text(f"{name}.png\n")

    def moved(scale):
        data = {"format": "points", "scale": scale, "min_side": 64, "crop": 64}
        clean, noisy = (
            open_split(parse_recipe({"data": data | more}, source="test"), "train", tmp_path).source.samples[0].points
            for more in ({}, {"annotation_noise": 0.5})
        )
        return noisy - clean

    assert np.abs(moved(1.0)).max() > 2
    assert np.allclose(moved(0.5), 2 * moved(1.0), atol=1e-3)


def test_noise_reaches_train_images_on_disk_and_never_validation(crowd_folder):
    def samples(split, noise):
        table = {"data": {"format": "points", "annotation_noise": noise}}
        return open_split(parse_recipe(table, source="test"), split, crowd_folder).source.samples

    for clean, noisy in zip(samples("val", 0.0), samples("val", 0.5), strict=True):
        assert np.array_equal(clean.points, noisy.points)
    pairs = list(zip(samples("train", 0.0), samples("train", 0.5), strict=True))
    assert any(not np.array_equal(clean.points, noisy.points) for clean, noisy in pairs)
    assert any(not np.array_equal(clean.boxes, noisy.boxes) for clean, noisy in pairs)
    for clean, noisy in pairs:
        assert len(clean.points) == len(noisy.points)
        # Points move within boxes of 7 pixels, whose sides move by at most half of that.
        assert np.abs(clean.points - noisy.points).max(initial=0) <= 3.5
        assert np.abs(clean.boxes - noisy.boxes).max(initial=0) <= 3.5
