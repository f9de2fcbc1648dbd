import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.errors import UsageError
from sam_mprompt.render import (
    caption,
    draw_points,
    fit_within,
    heat_layer,
    mask_overlay,
    overlay,
    overlays,
    preview,
    save_image,
    side_by_side,
)


def photo(height=240, width=320):
    return np.random.default_rng(0).integers(40, 200, (height, width, 3), np.uint8)


def one_head(rows=30, columns=40, at=(20, 30)):
    density = np.zeros((rows, columns), np.float32)
    density[at] = 1
    return density


def brightness(image):
    return image.astype(float).sum(axis=2)


def test_the_overlay_glows_where_the_head_is_and_is_dim_elsewhere():
    image = photo()
    picture = overlay(image, one_head(), 1.0)
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    glow = picture[20 * 8 + 4, 30 * 8 + 4].astype(int)
    assert glow[0] > 180
    assert glow[0] > glow[2]
    elsewhere = (slice(100, 140), slice(20, 100))
    assert brightness(picture[elsewhere]).mean() < 0.8 * brightness(image[elsewhere]).mean()


def test_the_overlay_of_an_empty_street_is_only_the_dimmed_image():
    picture = overlay(photo(), np.zeros((30, 40), np.float32), 0.0)
    assert np.abs(picture[100:] - 0.7 * photo()[100:].mean(axis=2, keepdims=True)).mean() < 30


def test_the_caption_of_an_overlay_can_be_left_out():
    plain, captioned = (overlay(photo(), one_head(), count) for count in (None, 1.0))
    changed = np.argwhere((plain != captioned).any(axis=2))
    assert len(changed) > 0
    assert (changed.max(axis=0) < (40, 160)).all()


def test_the_overlay_is_the_same_in_strips_and_at_once(monkeypatch):
    at_once = overlay(photo(), one_head(), 1.0)
    monkeypatch.setattr(overlays, "_STRIP", 7)
    np.testing.assert_array_equal(overlay(photo(), one_head(), 1.0), at_once)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 9), st.integers(1, 9))
def test_pictures_of_any_size_and_grid_work(height, width, rows, columns):
    image = photo(height, width)
    density = np.random.default_rng(0).random((rows, columns)).astype(np.float32)
    points = np.array([[width / 2, height / 2], [0, 0]], np.float32)
    assert overlay(image, density, 3.0, points=points).shape == image.shape
    assert mask_overlay(image, density).shape == image.shape
    assert preview(image, density, density, density > 0.5, density).dtype == np.uint8


def test_no_picture_changes_its_image():
    image, before = photo(), photo()
    overlay(image, one_head(), 1.0, points=np.array([[5, 5]], np.float32))
    mask_overlay(image, one_head() > 0)
    draw_points(image, np.array([[5, 5]], np.float32))
    caption(image, "12 heads")
    preview(image, one_head(), one_head(), one_head() > 0, one_head(), height=240)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("size", [(120, 160), (768, 1024), (1500, 500), (200, 3000)])
def test_the_caption_is_legible_and_grows_with_the_image(size):
    image = np.zeros((*size, 3), np.uint8)
    rows, columns = np.nonzero(brightness(caption(image, "1,234.5 heads")) > 600)
    letters = rows.max() - rows.min() + 1
    assert letters >= min(size) / 40
    assert letters >= 6
    assert columns.max() < size[1] - 1


def test_a_thumbnail_too_small_for_letters_has_no_caption():
    image = photo(20, 20)
    np.testing.assert_array_equal(caption(image, "1,234.5 heads"), image)


def test_a_preview_has_a_panel_for_each_map_and_none_for_missing_masks():
    density = one_head()
    three = preview(photo(), density, density)
    five = preview(photo(), density, density, density > 0, density)
    gap = 4
    panel = (three.shape[1] - 2 * gap) // 3
    assert five.shape[1] == 5 * panel + 4 * gap
    assert five.shape[0] == three.shape[0] > 448


