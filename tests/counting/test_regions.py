import warnings
from pathlib import Path

import numpy as np
import pytest

from sam_mprompt.counting.region import Region
from sam_mprompt.counting.regions import PlacedRegions, RegionCount, RegionCounts, Regions
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


def box(name, x0, y0, x1, y1, **others):
    return Region.around(name, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], **others)


def test_counts_are_put_into_words_and_into_json():
    parts = (RegionCount("a", 1000.0), RegionCount("b", 230.0, 100.0))
    plain, less = RegionCounts(1234.56, parts, 4.56), RegionCounts(1234.56, parts, 5.56, 4.04, 1.0, True)
    assert plain.heading() == "1,234.6 heads"
    assert plain.heading("1,200 to 1,300") == "1,234.6 heads (1,200 to 1,300)"
    assert less.heading("1,200 to 1,300") == less.heading() == "1,234.6 heads, 4.0 ignored"
    rows = [
        {"name": "a", "count": 1000.0, "area_m2": None, "per_m2": None},
        {"name": "b", "count": 230.0, "area_m2": 100.0, "per_m2": 2.3},
    ]
    own = {"total": 1234.56, "regions": rows, "elsewhere": 4.56, "ignored": None, "counted_twice": 0.0}
    assert plain.as_dict() == own
    assert less.as_dict() == {**own, "elsewhere": 5.56, "ignored": 4.04, "counted_twice": 1.0}


def test_ignore_zones_need_no_names_and_regions_of_one_image_are_refused_with_its_name():
    assert len(Regions([disc("", ignore=True), disc("", radius=9, ignore=True)])) == 2
    with pytest.raises(UsageError, match=r"^Two regions of 'a\.jpg' are called 'left'"):
        Regions([left(image="a.jpg"), left(image="a.jpg")])
    with pytest.raises(UsageError, match=r"^Two regions are called 'left'"):
        Regions([left(), left()])


def test_regions_of_one_image_are_counted_there_and_nowhere_else():
    large = Region.around("left", left().corners() * 4, image_size=(SIZE[0] * 4, SIZE[1] * 4), image="b.jpg")
    regions, density = Regions([large]), result().density
    assert [len(regions.of_image(path)) for path in (Path("b.jpg"), Path("c.jpg"), None)] == [1, 0, 0]
    assert (regions.in_pixels(SIZE), regions.in_pixels(SIZE, Path("c.jpg"))) == ((), ())
    [placed] = regions.in_pixels(SIZE, Path("b.jpg"))
    np.testing.assert_allclose(placed.corners(), left().corners())
    assert placed.image_size == SIZE
    counts = regions.counts(density, SIZE, CELL, Path("b.jpg"))
    assert counts["left"].count == pytest.approx(result().regions([left()])["left"].count)
    assert regions.counts(density, SIZE, CELL).regions == ()


def test_cells_may_be_wider_than_high_and_lie_outside_the_image():
    image, grid, cell = (40, 60), (11, 9), (8.0, 4.0)  # the last row and column of cells hold nothing of it
    placed = PlacedRegions([box("a", 0, 0, 16, 8), box("last", 56, 0, 60, 4)], image, grid, cell)
    density = np.zeros(grid, np.float32)
    density[:10, :8] = 1
    counts = placed.counts(density)
    assert placed.image_size == image
    assert counts["a"].count == pytest.approx(4)
    assert counts["last"].count == pytest.approx(1)
    assert counts.elsewhere == pytest.approx(75)


def test_a_zone_over_the_border_ignores_all_of_the_last_cells_and_no_more():
    placed = PlacedRegions([box("", 88, 64, 125, 94, ignore=True)], SIZE, (12, 16), CELL)
    expected = np.zeros((12, 16))
    expected[8:, 11:] = 1
    np.testing.assert_allclose(placed.ignored, expected, atol=1e-12)
    density = np.full((12, 16), 0.5, np.float32)
    kept = placed.without_ignored(density)
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, 0.5 * (1 - expected), atol=1e-7)
    assert PlacedRegions([left()], SIZE, (12, 16), CELL).without_ignored(density) is density


def test_regions_side_by_side_do_not_overlap_also_where_parts_are_ignored():
    zone = box("", 30, 30, 90, 60, ignore=True)
    for regions in ([left(), right()], [left(), right(), zone]):
        placed = PlacedRegions(regions, SIZE, (12, 16), CELL)
        assert not placed.overlapping
        densities = np.random.default_rng(0).random((20, 12, 16)).astype(np.float32)
        assert {placed.counts(density).counted_twice for density in densities} == {0.0}


