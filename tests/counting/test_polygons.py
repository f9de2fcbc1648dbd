import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mprompt.counting.polygons import area, contains, coverage, crossings
from sam_mprompt.errors import UsageError

GRID = (7, 10)
SAMPLES = 32


def ring(*corners):
    return np.array(corners, np.float64)


def sampled(polygons, without=()):
    """The same by 32 x 32 samples a cell."""
    rows, columns = np.mgrid[0 : GRID[0] * SAMPLES, 0 : GRID[1] * SAMPLES]
    points = np.stack([(columns.ravel() + 0.5) / SAMPLES, (rows.ravel() + 0.5) / SAMPLES], axis=1)
    inside = contains(polygons, points) & ~contains(without, points)
    return inside.reshape(GRID[0], SAMPLES, GRID[1], SAMPLES).mean(axis=(1, 3))


def scattered(seed, corners, reach=3):
    """A random polygon, which may cross itself and reach beyond the grid."""
    return (np.random.default_rng(seed).uniform(-reach, np.array(GRID[::-1]) + reach, (corners, 2)),)


@pytest.mark.parametrize("seed", range(6))
def test_the_share_of_every_cell_is_what_samples_say_of_overlapping_and_crossing_outlines(seed):
    polygons, without = [scattered(seed * 10 + i, 3 + i) for i in range(3)], [scattered(seed * 10 + 9, 5)]
    found = coverage(GRID, polygons, without)
    np.testing.assert_allclose(found, sampled(polygons, without), atol=0.03)
    assert found.mean() == pytest.approx(sampled(polygons, without).mean(), abs=1e-3)


def test_the_share_of_a_cell_is_exact():
    triangle = (ring((2.25, 1.5), (5.75, 1.5), (4, 4.5)),)
    found = coverage(GRID, [triangle])
    assert found.sum() == pytest.approx(area(triangle), abs=1e-12)
    assert area(triangle) == pytest.approx(0.5 * 3.5 * 3, abs=1e-12)
    assert found[2, 3] == pytest.approx(1 - (3 - 1.5 - 9 / 7) * 0.125 / 2, abs=1e-12)  # a corner is cut off
    assert found[1, 4] == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 8))
def test_what_is_inside_and_what_is_outside_fill_every_cell(seed, corners):
    frame = (ring((0, 0), (10, 0), (10, 7), (0, 7)),)
    inside, outside = coverage(GRID, [scattered(seed, corners)]), coverage(GRID, [frame], [scattered(seed, corners)])
    np.testing.assert_allclose(inside + outside, 1, atol=1e-9)


def test_a_cell_that_is_not_touched_has_exactly_nothing():
    found = coverage(GRID, [(ring((1.1, 1.3), (3.7, 2.1), (2.3, 4.9)),)])
    assert (found[:, 4:] == 0).all()
    assert (found[5:] == 0).all()


def test_a_hole_is_left_out_whichever_way_it_runs():
    outline, hole = ring((1, 1), (9, 1), (9, 6), (1, 6)), ring((3, 2), (5, 2), (5, 4), (3, 4))
    for inner in (hole, hole[::-1]):
        found = coverage(GRID, [(outline, inner)])
        assert found[2:4, 3:5].sum() == 0
        assert found.sum() == pytest.approx(40 - 4) == area((outline, inner))


def test_what_two_polygons_share_is_covered_once():
    square = (ring((1, 1), (5, 1), (5, 5), (1, 5)),)
    assert coverage(GRID, [square, square]).sum() == pytest.approx(16)


def test_what_lies_beyond_the_grid_costs_nothing_and_covers_nothing():
    wide = (ring((-1e8, 2.5), (1e8, 2.5), (1e8, 1e8), (-1e8, 1e8)),)
    found = coverage(GRID, [wide])
    assert found.sum() == pytest.approx(45)
    assert coverage(GRID, [(ring((20, 1), (30, 1), (25, 5)),)]).sum() == 0
    assert coverage(GRID, [(ring((-30, 1), (-20, 1), (-25, 5)),)]).sum() == 0


def test_edges_that_cross_are_found_and_those_that_touch_are_not():
    [bow] = crossings([ring((0, 0), (4, 4), (4, 0), (0, 4))])
    assert (bow.x, bow.y) == (2, 2)
    assert not list(crossings([ring((0, 0), (4, 0), (4, 4), (2, 0), (0, 4))]))
    assert not list(crossings([ring((0, 0), (4, 0), (4, 4), (0, 4)), ring((4, 0), (8, 0), (8, 4), (4, 4))]))


