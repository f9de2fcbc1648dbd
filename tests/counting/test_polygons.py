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
