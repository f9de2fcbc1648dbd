from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mprompt.errors import UsageError
from sam_mprompt.geometry import Geometry, resize_image, resized, round_up, tile_grid, tile_starts, tile_weights

sides = st.integers(1, 5000)


@given(sides, sides, st.sampled_from([0.25, 0.5, 1.0, 1.7]))
def test_resized_keeps_the_aspect_and_both_limits_unless_they_conflict(height, width, scale):
    geometry = Geometry(max_side=2048, min_side=416, scale=scale)
    h, w = resized((height, width), geometry)
    assert 1 <= max(h, w) <= 2048
    if max(height, width) / min(height, width) <= 2048 / 416:
        assert min(h, w) >= 415
    factor = max(h, w) / max(height, width)
    assert abs(h - height * factor) <= 1
    assert abs(w - width * factor) <= 1


def test_images_between_the_limits_keep_their_pixels():
    image = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    same, ratio = resize_image(image, Geometry())
    assert same is image
    assert ratio == (1.0, 1.0)


def test_scale_comes_before_the_limits():
    assert resized((1000, 1500), Geometry(scale=0.5)) == (500, 750)
    assert resized((600, 800), Geometry(scale=0.5)) == (416, 555)
    assert resized((1000, 1500), Geometry(scale=3.0)) == (1365, 2048)


def test_the_maximum_wins_for_a_panorama():
    assert resized((100, 4096), Geometry()) == (50, 2048)


def test_the_ratio_moves_points_with_the_pixels():
    image = np.zeros((1000, 4000, 3), np.uint8)
    image[490:510, 1000:1020] = 255
    small, (ratio_x, ratio_y) = resize_image(image, Geometry())
    ys, xs = np.nonzero(small[..., 0] > 128)
    assert abs(xs.mean() + 0.5 - 1010 * ratio_x) < 1
    assert abs(ys.mean() + 0.5 - 500 * ratio_y) < 1


@pytest.mark.parametrize(
    "wrong",
    [
        *({"min_side": side} for side in (0, 3000)),
        *({"scale": scale} for scale in (0.0, -1.0, float("nan"), float("inf"))),
        *({"overlap": overlap} for overlap in (449, -1)),
        {"tile_step": -1},
    ],
)
def test_contradicting_sizes_are_refused(wrong):
    with pytest.raises(UsageError, match=r"(?i)expected"):
        Geometry(**wrong)


