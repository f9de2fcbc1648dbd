import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.data.augment import (
    AnnotatedImage,
    colour_jitter,
    horizontal_flip,
    pixel_noise,
    random_blur,
    random_crop,
)
from sam_mprompt.targets import density_map, inside


def frame_with_marks(height, width, points):
    """An image that is black but for a white 3x3 square at every point."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in points:
        image[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2] = 255
    points = np.array(points, np.float32).reshape(-1, 2)
    boxes = np.concatenate([points - 1.5, points + 1.5], axis=1).astype(np.float32)
    return AnnotatedImage(image, points, np.full(len(points), 5.0), boxes)


MARKS = [(10.5, 12.5), (50.5, 40.5), (90.5, 20.5), (30.5, 70.5)]


def check_marks(frame):
    """Every point inside the frame stands on a mark, and its box is centred on it."""
    for i, (x, y) in enumerate(frame.points):
        if inside(frame.points[i : i + 1], frame.size)[0]:
            assert frame.image[int(y), int(x), 0] > 100
    np.testing.assert_allclose((frame.boxes[:, :2] + frame.boxes[:, 2:]) / 2, frame.points, atol=1e-3)


@given(st.integers(0, 10_000), st.integers(20, 130), st.sampled_from([(1.0, 1.0), (0.7, 1.5)]))
def test_points_and_boxes_stay_on_what_they_mark(seed, side, zoom):
    rng = np.random.default_rng(seed)
    crop = random_crop(frame_with_marks(90, 110, MARKS), side, zoom, rng)
    assert max(crop.size) <= side
    check_marks(crop)
    check_marks(horizontal_flip(crop))


@given(st.integers(0, 10_000), st.booleans())
def test_a_crop_counts_exactly_the_heads_inside_it(seed, flip):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 100, (60, 2)).astype(np.float32)
    frame = AnnotatedImage(np.zeros((100, 100, 3), np.uint8), points, np.full(60, 3.0), None)
    crop = random_crop(frame, 48, (0.8, 1.3), rng)
    heads = inside(crop.points, crop.size).sum()
    if flip:
        crop = horizontal_flip(crop)
    assert density_map(crop.points, crop.size, stride=4).sum(dtype=np.float64) == pytest.approx(heads, abs=1e-4)


@pytest.mark.parametrize("x", [0.0, 1e-7, 109.99999])
def test_a_head_at_the_edge_survives_the_flip(x):
    frame = AnnotatedImage(np.zeros((9, 110, 3), np.uint8), np.array([[x, 4]], np.float32), np.ones(1), None)
    flipped = horizontal_flip(frame)
    assert inside(flipped.points, flipped.size).all()


def test_flipping_twice_changes_nothing():
    frame = frame_with_marks(90, 110, MARKS)
    twice = horizontal_flip(horizontal_flip(frame))
    np.testing.assert_array_equal(twice.image, frame.image)
    np.testing.assert_allclose(twice.points, frame.points, atol=1e-4)
    np.testing.assert_allclose(twice.boxes, frame.boxes, atol=1e-4)


def test_a_small_image_is_kept_whole():
    frame = frame_with_marks(90, 110, MARKS)
    crop = random_crop(frame, 200, (1.0, 1.0), np.random.default_rng(0))
    assert crop.size == (90, 110)
    np.testing.assert_array_equal(crop.points, frame.points)


def test_zoom_scales_the_context_radius():
    frame = frame_with_marks(90, 110, MARKS)
    crop = random_crop(frame, 60, (2.0, 2.0), np.random.default_rng(0))
    np.testing.assert_allclose(crop.radius, 10.0, rtol=0.02)


def test_jitter_changes_colours_within_its_strength_and_nothing_at_zero():
    image = np.random.default_rng(0).integers(60, 190, (20, 20, 3)).astype(np.uint8)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(colour_jitter(image, 0.0, rng), image)
    changed = colour_jitter(image, 0.3, rng)
    assert changed.shape == image.shape
    assert 0 < np.abs(changed.astype(int) - image).mean() < 90


def test_blur_flattens_edges_and_keeps_the_brightness():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    blurred = random_blur(image, 4.0, np.random.default_rng(1)).astype(int)
    assert np.abs(np.diff(blurred, axis=1)).max() < 150
    assert blurred.mean() == pytest.approx(100, abs=1)
    assert (blurred[:, 0] == 0).all()


def test_blur_is_drawn_anew_and_up_to_its_strength():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    peaks = {int(random_blur(image, 2.0, np.random.default_rng(seed)).max()) for seed in range(20)}
    assert len(peaks) > 5
    assert min(peaks) >= 9  # 255 / (2 pi 4) of a standard deviation of 2


def test_pixel_noise_turns_pixels_black_or_white_in_equal_shares_up_to_its_strength():
    image = np.full((100, 100, 3), 90, np.uint8)
    shares = []
    for seed in range(20):
        noisy = pixel_noise(image, 0.2, np.random.default_rng(seed))
        black, white = (noisy == 0).all(axis=2).mean(), (noisy == 255).all(axis=2).mean()
        assert ((noisy == 90).all(axis=2).mean() + black + white) == pytest.approx(1)
        assert black == pytest.approx(white, abs=0.02)
        shares.append(black + white)
    assert max(shares) <= 0.22
    assert 0.07 < np.mean(shares) < 0.13
    assert (image == 90).all()