def test_both_densities_of_a_preview_share_one_scale():
    density = one_head()
    weak = brightness(preview(photo(), density, 0.4 * density))[60:]
    step = (weak.shape[1] + 4) // 3
    target, prediction = weak[:, step : 2 * step - 4], weak[:, 2 * step :]
    assert prediction.max() < 0.75 * target.max()
    equal = brightness(preview(photo(), density, density))[60:]
    np.testing.assert_array_equal(equal[:, step : 2 * step - 4], equal[:, 2 * step :])


def test_a_preview_of_a_panorama_stays_small():
    density = one_head()
    assert preview(photo(20, 2000), density, density).shape[1] < 3 * 900


def test_a_preview_without_any_head_shows_what_is_predicted():
    picture = brightness(preview(photo(), np.zeros((30, 40), np.float32), one_head()))
    step = (picture.shape[1] + 4) // 3
    assert picture[60:, 2 * step :].max() > 500


def test_a_mask_is_tinted_inside_and_only_dimmed_outside():
    image = np.full((80, 80, 3), 100, np.uint8)
    mask = np.zeros((10, 10), np.bool_)
    mask[2:5, 6:9] = True
    picture = mask_overlay(image, mask, colour=(0, 0, 255))
    inside, outside = picture[28, 60], picture[60, 20]
    assert inside[2] > inside[0] + 60
    assert outside[0] == outside[2] == 70
    assert picture[16, 56, 2] > inside[2] + 30  # the outline


def test_points_are_drawn_at_their_pixels():
    image = np.zeros((50, 60, 3), np.uint8)
    picture = draw_points(image, np.array([[40.5, 10.5]], np.float32), colour=(255, 0, 0))
    rows, columns = np.nonzero(picture[..., 0] > 128)
    assert abs(rows.mean() - 10) < 0.25
    assert abs(columns.mean() - 40) < 0.25
    np.testing.assert_array_equal(draw_points(image, np.zeros((0, 2), np.float32)), image)


def test_dots_shrink_in_a_crowd():
    image = np.zeros((900, 900, 3), np.uint8)
    grid = np.stack(np.meshgrid(np.arange(0, 900, 6), np.arange(0, 900, 6)), -1).reshape(-1, 2).astype(np.float32)
    crowd = draw_points(image, grid).max(axis=2) > 128
    assert 0.15 < crowd.mean() < 0.5  # neighbours six pixels apart leave gaps
    alone = draw_points(image, grid[:1] + 450).max(axis=2) > 128
    assert alone.sum() > 36


def test_panels_stand_side_by_side_under_their_titles():
    left, right = np.full((90, 50, 3), 200, np.uint8), np.full((90, 70, 3), 100, np.uint8)
    picture = side_by_side([left, right], ["Left", "Right"])
    assert (picture[-90:, :50] == 200).all()
    assert (picture[-90:, -70:] == 100).all()
    assert picture[:-90].max() > 150


def test_large_images_are_shrunk_and_small_ones_kept():
    assert fit_within(photo(500, 1000), 250).shape == (125, 250, 3)
    np.testing.assert_array_equal(fit_within(photo(), 400), photo())


def test_pictures_are_saved_in_the_right_colours(tmp_path):
    image = photo(30, 40)
    save_image(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    red = np.full((32, 32, 3), (250, 20, 20), np.uint8)
    save_image(tmp_path / "a.JPG", red)
    assert np.abs(np.asarray(Image.open(tmp_path / "a.JPG")).astype(int) - red).max() < 12
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.JPG", "new"]


def test_other_kinds_of_pictures_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.png or \.jpg"):
        save_image(tmp_path / "a.gif", photo())


def test_a_heat_layer_is_clear_where_nobody_is_and_brightest_where_most_are():
    density = np.zeros((6, 8), np.float32)
    density[1, 6] = 1
    density[4, 1] = 0.3
    layer = heat_layer(density, (48, 64))
    assert (layer.shape, layer.dtype) == ((48, 64, 4), np.uint8)
    opacity = layer[..., 3].astype(int)
    assert opacity[40:, 40:].max() == 0
    assert opacity[12, 52] > opacity[36, 12] > 40
    assert not heat_layer(np.zeros((2, 3), np.float32), (4, 6))[..., 3].any()
