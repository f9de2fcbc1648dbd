import re

import numpy as np
import pytest
from pooling_backend import AS_IS, PoolingBackend, noise

from sam_mprompt.counting.predict import count_many
from sam_mprompt.counting.scope import MEASURES, Scope, heads_per_cell, of_heads, of_pixels
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