@given(sides, st.integers(1, 400), st.data(), st.sampled_from([8, 16, 32]), st.sampled_from([0, 8, 32, 224]))
def test_tiles_cover_every_pixel_and_overlap_enough(length, tile, data, size_divisor, tile_step):
    overlap = data.draw(st.integers(0, tile // 2))
    side, starts = tile_starts(length, Geometry(tile=tile, overlap=overlap, tile_step=tile_step), size_divisor)
    padded = round_up(length, size_divisor)
    assert side % size_divisor == 0
    assert side <= round_up(tile, size_divisor)
    assert all(start % size_divisor == 0 for start in starts)
    assert starts[0] == 0
    assert starts[-1] + side == padded
    shared = [before + side - after for before, after in pairwise(starts)]
    assert all(pixels >= min(overlap, side - size_divisor) for pixels in shared)


@given(sides, st.integers(1, 400), st.data())
def test_weights_are_positive_and_sum_to_one_everywhere(length, tile, data):
    overlap = data.draw(st.integers(0, tile // 2))
    side, starts = tile_starts(length, Geometry(tile=tile, overlap=overlap), 8)
    weights = tile_weights(starts, side)
    assert (weights > 0).all()
    total = np.zeros(starts[-1] + side)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + side] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_a_length_that_fits_is_one_tile():
    assert tile_starts(890, Geometry(tile=896, overlap=112), 16) == (896, [0])
    assert tile_starts(897, Geometry(tile=896, overlap=112), 16)[1] == [0, 16]


def test_a_grid_of_tiles_has_rows_and_columns_of_its_own():
    geometry = Geometry(tile=64, overlap=16)
    assert tile_grid((100, 30), geometry, 16) == ((64, 32), tile_starts(100, geometry, 16)[1], [0])


def test_a_smaller_copy_is_brought_to_the_size_and_ratio_of_its_picture():
    copy = np.zeros((100, 150, 3), np.uint8)
    image, ratio = resize_image(copy, Geometry(max_side=60, min_side=20), (800, 1200))
    assert (image.shape, ratio) == ((40, 60, 3), (0.05, 0.05))
    same, ratio = resize_image(copy, Geometry(max_side=150, min_side=20), (800, 1200))
    assert (same is copy, ratio) == (True, (0.125, 0.125))


def test_the_ratio_is_of_x_and_then_of_y():
    # A panorama whose sides shrink by different shares, as both are rounded to whole pixels.
    _, (ratio_x, ratio_y) = resize_image(np.zeros((10, 1000, 3), np.uint8), Geometry(max_side=150, min_side=1))
    assert (ratio_x, ratio_y) == (150 / 1000, 2 / 10)


def test_an_image_that_shrinks_is_averaged_over_areas_and_one_that_grows_is_not():
    image = np.zeros((16, 16, 3), np.uint8)
    image[::4, ::4] = 160  # one pixel of each sixteen that become one
    small, _ = resize_image(image, Geometry(max_side=4, min_side=1))
    assert (small == 10).all()
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 200
    large, _ = resize_image(step, Geometry(max_side=64, min_side=16))
    assert large.shape == (16, 16, 3)
    assert large.max() > 200  # cubic interpolation swings over at an edge; linear and areas stay between


def test_the_thinnest_image_keeps_a_pixel():
    geometry = Geometry(max_side=2048, min_side=1)
    assert resized((1, 10_000), geometry) == (1, 2048)
    assert resized((10_000, 1), geometry) == (2048, 1)


def test_tiles_are_as_few_as_the_overlap_allows_and_spread_evenly():
    geometry = Geometry(tile=64, overlap=16)
    assert tile_starts(200, geometry, 16) == (64, [0, 48, 96, 144])
    assert tile_starts(200, geometry, 8) == (64, [0, 40, 88, 136])
    assert tile_starts(160, geometry, 32) == (64, [0, 32, 64, 96])  # an overlap of 16 is one of 32 here
    assert tile_starts(64, geometry, 16) == (64, [0])
    assert tile_starts(60, Geometry(tile=60, overlap=0), 16) == (64, [0])


def test_tiles_become_smaller_in_steps_while_no_more_are_needed():
    assert tile_starts(1440, Geometry(tile=896, overlap=128, tile_step=32), 16) == (800, [0, 640])  # 784 would do
    assert tile_starts(1080, Geometry(tile=896, overlap=128, tile_step=32), 16) == (608, [0, 480])
    assert tile_starts(1024, Geometry(tile=896, overlap=112, tile_step=224), 16) == (672, [0, 352])
    assert tile_starts(2048, Geometry(tile=896, overlap=112, tile_step=224), 16)[0] == 896  # 672 is too small
    assert tile_starts(500, Geometry(tile=448, overlap=112, tile_step=224), 16) == (448, [0, 64])
    assert tile_starts(800, Geometry(tile=896, overlap=112, tile_step=224), 16) == (800, [0])
    assert tile_starts(200, Geometry(tile=64, overlap=16, tile_step=24), 16) == (
        64,
        [0, 48, 96, 144],
    )  # 48 is too small


@given(sides, st.integers(32, 400), st.data(), st.sampled_from([8, 32]))
def test_smaller_tiles_are_no_more_than_whole_ones_and_as_small_as_that_allows(length, tile, data, step):
    whole = Geometry(tile=tile, overlap=data.draw(st.integers(0, tile // 2)))
    side, starts = tile_starts(length, replace(whole, tile_step=step), 8)
    full, least = tile_starts(length, whole, 8)
    assert side <= full
    assert len(starts) == len(least)
    if len(starts) > 1 and side > 2 * step:
        smaller = side - step
        overlap = round_up(whole.overlap, 8)
        assert smaller * len(starts) - overlap * (len(starts) - 1) < round_up(length, 8)


def test_a_tile_weighs_most_at_its_centre_and_falls_in_a_line_to_its_ends():
    first, second = tile_weights([0, 4], 6)
    np.testing.assert_allclose(first, [1, 1, 1, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(second, [1 / 3, 2 / 3, 1, 1, 1, 1])
    first, second = tile_weights([0, 1], 5)  # hats 1 2 3 2 1
    np.testing.assert_allclose(first, [1, 2 / 3, 3 / 5, 2 / 5, 1 / 3])
    np.testing.assert_allclose(second, [1 / 3, 2 / 5, 3 / 5, 2 / 3, 1])


def test_whether_an_image_shrinks_is_told_by_both_sides():
    image = np.zeros((8, 32, 3), np.uint8)
    image[::2, ::2] = 200
    small, _ = resize_image(image, Geometry(max_side=16, min_side=1))
    assert small.shape == (4, 16, 3)
    assert (small == 50).all()
    image = np.zeros((8, 32, 3), np.uint8)
    image[:, 16:] = 200
    for shown, turned in ((image, False), (image.transpose(1, 0, 2), True)):
        large, _ = resize_image(np.ascontiguousarray(shown), Geometry(max_side=64, min_side=12))
        assert large.shape == ((48, 12, 3) if turned else (12, 48, 3))
        assert large.max() > 200  # cubic
