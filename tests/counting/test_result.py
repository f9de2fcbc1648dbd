import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam_mprompt.counting.intervals import Calibration
from sam_mprompt.counting.region import Region
from sam_mprompt.counting.result import CountResult, Prediction
from sam_mprompt.data.bounds import Reading
from sam_mprompt.data.image import SmallerCopyWarning
from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.render import overlay


def result_with(density, size, cell=(8.0, 8.0), **image):
    return CountResult(np.asarray(density, np.float32), None, size, cell, **image)


def test_the_count_is_the_sum_of_the_density():
    density = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    assert result_with(density, (40, 56)).count == pytest.approx(density.sum())


@pytest.mark.parametrize("peak", [1e6, -2.0, float("inf"), float("nan")])
def test_a_density_of_more_heads_than_pixels_has_no_locations(peak):
    with pytest.raises(RunError, match="at most a head in each of 56x40 pixels, got a count of"):
        result_with([[0.5, peak]], (40, 56)).points()


@pytest.mark.parametrize("threshold", [None, "0.5", -0.1, 1.1, float("nan")])
def test_another_threshold_than_a_share_is_refused(threshold):
    with pytest.raises(UsageError, match="threshold from 0 to 1, got"):
        result_with([[0.5]], (40, 56)).points(threshold)


def test_points_are_in_pixels_of_the_original_image():
    density = np.zeros((10, 20))
    density[3, 12] = 1
    np.testing.assert_allclose(result_with(density, (100, 200), cell=(10.0, 11.0)).points(), [[125, 38.5]])