def test_what_overlaps_outside_ignore_zones_is_counted_twice_and_told():
    regions = [box("a", 0, 0, 64, 93), box("b", 56, 0, 124, 93), box("", 0, 0, 124, 64, ignore=True)]
    with pytest.warns(RegionWarning, match=r"overlap \('a' and 'b'\)"):
        placed = PlacedRegions(regions, SIZE, (12, 16), CELL)
    counts = placed.counts(np.ones((12, 16), np.float32))
    assert placed.overlapping
    assert (counts.ignored, counts.total) == (pytest.approx(8 * 16), pytest.approx(4 * 16))
    assert counts.counted_twice == pytest.approx(4)  # the cells from 56 to 64, below the zone


def test_a_sliver_that_outlines_share_is_counted_twice_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        placed = PlacedRegions([box("a", 0, 0, 64.03, 93), box("b", 64, 0, 124, 93)], SIZE, (12, 16), CELL)
    assert placed.overlapping
    assert placed.counts(np.ones((12, 16), np.float32)).counted_twice == pytest.approx(12 * 0.03 / 8)


def test_the_regions_that_overlap_are_named_and_not_their_neighbours():
    with pytest.warns(RegionWarning, match=r"overlap \('right' and 'disc'\)"):
        PlacedRegions([left(), right(), disc(at=(100, 45))], SIZE, (12, 16), CELL)
    with pytest.warns(RegionWarning, match=r"overlap \(some\)"):  # both fit into one cell
        PlacedRegions([box("a", 1, 1, 3, 3), box("b", 2, 1, 4, 3)], SIZE, (12, 16), CELL)


def test_outlines_have_their_counts_as_lines_and_ignore_zones_have_none():
    regions = [box("a", 0, 0, 16, 8, area_m2=1.6), box("b", 16, 0, 32, 8), box("", 32, 0, 40, 8, ignore=True)]
    placed = PlacedRegions(regions, SIZE, (12, 16), CELL)
    a, b, zone = placed.outlines(placed.counts(np.full((12, 16), 1000, np.float32)), (0.5, 2))
    assert (a.lines, a.ignored) == (["a", "2,000.0", "1250.00 per m2"], False)
    assert (b.lines, b.ignored) == (["b", "2,000.0"], False)
    assert (zone.lines, zone.ignored) == ([], True)
    np.testing.assert_array_equal(b.polygons[0][0], [(8, 0), (16, 0), (16, 16), (8, 16)])


def test_all_regions_of_an_image_have_twenty_thousand_corners_at_most():
    turn = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    round_one = np.stack([np.cos(turn), np.sin(turn)], axis=1) * 20 + 45
    regions = [Region.around(str(number), round_one) for number in range(200)]
    assert len(Regions(regions).in_pixels(SIZE)) == 200
    with pytest.raises(UsageError, match="at most 20000 corners of all regions of an image, got 20003"):
        Regions([*regions, Region.around("a", [(0, 0), (9, 0), (9, 9)])]).in_pixels(SIZE)


@pytest.mark.parametrize("place", [(-9, 9, 0, 40), (9, -9, 40, 0), (124, 9, 130, 40), (9, 93, 110, 99)])
def test_a_region_beside_the_image_lies_outside_it_on_every_side(place):
    with pytest.raises(UsageError, match="Region 'a' lies outside the image of 124x93"):
        Regions([box("a", *place)]).in_pixels(SIZE)


def test_a_region_of_a_part_of_a_pixel_at_the_border_lies_inside():
    boxes = [box("a", 0, 0, 0.5, 40), box("b", 0, 0, 40, 0.5), box("c", 123.5, 0, 124, 40), box("d", 0, 92.5, 40, 93)]
    assert len(Regions(boxes).in_pixels(SIZE)) == 4


def test_a_hundredth_of_the_longer_side_may_lie_beyond_the_border():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Regions([box("a", -2, -2, 202, 102)]).in_pixels((100, 200))
    for place in ((-2.1, 0, 9, 9), (0, -2.1, 9, 9), (0, 0, 202.1, 9), (0, 0, 190, 102.1)):
        with pytest.warns(RegionWarning, match="Region 'a' reaches beyond the image of 200x100"):
            Regions([box("a", *place)]).in_pixels((100, 200))
