import re

import numpy as np
import pytest
from pooling_backend import AS_IS, PoolingBackend, noise

from sam_mprompt.counting.predict import count_many
from sam_mprompt.counting.scope import MEASURES, Range, Scope, heads_per_cell, of_heads, of_pixels
from sam_mprompt.geometry import Geometry


def photograph(rng, *, light=120.0, grain=25.0, size=(96, 128)):
    """Smooth light with grain, of one camera."""
    height, width = size
    ramp = np.linspace(-40, 40, width) * rng.uniform(0.8, 1.2) + light * rng.uniform(0.85, 1.15)
    pixels = ramp[None, :, None] + rng.normal(0, grain * rng.uniform(0.9, 1.1), (height, width, 3))
    pixels *= np.array([1.0, 0.9, 0.7])
    return np.clip(pixels, 0, 255).astype(np.uint8)


def crowd(rng, *, apart=12.0, heads=80):
    points = rng.uniform(0, apart * np.sqrt(heads), (heads, 2)).astype(np.float32)
    return heads_per_cell(points, (256, 256), 8)


def seen(rng, *, zoom=1.0, apart=12.0, heads=80, **look):
    heads, apart = round(heads * rng.uniform(0.7, 1.4)), apart * rng.uniform(0.8, 1.25)
    return of_pixels(photograph(rng, **look), zoom) | of_heads(crowd(rng, apart=apart, heads=heads), 8)


@pytest.fixture(scope="module")
def known():
    """What thirty photographs of one camera look like."""
    rng = np.random.default_rng(0)
    return Scope.fit([seen(rng) for _ in range(30)])


def test_images_like_those_of_training_are_seldom_warned_of(known):
    rng = np.random.default_rng(1)
    warned = [bool(known.warnings(seen(rng))) for _ in range(200)]
    assert np.mean(warned) <= 0.05


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"apart": 3.0, "heads": 120}, r"heads are about \d+ px apart here, \d+ to \d+ px in training"),
        ({"apart": 60.0, "heads": 20}, r"heads are about \d+ px apart here"),
        ({"heads": 3000, "apart": 4}, r"[\d,]+ heads are more than the \d+ to \d+ of training"),
        ({"size": (24, 32)}, "its shorter side is 24 px, 96 to 96 px in training"),
        ({"zoom": 2.0}, r"it is enlarged 2\.00-fold, 1\.00 to 1\.00 in training"),
        ({"zoom": 0.5}, r"it is shrunk 0\.50-fold, 1\.00 to 1\.00 in training"),
        ({"light": 20.0}, r"it is dark \(\d+ of 255, \d+ to \d+ in training\)"),
        ({"light": 240.0}, r"it is bright \(\d+ of 255"),
        ({"grain": 1.0}, r"it is blurred or empty \("),
        ({"grain": 120.0}, r"it is grainy \("),
    ],
)
def test_an_image_outside_is_warned_of_in_the_respect_in_which_it_is(known, change, said):
    found = known.warnings(seen(np.random.default_rng(2), **change))
    assert any(re.match(said, one) for one in found), found


def test_a_blank_image_is_told_to_be_empty_and_a_grey_one_to_be_grey(known):
    blank = known.warnings(of_pixels(np.full((96, 128, 3), 120, np.uint8), 1.0))
    assert any(one.startswith("it has little contrast (0, ") for one in blank)
    assert any(one.startswith("it is blurred or empty (0.0, ") for one in blank)
    grey = photograph(np.random.default_rng(3)).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    assert any(one.startswith("it is nearly grey (0, ") for one in known.warnings(of_pixels(grey, 1.0)))


def test_few_heads_are_no_reason_to_warn(known):
    assert known.warnings(seen(np.random.default_rng(4)) | of_heads(np.zeros((32, 32), np.float32), 8)) == ()


@pytest.mark.parametrize("apart", [6.0, 16.0, 30.0])
def test_the_spacing_of_a_density_is_that_of_the_heads_that_it_shows(apart):
    ticks = np.arange(apart / 2, 480, apart)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype(np.float32)
    annotated = heads_per_cell(points, (480, 480), 8)
    smooth = np.full((60, 60), len(points) / 3600, np.float32)
    found = of_heads(annotated, 8)["spacing"], of_heads(smooth, 8)["spacing"]
    assert found == pytest.approx((apart, apart), rel=0.2)
    assert found[0] == pytest.approx(found[1], rel=0.05)


def test_annotated_heads_are_all_counted_also_at_and_beyond_the_edge():
    points = np.array([[0, 0], [79.9, 40], [80, 60.5], [-1, 200]], np.float32)
    cells = heads_per_cell(points, (60, 80), 8)
    assert cells.shape == (8, 10)
    assert cells.sum() == 4
    assert heads_per_cell(np.empty((0, 2), np.float32), (60, 80), 8).sum() == 0