@given(st.integers(1, 40), st.integers(1, 40))
def test_points_lie_inside_the_image_also_in_a_partial_last_cell(height, width):
    density = np.zeros((-(-height // 16), -(-width // 16)))
    density[-1, -1] = 2
    points = result_with(density, (height, width), cell=(16.0, 16.0)).points()
    assert len(points) == 2
    assert (points >= 0).all()
    assert (points < (width, height)).all()


def test_the_overlay_has_the_size_of_the_image_and_shows_its_points(tmp_path):
    pixels = np.full((60, 80, 3), 128, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "street.png")
    density = np.zeros((8, 10))
    density[4, 6] = 1
    from_path = result_with(density, (60, 80), image=tmp_path / "street.png")
    from_pixels = result_with(density, (60, 80), _pixels=pixels)
    assert from_path.overlay().shape == (60, 80, 3)
    np.testing.assert_array_equal(from_path.overlay(), from_pixels.overlay())
    np.testing.assert_array_equal(from_path.overlay(), from_path.overlay(pixels))
    assert (from_path.overlay(points=True) != from_path.overlay()).any()


def test_an_overlay_without_its_image_says_what_is_missing(tmp_path):
    with pytest.raises(UsageError, match=r"^This result keeps no image: expected overlay\(image=\.\.\.\)\.$"):
        result_with([[1.0]], (8, 8)).overlay()
    with pytest.raises(UsageError, match=r"gone\.jpg"):
        result_with([[1.0]], (8, 8), image=tmp_path / "gone.jpg").overlay()


def test_a_result_prints_short():
    text = repr(result_with(np.ones((300, 300)), (2400, 2400), _pixels=np.zeros((2400, 2400, 3), np.uint8)))
    assert text == "CountResult(count=90000.0, image_size=(2400, 2400), image=None)"
    assert repr(Prediction(np.ones((2, 2), np.float32), None, (8, 8), (4.0, 4.0))).startswith("Prediction(count=4.0")


def test_an_overlay_on_a_smaller_copy_of_the_picture_has_its_points_where_they_belong(tmp_path):
    Image.new("RGB", (80, 60)).save(tmp_path / "street.png")
    density = np.zeros((60, 80))
    density[30, 60] = 1
    drawn = result_with(density, (600, 800), cell=(10.0, 10.0)).overlay(tmp_path / "street.png", points=True)
    plain = result_with(density, (600, 800), cell=(10.0, 10.0)).overlay(tmp_path / "street.png")
    rows, columns = np.nonzero((drawn != plain).any(axis=2))
    assert (rows.mean(), columns.mean()) == pytest.approx((30, 60), abs=2)


def test_points_are_single_precision_numbers_strictly_inside_a_large_image():
    density = np.zeros((1, 2))
    density[0, 1] = 1
    points = result_with(density, (1, 10_001), cell=(10_000.0, 8.0)).points()
    assert points.dtype == np.float32
    last = [float(np.nextafter(np.float32(side), np.float32(0))) for side in (10_001, 1)]
    assert points.tolist() == [last]


def test_points_below_the_threshold_are_left_out_and_an_overlay_shows_none_unless_asked():
    density = np.zeros((20, 20))
    density[2, 2], density[17, 17] = 1.0, 0.6
    result = result_with(density, (160, 160), _pixels=np.full((160, 160, 3), 90, np.uint8))
    assert len(result.points()) == len(result.points(0.5)) == 2
    assert len(result.points(0.7)) == 1
    np.testing.assert_array_equal(result.overlay(), result.overlay(points=False))


def test_another_image_may_be_shown_under_the_density():
    result = result_with(np.zeros((8, 8)), (64, 64), _pixels=np.zeros((64, 64, 3), np.uint8))
    light = result.overlay(np.full((64, 64, 3), 255, np.uint8))
    assert light.astype(int).mean() > result.overlay().astype(int).mean() + 50


def test_an_overlay_is_captioned_with_the_count():
    pixels = np.full((160, 160, 3), 90, np.uint8)
    result = result_with(np.full((20, 20), 0.5), (160, 160), _pixels=pixels)
    np.testing.assert_array_equal(result.overlay(), overlay(pixels, result.density, 200.0))
    np.testing.assert_array_equal(
        result.overlay(points=True), overlay(pixels, result.density, 200.0, points=result.points())
    )


def test_a_count_is_summed_in_double_precision():
    assert result_with([[2.0**24, 1.0]], (8, 16)).count == 2**24 + 1


@pytest.mark.parametrize(
    ("size", "count", "located"),
    [
        ((8, 8), -0.5, 0),
        ((8, 8), -0.75, None),
        ((8, 8), 1000, 1000),
        ((8, 8), 1000.5, None),
        ((30, 40), 1200, 1200),
        ((30, 40), 1200.5, None),
    ],
)
def test_there_are_at_most_as_many_locations_as_pixels_or_a_thousand(size, count, located):
    result = result_with([[0.0, count]], size)
    if located is None:
        with pytest.raises(RunError, match=rf"each of {size[1]}x{size[0]} pixels, got a count of {count}\."):
            result.points()
    else:
        assert len(result.points()) == located


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, np.float32(1)])
def test_both_ends_of_a_threshold_are_allowed(threshold):
    assert len(result_with([[1.0, 0.0]], (8, 16)).points(threshold)) == 1


def test_an_overlay_reads_its_image_again_as_it_was_read_to_count(tmp_path):
    Image.new("RGB", (640, 480)).save(tmp_path / "street.jpg")
    small = Reading(max_pixels=100_000, reduced=True)
    result = result_with(np.zeros((60, 80)), (480, 640), image=tmp_path / "street.jpg", _reading=small)
    with pytest.warns(SmallerCopyWarning):
        assert result.overlay().shape == (240, 320, 3)


@pytest.mark.parametrize(("given", "heads"), [({}, 2), ({"threshold": 0.7}, 1)])
def test_detections_are_made_of_the_points_above_the_threshold(monkeypatch, given, heads):
    monkeypatch.setattr("sam_mprompt.counting.result.detections", lambda *arguments: arguments)
    density = np.zeros((20, 20))
    density[2, 2], density[17, 17] = 1.0, 0.6
    points, size = result_with(density, (160, 170)).to_supervision(**given)
    assert (len(points), size) == (heads, (160, 170))
    assert points[0].tolist() == [20, 20]


KNOWN = Calibration(np.full(40, 10.0), np.linspace(8.0, 12.0, 40))
RIGHT_HALF_IGNORED = Region("", ((((40, 0), (80, 0), (80, 60), (40, 60)),),), ignore=True)


@pytest.fixture
def two_heads():
    """A picture with a head in its left half and one in its right half."""
    density = np.zeros((8, 10))
    density[4, 2] = density[4, 8] = 1
    return result_with(density, (60, 80), _pixels=np.full((60, 80, 3), 128, np.uint8), calibration=KNOWN)


def test_the_interval_is_that_of_its_own_count_at_the_level_that_was_asked_for(two_heads):
    assert two_heads.interval(0.8) == KNOWN.interval(2.0, 0.8) != two_heads.interval(0.5)
    assert two_heads.why_no_interval(0.8) is None
    assert two_heads.why_no_interval(0.999) == KNOWN.why_not(0.999) is not None


def test_an_overlay_is_captioned_with_the_count_and_its_interval(two_heads, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "sam_mprompt.counting.result.overlay", lambda pixels, density, count, **more: drawn.append((count, more))
    )
    two_heads.overlay(level=0.8)
    assert drawn == [(2.0, {"points": None, "error": str(KNOWN.interval(2.0, 0.8))})]


def test_an_overlay_with_regions_marks_the_heads_that_are_not_ignored_at_the_scale_of_the_picture(
    two_heads, monkeypatch
):
    drawn, headings = [], []
    monkeypatch.setattr(
        "sam_mprompt.counting.result.overlay", lambda pixels, density, count, **more: drawn.append((count, more))
    )
    monkeypatch.setattr(
        "sam_mprompt.counting.result.draw_regions", lambda picture, outlines, heading: headings.append(heading)
    )
    smaller = np.full((30, 40, 3), 128, np.uint8)
    two_heads.overlay(smaller, points=True, level=0.8, regions=[RIGHT_HALF_IGNORED])
    ((count, more),) = drawn
    assert count is None
    assert more["points"].dtype == np.float32
    np.testing.assert_allclose(more["points"], [[10, 18]])
    two_heads.overlay(level=0.8, regions=[Region("a", RIGHT_HALF_IGNORED.polygons)])
    assert headings[0] == "1.0 heads, 1.0 ignored"  # an interval is that of the whole image
    assert str(KNOWN.interval(2.0, 0.8)) in headings[1]


def test_what_is_ignored_has_no_head_and_no_mask_and_no_interval(two_heads):
    logits = np.full((8, 10), 3.0, np.float32)
    seen = CountResult(two_heads.density, logits, (60, 80), (8.0, 8.0), calibration=KNOWN)
    left = seen.without_ignored([RIGHT_HALF_IGNORED])
    assert left.count == pytest.approx(1)
    assert (left.mask_logits[:, :5] == 3).all()
    assert (left.mask_logits[:, 5:] == -np.inf).all()
    assert left.interval(0.8) is None
    assert seen.without_ignored([Region("a", RIGHT_HALF_IGNORED.polygons)]) is seen