def test_outlines_that_cross_each_other_without_end_are_refused():
    combs = [
        (np.stack([np.tile([0.0, 10.0], 100), np.linspace(0, 6, 200)], axis=1),),
        (np.stack([np.linspace(0, 9, 300), np.tile([0.0, 7.0], 150)], axis=1),),
    ]
    with pytest.raises(UsageError, match="cross each other at most 20000 times"):
        coverage(GRID, combs)


def test_areas_are_those_of_the_shoelace_rule_wherever_an_outline_lies():
    corner = ring((20, 30), (26, 30), (26, 32), (22, 32), (22, 35), (20, 35))  # an L: 6 x 2 and 2 x 3
    assert area((corner,)) == 18
    assert area((corner[::-1], ring((23, 30.5), (24, 30.5), (24, 31.5)))) == 17.5


def test_every_crossing_of_long_outlines_is_found_once():
    teeth = [(i, 2 * (i % 2)) for i in range(1200)]
    saw, bar = ring(*teeth, (1200, -5), (0, -5)), ring((999.9, 0.5), (1201, 0.5), (1201, 1), (999.9, 1))
    found = sorted((crossing.y, crossing.x) for crossing in crossings([saw, bar]))
    expected = [(y, i + (y / 2 if i % 2 == 0 else 1 - y / 2)) for y in (0.5, 1) for i in range(1000, 1199)]
    expected += [(y, 1199 + (2 - y) / 7) for y in (0.5, 1)]
    np.testing.assert_allclose(found, sorted(expected), atol=1e-9)


def test_the_sides_of_a_star_cross_five_times_and_those_of_two_squares_twice():
    turn = np.arange(5) * 4 * np.pi / 5
    star = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    places = np.array([(crossing.x, crossing.y) for crossing in crossings([star])])
    assert len(places) == 5
    np.testing.assert_allclose(np.hypot(*places.T), (3 - 5**0.5) / 2)  # the inner corners of a pentagram
    square = ring((0, 0), (1, 0), (1, 1), (0, 1))
    assert sorted((found.x, found.y) for found in crossings([square, square + 0.5])) == [(0.5, 1), (1, 0.5)]


@pytest.mark.parametrize("turns", range(4))
def test_an_edge_that_would_cross_another_if_it_were_longer_does_not(turns):
    long, short = ring((0, 0), (10, 10), (-9, 30)), ring((5.5, 4.5), (8, 2), (30, -40))  # x + y = 10 meets x = y
    turned = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), turns)
    for one, other in ((long, short), (long[::-1], short[::-1]), (long, short[::-1])):
        assert not list(crossings([one @ turned, other @ turned]))
        assert not list(crossings([other @ turned, one @ turned]))


@pytest.mark.parametrize("direction", [1, -1])
def test_a_corner_on_a_slanting_edge_touches_it_and_edges_on_each_other_do_not_cross(direction):
    slanting, corner = ring((0, 0), (8, 8), (-9, 30)), ring((4, 4), (30, 3), (30, -3))
    for first, second in ((slanting, corner), (corner, slanting)):
        assert not list(crossings([first[::direction], second]))
        assert not list(crossings([first, second[::direction]]))
    assert not list(crossings([slanting, slanting[::direction]]))


def test_a_point_is_inside_at_the_height_of_a_corner_and_beside_a_level_edge():
    diamond, square = (ring((2, 0), (4, 2), (2, 4), (0, 2)),), (ring((0, 0), (4, 0), (4, 4), (0, 4)),)
    points = ring((2, 2), (0.5, 0.5), (3.9, 2), (5, 2), (-1, 2))
    assert contains([diamond], points).tolist() == [True, False, True, False, False]
    assert contains([square], points).tolist() == [True, True, True, False, False]


def test_a_point_on_a_common_border_is_in_the_outline_to_its_right_as_pixels_have_it():
    left, right = ((ring((x, 0), (x + 4, 0), (x + 4, 4), (x, 4)),) for x in (0, 4))
    assert not contains([left], ring((4, 1))).any()
    assert contains([right], ring((4, 1))).all()


def test_an_outline_with_more_pieces_than_are_summed_at_once_is_covered_exactly():
    heights = np.random.default_rng(0).uniform(1, 6.9, 1040)
    tips = np.stack([np.linspace(0.1, 9.8, 1040), heights], axis=1)
    gaps = tips + np.array((0.003, 0))
    gaps[:, 1] = 0.5
    comb = (np.concatenate([np.stack([tips, gaps], axis=1).reshape(-1, 2), ring((9.9, 0.2), (0.1, 0.2))]),)
    assert coverage(GRID, [comb]).sum() == pytest.approx(area(comb), abs=1e-9)