def test_a_head_lies_in_the_cell_of_its_pixels_and_beyond_the_edge_in_the_nearest():
    points = np.array([[0, 0], [7.9, 8], [79.9, 59.9], [-5, -5], [100, 100], [20, -30], [-30, 20]], np.float32)
    cells = heads_per_cell(points, (60, 80), 8)
    assert cells.dtype == np.float32
    assert {(int(y), int(x)): cells[y, x] for y, x in np.argwhere(cells)} == {
        (0, 0): 2, (1, 0): 1, (7, 9): 2, (0, 2): 1, (2, 0): 1,
    }  # fmt: skip


def test_a_picture_of_one_colour_measures_as_luminance_says():
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 0] = 255
    assert of_pixels(red, 0.5) == pytest.approx({
        "side": 30, "zoom": 0.5, "brightness": 76, "contrast": 0, "sharpness": 0, "colour": 255,
    })  # fmt: skip


def test_sharpness_is_the_mean_of_differences_of_either_sign():
    dot = np.zeros((30, 40, 3), np.uint8)
    dot[15, 20] = 200
    assert of_pixels(dot, 1.0)["sharpness"] == pytest.approx((4 * 200 + 4 * 200) / 1200)


def test_ten_heads_are_enough_to_tell_their_spacing_and_nine_are_not():
    cells = np.zeros((4, 4), np.float32)
    cells[1, 2] = 9
    assert of_heads(cells, 64) == {"count": 9.0}
    cells[1, 2] = 10
    assert of_heads(cells, 64) == {"count": 10.0, "spacing": pytest.approx(64 / np.sqrt(10))}


def test_heads_that_are_more_than_a_window_apart_have_the_spacing_of_their_density():
    assert of_heads(np.full((40, 40), 0.01, np.float32), 8)["spacing"] == pytest.approx(80, rel=0.1)


def test_an_image_at_the_limit_of_a_range_is_inside():
    scope = Scope({"zoom": Range(1.0, 1.0, 0.0, 0.0)})
    assert scope.warnings({"zoom": 1.0}) == ()
    assert scope.warnings({"zoom": 1.001}) != ()
    assert scope.warnings({"zoom": 0.999}) != ()


def test_ratios_count_where_a_measure_is_logarithmic_and_differences_where_not():
    assert MEASURES["zoom"].place(0.5) == pytest.approx(-np.log(2))
    assert MEASURES["count"].place(0.0) == 0
    assert MEASURES["brightness"].place(90.0) == 90


def uneven(far: int = 0) -> np.ndarray:
    """101 values around 0 whose 16th and 84th percentiles are -68 and 34; `far` of the lowest are six spreads off."""
    values = np.arange(-50.0, 51.0)
    values[values < 0] *= 2
    values[:far] = -6 * 68
    return values


@pytest.mark.parametrize(("far", "limit"), [(0, 3 * 1.2), (6, 6 * 1.2)])
def test_the_limit_is_a_fifth_beyond_what_training_images_reach_on_that_side_three_spreads_at_least(far, limit):
    own = Scope.fit([{"brightness": 500 + value} for value in uneven(far)]).ranges["brightness"]
    assert (own.low, own.high) == (pytest.approx(500 - limit * 68), pytest.approx(500 + limit * 34))
    assert (own.least, own.most) == (500 + uneven(far).min(), 550)


def test_one_limit_in_spreads_holds_for_all_measures_and_both_sides():
    zooms = np.ones(101)
    zooms[:6] = np.exp(6 * MEASURES["zoom"].spread)
    ranges = Scope.fit(
        [{"zoom": zoom, "brightness": 500 + value} for zoom, value in zip(zooms, uneven(), strict=True)]
    ).ranges
    assert ranges["zoom"].high == pytest.approx(6 * 1.2 * 0.08)
    assert ranges["brightness"].low == pytest.approx(500 - 6 * 1.2 * 68)


def test_five_training_images_are_enough_to_tell_a_range():
    assert set(Scope.fit([{"zoom": 1.0}] * 5).ranges) == {"zoom"}


def test_too_few_training_images_say_nothing():
    rng = np.random.default_rng(5)
    assert Scope.fit([seen(rng) for _ in range(4)]).warnings(seen(rng, light=5.0)) == ()
    assert Scope.fit([]).ranges == {}


def test_training_images_without_a_crowd_leave_its_measures_out():
    rng = np.random.default_rng(6)
    known = Scope.fit([of_pixels(photograph(rng), 1.0) | {"count": 2.0} for _ in range(10)])
    assert set(MEASURES) - set(known.ranges) == {"spacing"}


def test_images_are_measured_as_the_network_sees_them():
    geometry = Geometry(**AS_IS, scale=0.5)
    rng = np.random.default_rng(7)
    own = [of_pixels(photograph(rng, size=(48, 64)), 0.5) | {"count": 1.0} for _ in range(10)]
    same, tiny = np.repeat(np.repeat(photograph(rng, size=(48, 64)), 2, 0), 2, 1), noise(16, 16)
    found = list(count_many(PoolingBackend(), [same, tiny], geometry, scope=Scope.fit(own)))
    assert not [one for one in found[0].warnings if "side" in one or "fold" in one or "bright" in one]
    assert any("its shorter side is 8 px, 48 to 48 px" in one for one in found[1].warnings)
    assert next(count_many(PoolingBackend(), [tiny], geometry)).warnings == ()
