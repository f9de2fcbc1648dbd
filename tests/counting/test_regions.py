import warnings
from pathlib import Path

import numpy as np
import pytest

from sam_mprompt.counting.region import Region
from sam_mprompt.counting.regions import Regions
from sam_mprompt.counting.result import CountResult
from sam_mprompt.errors import RegionWarning, UsageError

SIZE = (93, 124)
CELL = (124 / 15.5, 93 / 11.625)  # the last row and column of cells reach beyond the image
FRAME = [(0, 0), (124, 0), (124, 93), (0, 93)]


def result(image=None):
    density = np.random.default_rng(0).random((12, 16)).astype(np.float32)
    return CountResult(density, None, SIZE, CELL, image)


def one_head(x, y):
    density = np.zeros((12, 16), np.float32)
    density[int(y / CELL[1]), int(x / CELL[0])] = 1
    return CountResult(density, None, SIZE, CELL)


def left(name="left", **others):
    return Region.around(name, [(0, 0), (50.3, 0), (71.9, 93), (0, 93)], **others)


def right(name="right", **others):
    return Region.around(name, [(50.3, 0), (124, 0), (124, 93), (71.9, 93)], **others)


def disc(name="disc", at=(60, 45), radius=20, **others):
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return Region.around(name, np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius + at, **others)


def test_a_region_that_is_the_frame_has_the_count():
    counts = result().regions([Region.around("all", FRAME)])
    assert counts["all"].count == pytest.approx(result().count, abs=1e-9)
    assert counts.elsewhere == pytest.approx(0, abs=1e-9)


def test_regions_side_by_side_add_up_to_the_count():
    counts = result().regions([left(), right()])
    assert counts["left"].count + counts["right"].count == pytest.approx(result().count, abs=1e-9)
    assert counts.elsewhere == pytest.approx(0, abs=1e-9)
    assert counts.counted_twice == 0


def test_regions_and_what_lies_elsewhere_add_up_to_the_count():
    counts = result().regions([disc(), disc("other", at=(100, 20), radius=15)])
    assert sum(region.count for region in counts.regions) + counts.elsewhere == pytest.approx(counts.total, abs=1e-9)
    assert counts.total == pytest.approx(result().count, abs=1e-9)


def test_a_cell_at_an_outline_is_divided_by_area():
    density = np.zeros((12, 16), np.float32)
    density[0, 0] = 1
    found = CountResult(density, None, SIZE, CELL).regions([Region.around("part", [(0, 0), (2, 0), (2, 93), (0, 93)])])
    assert found["part"].count == pytest.approx(2 / CELL[0])


def test_the_last_cells_lie_in_the_image_with_all_of_their_mass():
    density = np.zeros((12, 16), np.float32)
    density[-1, -1] = 1
    corner = Region.around("corner", [(120, 90), (124, 90), (124, 93), (120, 93)])
    found = CountResult(density, None, SIZE, CELL).regions([corner])
    assert found["corner"].count == pytest.approx(4 * 3 / (0.5 * CELL[0] * 0.625 * CELL[1]))


def test_what_is_ignored_is_in_no_region_and_not_in_the_total():
    plain, counts = result().regions([left(), right()]), result().regions([left(), right(), disc("", ignore=True)])
    parts = sum(region.count for region in counts.regions)
    assert counts.ignored == pytest.approx(result().regions([disc()])["disc"].count, abs=1e-9)
    assert counts.total == pytest.approx(result().count - counts.ignored, abs=1e-9)
    assert parts + counts.elsewhere == pytest.approx(counts.total, abs=1e-9)
    assert all(one.count < other.count for one, other in zip(counts.regions, plain.regions, strict=True))
    assert (counts.ignores, plain.ignores) == (True, False)


def test_overlapping_regions_have_each_their_own_and_it_is_told_by_how_much_they_add_up_to_more():
    with pytest.warns(RegionWarning, match="overlap \\('left' and 'disc'\\): their counts add up to more"):
        counts = result().regions([left(), disc()])
    assert counts["left"].count == pytest.approx(result().regions([left()])["left"].count)
    assert counts["disc"].count == pytest.approx(result().regions([disc()])["disc"].count)
    assert counts.counted_twice > 1
    together = counts["left"].count + counts["disc"].count + counts.elsewhere
    assert together - counts.counted_twice == pytest.approx(counts.total, abs=1e-9)


def test_people_per_square_metre_are_told_where_the_area_is_known():
    counts = result().regions([left(area_m2=40), right()])
    assert counts["left"].per_m2 == pytest.approx(counts["left"].count / 40)
    assert counts["right"].per_m2 is None
    assert counts.as_dict()["regions"][0] == {
        "name": "left",
        "count": counts["left"].count,
        "area_m2": 40,
        "per_m2": counts["left"].per_m2,
    }


def test_a_region_that_is_not_there_is_not_found_but_suggested():
    with pytest.raises(KeyError, match="Did you mean 'left'"):
        result().regions([left()])["lefd"]


def test_head_points_in_ignore_zones_are_left_out():
    inside, outside = one_head(60, 45), one_head(110, 80)
    zone = [disc("", ignore=True), right()]
    assert len(inside.points_outside(zone)) == 0
    np.testing.assert_array_equal(outside.points_outside(zone), outside.points())


def test_regions_drawn_in_a_larger_copy_of_the_image_are_scaled():
    large = Region.around("left", left().corners() * 4, image_size=(SIZE[0] * 4, SIZE[1] * 4))
    assert result().regions([large])["left"].count == pytest.approx(result().regions([left()])["left"].count)


@pytest.mark.parametrize(
    ("size", "why"),
    [((124, 93), "turned after it was annotated"), ((100, 124), "annotated as 124x100, the image is 124x93: cropped")],
)
def test_regions_drawn_in_another_image_are_refused(size, why):
    with pytest.raises(UsageError, match=f"Region 'left' was not drawn in this image.*{why}"):
        result().regions([left(image_size=size)])


def test_a_region_outside_the_image_is_refused_and_one_that_reaches_beyond_is_told():
    with pytest.raises(UsageError, match=r"Region 'disc' lies outside the image of 124x93: .* from \(480, 25\)"):
        result().regions([disc(at=(500, 45))])
    with pytest.warns(RegionWarning, match="reaches beyond the image of 124x93"):
        counts = result().regions([disc(at=(124, 45))])
    assert counts["disc"].count < result().regions([disc(at=(100, 45))])["disc"].count
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result().regions([Region.around("drawn over the border", [(-1, -1), (125, -1), (125, 94), (-1, 94)])])


def test_a_region_that_is_ignored_as_a_whole_is_told():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert result().regions([disc(), disc("", radius=25, ignore=True)])["disc"].count == 0
    [only] = [str(warning.message) for warning in told]
    assert "'disc' covers nothing that counts" in only


def test_regions_as_rows_and_columns_are_refused():
    with pytest.raises(UsageError, match=r"seem to be \(y, x\)"):
        result().regions([Region.around("tall", [(10, 5), (80, 5), (80, 120), (10, 120)])])


def test_regions_belong_to_the_images_that_they_name():
    regions = Regions([left(image="cam1/a.jpg"), left(image="b.jpg"), disc(at=(100, 45))])
    names = {
        name: [region.name for region in result(Path(name)).regions(regions).regions]
        for name in ("photos/cam1/a.jpg", "a.jpg", "cam2/a.jpg", "cam2/b.jpg", "c.jpg")
    }
    assert names == {
        "photos/cam1/a.jpg": ["left", "disc"],
        "a.jpg": ["left", "disc"],
        "cam2/a.jpg": ["disc"],
        "cam2/b.jpg": ["left", "disc"],
        "c.jpg": ["disc"],
    }
    assert regions.names == ("left", "disc")


@pytest.mark.parametrize(
    "others", [[left()], [left(image="a.jpg")], [left(image="a.jpg"), left(image="b.jpg"), left(image="a.jpg")]]
)
def test_two_regions_of_an_image_have_two_names(others):
    with pytest.raises(UsageError, match="are called 'left': expected a name of its own"):
        Regions([left() if len(others) == 1 else right(), *others])


def test_regions_are_placed_once_for_images_of_one_size():
    regions = Regions([left(), right()])
    first, again, other = (
        regions.placed(SIZE, (12, 16), CELL),
        regions.placed(SIZE, (12, 16), CELL),
        regions.placed((186, 248), (24, 31), (8.0, 8.0)),
    )
    assert first is again
    assert first is not other


def corners(*places):
    return np.array(places, float)


@pytest.mark.parametrize(
    ("polygons", "why"),
    [
        (((corners((0, 0), (9, 9), (9, 0), (0, 9)),),), r"crosses itself at about \(4.5, 4.5\)"),
        (((corners((0, 0), (9, 9), (0, 0)),),), "at least three corners, got 2"),
        (((corners((0, 0), (9, 9), (np.nan, 0)),),), "two numbers"),
        (((corners((0, 0), (9, 9), (10**12, 0)),),), "two numbers"),
        (((corners((0, 0), (9, 0), (9, 9)), corners((20, 20), (30, 20), (30, 30))),), "a hole lies outside"),
        (((corners((8.1, 47.1), (8.2, 47.1), (8.2, 47.2)),),), "not in degrees nor in shares"),
        ((), "at least one polygon"),
        (((),), "at least one polygon"),
        (((np.random.default_rng(0).random((10_001, 2)),),), "at most 10000 corners"),
    ],
)
def test_an_outline_that_is_none_is_refused(polygons, why):
    with pytest.raises(UsageError, match=why):
        Region("a", polygons)


@pytest.mark.parametrize("size", [0, -3, float("nan"), float("inf"), "40"])
def test_an_area_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="area above 0 square metres"):
        left(area_m2=size)


def test_a_region_without_a_name_is_refused_unless_it_is_ignored():
    with pytest.raises(UsageError, match="a region with a name"):
        disc(" ")
    assert disc("", ignore=True).title == "An ignore zone"


def test_the_overlay_outlines_regions_and_takes_the_glow_out_of_what_is_ignored():
    pixels = np.full((*SIZE, 3), 128, np.uint8)
    found = CountResult(one_head(60, 45).density, None, SIZE, CELL, _pixels=pixels)
    plain, drawn = found.overlay(), found.overlay(regions=[disc("", ignore=True), disc("b", (105, 70), 12)])
    assert drawn.shape == plain.shape
    assert plain[40:50, 55:65].max() > 200
    assert drawn[40:50, 55:65].max() < 150
    assert np.ptp(drawn[64:76, 92:94].astype(int), axis=2).max() > 50  # a coloured line, left of b
    assert np.ptp(plain[64:76, 92:94].astype(int), axis=2).max() < 10
    smaller = found.overlay(pixels[::2, ::2], regions=[disc("", ignore=True)])
    assert smaller.shape == (47, 62, 3)
